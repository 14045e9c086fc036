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
    from pipeline_assets.report import Status, Story
    from pipeline_assets.work import WorkReport

SHOWN_DATES = 12

__all__ = ["escape", "facts", "spinner", "status", "story", "work"]


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
    _troubles(out, status)


def story(out: Console, story: "Story", *, as_json: bool) -> None:
    """One file's story."""
    if as_json:
        _json(out, asdict(story))
        return
    head = story.head
    out.print(f"[bold]s3://{head.bucket}/{escape(head.key)}[/]")
    out.print(
        f"file {head.file_id}, dataset {head.dataset}, file date {head.file_date}, "
        f"{head.size:,} bytes, ETag {head.etag}"
    )
    out.print(f"[bold]{story.state}[/] in epoch {head.epoch} after {head.attempts} attempts")
    for step in head.history:
        run = f", run {step.run_id}" if step.run_id else ""
        note = f": {escape(step.note)}" if step.note else ""
        out.print(
            f"  {step.at}  {step.state} (epoch {step.epoch}, attempt {step.attempt}{run}){note}"
        )
    if story.request:
        out.print(f"It travels in run request {story.request.request_id}.")
    _fragments(out, story)
    if head.error:
        out.print(f"[red]{head.error.kind}[/]: {escape(head.error.message)}")
    out.print(f"[bold]Next:[/] {story.what_next}")


def _fragments(out: Console, story: "Story") -> None:
    if not story.fragments:
        return
    clean = {date.event_date: not date.dirty for date in story.dates}
    table = Table("event date", "rows", "malformed", "tables of the date")
    for each in story.fragments:
        state = "up to date" if clean.get(each.event_date) else "to be refreshed"
        state = "held" if each.event_date in story.held else state
        table.add_row(each.event_date, str(each.rows), str(each.malformed), state)
    out.print(f"{story.head.records} records, {story.head.malformed} of them malformed:")
    out.print(table)
    for each in story.fragments:
        out.print(f"  {escape(each.fragment_key)}", style="dim")
    for reason in story.held.values():
        out.print(f"[yellow]HELD[/] {escape(reason)}")
