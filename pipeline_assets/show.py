"""How facts look on a terminal, and as JSON."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from pipeline_assets.report import Status
    from pipeline_assets.work import WorkReport

SHOWN_DATES = 12

__all__ = ["escape", "facts", "spinner", "status", "work"]


def facts(out: Console, values: Mapping[str, object], *, as_json: bool, headline: str) -> None:
    """A few facts: a headline and a line for each, or JSON."""
    if as_json:
        _json(out, values)
        return
    out.print(escape(headline))


def _json(out: Console, values: object) -> None:
    out.print_json(json.dumps(values, default=str))


@contextmanager
def spinner(err: Console, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A line on standard error that says what is being done; yields what sets it."""
    if quiet or not err.is_terminal:
        yield _nothing if quiet else lambda text: _say(err, text)
        return
    with err.status("starting") as line:
        yield lambda text: line.update(escape(text))


def _nothing(_: str) -> None:
    return


def _say(err: Console, text: str) -> None:
    if text.startswith("run "):
        err.print(escape(text))


def status(out: Console, status: "Status", *, as_json: bool) -> None:
    """The state of the pipeline."""
    if as_json:
        _json(out, asdict(status) | {"needs_a_person": status.needs_a_person})
        return
    table = Table("dataset", "files by state", "pending", "oldest", "dirty dates", "held dates")
    for each in status.datasets:
        states = ", ".join(f"{count} {state}" for state, count in each.files.items())
        table.add_row(
            each.dataset,
            states or "none yet",
            str(each.backlog),
            age(each.oldest_pending_seconds),
            some(each.dirty_dates),
            some(tuple(each.held_dates)),
        )
    out.print(table)
    out.print(
        f"landing queue: {status.queue_waiting} waiting, {status.queue_in_flight} in flight; "
        f"its dead-letter queue: {status.dead_letter_messages}"
    )
    _troubles(out, status)


def _troubles(out: Console, status: "Status") -> None:
    for dead in status.dead:
        out.print(f"[red]DEAD[/] {escape(dead.error.message)} ({dead.attempts} attempts)")
    for each in status.datasets:
        for reason in each.held_dates.values():
            out.print(f"[yellow]HELD[/] {escape(reason)}")


def age(seconds: float | None) -> str:
    """A length of time, in the unit that suits it."""
    if seconds is None:
        return "-"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def some(dates: tuple[str, ...]) -> str:
    """The first few dates, and how many more there are."""
    shown = ", ".join(dates[:SHOWN_DATES])
    more = len(dates) - SHOWN_DATES
    return f"{shown} and {more} more" if more > 0 else shown or "-"


def work(out: Console, report: "WorkReport", status: "Status", *, as_json: bool) -> None:
    """What a stretch of work came to."""
    if as_json:
        facts_ = asdict(report) | {"status": asdict(status)}
        _json(out, facts_ | {"needs_a_person": status.needs_a_person})
        return
    for each in status.datasets:
        states = ", ".join(f"{count} {state}" for state, count in each.files.items())
        out.print(f"{each.dataset}: {states or 'no files'}; {report.runs} runs")
    for run in report.failed_runs:
        out.print(f"[yellow]failed run[/] {run}")
    if report.timed_out:
        out.print(f"[red]out of time[/]; still waiting: {report.backlog}")
    if report.unsent:
        out.print(f"[red]dead files not reported[/]: {escape(report.unsent)}")
    _troubles(out, status)
