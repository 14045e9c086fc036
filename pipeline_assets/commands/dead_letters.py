"""`landfall dead-letters`: the files that nothing tries again by itself."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich.table import Table

from pipeline_assets import show
from pipeline_assets.commands.terminal import json_option, out, with_landfall

if TYPE_CHECKING:
    from pipeline_assets.operations.dead_letters import DeadFiles
    from resources.landfall import Landfall

COLUMNS = ("key, dataset", "attempts, when", "error, message", "next step")


@click.command("dead-letters")
@click.option("--dataset", help="Only the dead files of this dataset.")
@json_option
@with_landfall
def dead_letters(landfall: "Landfall", dataset: str | None, *, as_json: bool) -> None:
    """Dead files: key, attempts, time, error, what to do next; and how full the queues are."""
    from pipeline_assets.operations.dead_letters import dead_files  # noqa: PLC0415 - starts quicker
    from pipeline_assets.registry import datasets  # noqa: PLC0415
    from resources.ledger.model import NO_DATASET  # noqa: PLC0415

    names = [*(each.name for each in datasets()), NO_DATASET]
    if dataset is not None and dataset not in names:
        hint = f"{dataset!r} is none of {', '.join(map(repr, names))}"
        raise click.BadParameter(hint, param_hint="--dataset")
    dead = dead_files(landfall, dataset)
    if as_json:
        show.facts(out, asdict(dead), as_json=True, headline="")
    else:
        _print(dead)


def _print(dead: "DeadFiles") -> None:
    if dead.files:
        out.print(_table(dead))
    else:
        out.print("No file is dead.")
    waiting = f" ({dead.unreported} not sent yet)" if dead.unreported else ""
    out.print(
        f"dead-letter queue: {_depth(dead.dead_letters)}{waiting}; "
        f"the landing queue's dead-letter queue: {_depth(dead.landing_dead_letters)}"
    )


def _table(dead: "DeadFiles") -> Table:
    """Nothing is cut off in it, however narrow the terminal: keys are there to be copied."""
    table = Table(show_lines=True)
    for name in COLUMNS:
        table.add_column(name, overflow="fold")
    for each in dead.files:
        message = each.message.removeprefix(f"{each.key}: ")
        when = each.at.partition(".")[0].replace("T", " ")
        cells = (
            f"{each.key}\n{each.dataset}",
            f"{each.attempts}\n{when}",
            f"{each.error}\n{message}",
            each.next_step,
        )
        table.add_row(*map(show.escape, cells))
    return table


def _depth(messages: int | None) -> str:
    return "there is none" if messages is None else f"{messages} messages"
