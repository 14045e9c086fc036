"""`landfall dead-letters`: the files that nothing tries again by itself."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from pipeline_assets import show
from pipeline_assets.commands.terminal import dataset_option, json_option, out, with_landfall

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline_assets.operations.dead_letters import DeadFiles, ListedFile
    from resources.landfall import Landfall

INDENT = 2


@click.command("dead-letters", short_help="List dead files with their errors and next steps.")
@dataset_option("Only the dead files of this dataset.", or_none=True)
@json_option
@with_landfall
def dead_letters(landfall: "Landfall", dataset: str | None, *, as_json: bool) -> None:
    """Dead files: key, attempts, time, error, what to do next; and how full the queues are."""
    from pipeline_assets.operations.dead_letters import dead_files  # noqa: PLC0415 - starts quicker

    dead = dead_files(landfall, dataset)
    if as_json:
        show.print_json(out, asdict(dead))
    else:
        tell(out, dead, has_queue=landfall.queue.exists)


def tell(out: "Console", dead: "DeadFiles", *, has_queue: bool) -> None:
    """Print a block for each file, then how full the queues are.

    ``has_queue`` is whether there is a landing queue at all.
    """
    for each in dead.files:
        _block(out, each)
    out.print(show.number(len(dead.files), "dead file") if dead.files else "No file is dead.")
    waiting = f" ({dead.unreported:,} not sent yet)" if dead.unreported else ""
    landing = dead.landing_dead_letters if has_queue else None
    out.print(f"dead-letter queue: {_depth(dead.dead_letters)}{waiting}")
    out.print(f"the landing queue's dead-letter queue: {_depth(landing)}")


def _block(out: "Console", each: "ListedFile") -> None:
    """A key in a line of its own, whole however narrow the terminal: it is there to be copied."""
    when = each.at.partition(".")[0].replace("T", " ")
    message = each.message.removeprefix(f"{each.key}: ")
    tried = f"{show.number(each.attempts, 'attempt')}, dead since {when} UTC"
    out.print(f"[bold]{show.escape(each.key)}[/]", soft_wrap=True)
    for text in (
        f"{show.escape(each.dataset)}, file id {each.file_id}, {tried}",
        f"[red]{show.escape(each.error)}[/]: {show.escape(message)}",
        f"Next: {show.escape(each.next_step)}",
    ):
        show.prose(out, text, indent=INDENT)


def _depth(messages: int | None) -> str:
    return "there is none" if messages is None else show.number(messages, "message")
