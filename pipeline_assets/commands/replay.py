"""`landfall replay`: load landed files again without uploading them again."""

import sys
from typing import TYPE_CHECKING, Any

import click

from pipeline_assets import show as facts
from pipeline_assets.commands.terminal import (
    confirmed,
    dataset_option,
    dry_run_option,
    json_option,
    out,
    progress,
    told,
    with_landfall,
    yes_option,
)
from pipeline_assets.errors import WrongSelectionError

if TYPE_CHECKING:
    from pipeline_assets.operations.replay import Selection
    from resources.landfall import Landfall

WHY = "replayed by hand"


@click.command(short_help="Load landed files again, without uploading them again.")
@click.option("--key", help="Key of one file, or its file id.")
@click.option("--date", metavar="YYYY-MM-DD", help="Files of that date, or with rows on it.")
@click.option("--all", "every", is_flag=True, help="Every file.")
@dataset_option("Only files of this dataset.")
@click.option("--dead", is_flag=True, help="Only dead files.")
@dry_run_option
@yes_option
@json_option
def replay(*, dry_run: bool, yes: bool, as_json: bool, every: bool, **named: Any) -> None:  # noqa: ANN401 - click's
    """Load landed files again, without uploading them again.

    Give one of --key, --date and --all. Shows files, rows, dates and tables affected first. Rows
    stay until a file is loaded again. Files that were forgotten, or deleted before they were
    loaded, come back only by --key.
    """
    from pipeline_assets.operations.replay import Selection  # noqa: PLC0415 - starts quicker

    with told():
        try:
            selection = Selection(all=every, **named)
        except WrongSelectionError as error:
            raise click.UsageError(str(error)) from None
    _replay(selection, dry_run=dry_run, yes=yes, as_json=as_json)


@with_landfall
def _replay(
    landfall: "Landfall", selection: "Selection", *, dry_run: bool, yes: bool, as_json: bool
) -> None:
    from pipeline_assets import show_operations as show  # noqa: PLC0415 - as above
    from pipeline_assets.operations import replay as operation  # noqa: PLC0415

    heads = operation.select(landfall, selection)
    with progress("asking for the objects", total=len(heads), quiet=as_json) as advance:
        plan = operation.plan_replay(landfall, heads, advance)
    if not as_json:
        show.replay_plan(out, plan)
    count = None
    if plan.again and not dry_run:
        confirmed("Replay them?", yes=yes, as_json=as_json)
        with progress("putting back", total=len(plan.again), quiet=as_json) as advance:
            count = operation.replay(landfall, plan, why=WHY, advance=advance)
    if as_json:
        facts.print_json(out, show.replay_json(plan, dry_run=dry_run, count=count))
    elif count is not None:
        show.replayed(out, plan, count)
    if not plan.again:
        sys.exit(1)
