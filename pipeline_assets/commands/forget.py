"""`landfall forget`: remove a file's rows on purpose."""

from typing import TYPE_CHECKING

import click

from pipeline_assets.commands.terminal import (
    confirmed,
    dry_run_option,
    json_option,
    out,
    with_landfall,
    yes_option,
)

if TYPE_CHECKING:
    from resources.landfall import Landfall

WHY = "forgotten by hand"


@click.command(short_help="Remove a file's rows from every table, on purpose.")
@click.option("--key", required=True, help="Key of the file, or its file id.")
@dry_run_option
@yes_option
@json_option
@with_landfall
def forget(landfall: "Landfall", *, key: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove a file's rows from every table; the same bytes are not loaded again.

    Shows rows, dates and tables affected first. The landed object stays: delete it yourself if it
    must go too. Older versions of the tables stay in a versioned lake bucket until its lifecycle
    expires them. Other bytes at the key, or `landfall replay --key`, load the file again.
    """
    from pipeline_assets import show_operations as show  # noqa: PLC0415 - starts quicker
    from pipeline_assets.operations import forget as operation  # noqa: PLC0415
    from pipeline_assets.operations.affected import affected  # noqa: PLC0415
    from pipeline_assets.report import file_named  # noqa: PLC0415
    from pipeline_assets.show import print_json  # noqa: PLC0415

    head = file_named(landfall, key)
    touched = affected(landfall, [head])
    if not as_json:
        show.forgetting(out, touched, f"s3://{head.bucket}/{head.key}")
    done = None
    if not dry_run:
        confirmed("Forget it?", yes=yes, as_json=as_json)
        done = operation.forget(landfall, head, why=WHY)
    if as_json:
        print_json(out, show.forget_json(touched, dry_run=dry_run, done=done))
    elif done is not None:
        show.forgotten(out, done)
