"""`landfall watch`: tell when the pipeline needs a person, without Dagster's daemon."""

import sys
import time
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from pipeline_assets import show
from pipeline_assets.commands.terminal import err, json_option, out, with_landfall
from pipeline_assets.errors import EnvironmentFaultError

if TYPE_CHECKING:
    from pipeline_assets.operations.watch import Watched
    from resources.landfall import Landfall


@click.command(short_help="Alert when something is beyond its limit.")
@click.option("--once", is_flag=True, help="Look once; exit 1 if something is beyond its limit.")
@click.option(
    "--interval",
    type=click.IntRange(1, 86400),
    default=60,
    show_default=True,
    help="Seconds between looks, without --once.",
)
@json_option
@with_landfall
def watch(landfall: "Landfall", *, once: bool, interval: int, as_json: bool) -> None:
    """Alert when files, dates, ticks or dead letters are beyond their limits.

    With --once, for cron: exit 0 and one line when all is well; exit 1 with a line for each breach,
    or with an error when AWS does not answer or an alert could not be sent. The same is alerted
    again only after LANDFALL_WATCH_REPEAT_SECONDS. Without --once it looks until Ctrl-C.
    """
    from pipeline_assets.operations.watch import watch as look  # noqa: PLC0415 - starts quicker

    if not once:
        _go_on(landfall, interval, as_json=as_json)
        return
    repeat = timedelta(seconds=landfall.settings.watch_repeat_seconds)
    watched = look(landfall, repeat)
    _print(watched, as_json=as_json)
    if not watched.is_well:
        sys.exit(1)


def _go_on(landfall: "Landfall", interval: int, *, as_json: bool) -> None:
    """Look until Ctrl-C; an AWS that does not answer is told, and asked again."""
    from pipeline_assets.operations.watch import watch as look  # noqa: PLC0415 - as above

    try:
        while True:
            try:
                _print(look(landfall), as_json=as_json)
            except EnvironmentFaultError as error:
                err.print(f"[bold red]error:[/] {show.escape(str(error))}")
            time.sleep(interval)
    except KeyboardInterrupt:
        return


def _print(watched: "Watched", *, as_json: bool) -> None:
    if watched.refusal:
        err.print(f"[bold red]error:[/] {show.escape(watched.refusal)}")
    if as_json:
        show.print_json(out, asdict(watched))
        return
    for breach in watched.breaches:
        out.print(f"[red]{breach.kind.value}[/] {show.escape(breach.text)}")
    if not watched.breaches:
        out.print("All is well.")
