"""`landfall dead-letters`: the files that nothing tries again by itself."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from pipeline_assets import show
from pipeline_assets.commands.terminal import dataset_option, json_option, out, with_landfall

if TYPE_CHECKING:
    from resources.landfall import Landfall


@click.command("dead-letters", short_help="List dead files with their errors and next steps.")
@dataset_option("Only the dead files of this dataset.", or_none=True)
@json_option
@with_landfall
def dead_letters(landfall: "Landfall", dataset: str | None, *, as_json: bool) -> None:
    """Dead files: key, attempts, time, error, what to do next; and how full the queues are."""
    from pipeline_assets.operations.dead_letters import dead_files  # noqa: PLC0415 - starts quicker
    from pipeline_assets.show_listings import dead_files_told  # noqa: PLC0415 - as above

    dead = dead_files(landfall, dataset)
    if as_json:
        show.print_json(out, asdict(dead))
    else:
        dead_files_told(out, dead, has_queue=landfall.queue.exists)
