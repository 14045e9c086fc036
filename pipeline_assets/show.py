"""How facts look on a terminal, and as JSON."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich import markup
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.padding import Padding
from rich.table import Table

if TYPE_CHECKING:
    from pipeline_assets.report import DatasetStatus, Status
    from pipeline_assets.work import Backlog, WorkReport
    from resources.ledger.model import DeadFile

SHOWN_DATES = 12
SHOWN_DEAD = 20
SHOWN_HELD = 20
SHOWN_REASON = 400
"""Characters of why a date is held; the whole of it is in the answer as JSON."""
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (C0, DEL, C1), marks that turn the direction of what follows, and halves of
surrogate pairs, which stand for bytes that are no UTF-8 and cannot be printed."""
BYTE = 0xFF
WAY_OUT = (
    "HELD dates stay as they are: land sound files at the same keys, take out one that "
    "should never have come with `landfall forget --key KEY`, or mend the contract."
)


def visible(text: str) -> str:
    r"""Text of which nothing reaches a terminal as a command: control characters as ``\x1b``."""
    return UNSEEN.sub(_code, text)


def _code(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code <= BYTE else f"\\u{code:04x}"


def escape(text: str) -> str:
    """Text from outside (keys, messages, records) for printing: neither control nor markup."""
    return markup.escape(visible(text))


def number(count: int, noun: str) -> str:
    """A count and its noun, in the plural where it belongs."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def prose(out: Console, text: str, *, indent: int = 0) -> None:
    """A sentence: wrapped between words at a terminal, in one line elsewhere."""
    if out.is_terminal:
        out.print(Padding(text, (0, 0, 0, indent), expand=False), soft_wrap=False)
    else:
        out.print(" " * indent + text, soft_wrap=True)


def facts(out: Console, values: Mapping[str, object], *, as_json: bool, headline: str) -> None:
    """A few facts: a headline and a line for each, or JSON."""
    if as_json:
        print_json(out, values)
        return
    out.print(escape(headline))


def print_json(out: Console, values: Mapping[str, object]) -> None:
    r"""Facts as JSON; what a terminal would obey or cannot show is written as ``\u001b``."""
    text = json.dumps(values, default=str, ensure_ascii=False, indent=2)
    lines = (UNSEEN.sub(_json_code, line) for line in text.split("\n"))
    out.print(JSONHighlighter()("\n".join(lines)), soft_wrap=True)


def _json_code(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


@contextmanager
def spinner(err: Console, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A line on standard error that says what is being done; yields what sets it."""
    if quiet or not err.is_terminal:
        yield _nothing if quiet else lambda text: _say(err, text)
        return
    # On a descriptor of its own: while a run captures what it prints, the other one is its log's.
    with os.fdopen(os.dup(err.file.fileno()), "w") as terminal:
        own = Console(file=terminal, highlight=False, soft_wrap=True, emoji=False)
        with own.status("starting") as line:
            yield lambda text: line.update(escape(text))


def _nothing(_: str) -> None:
    return


def _say(err: Console, text: str) -> None:
    if text.startswith("run "):
        err.print(escape(text))


def status(out: Console, status: "Status", *, as_json: bool) -> None:
    """The state of the pipeline."""
    if as_json:
        print_json(out, asdict(status) | {"needs_a_person": status.needs_a_person})
        return
    table = Table("dataset", "files by state", "pending", "oldest", "dirty dates", "held dates")
    for each in status.datasets:
        table.add_row(
            each.dataset,
            _states(each) or "none yet",
            str(each.backlog),
            age(each.oldest_pending_seconds),
            some(each.dirty_dates),
            some(tuple(each.held_dates)),
        )
    out.print(table)
    out.print(queue_line(status))
    _troubles(out, status)


def queue_line(status: "Status") -> str:
    """How full the landing queue is, or that there is none."""
    if not status.has_queue:
        return "landing queue: none is set, so walks through the bucket find what landed"
    return (
        f"landing queue: {status.queue_waiting:,} waiting, {status.queue_in_flight:,} in flight; "
        f"its dead-letter queue: {status.dead_letter_messages:,}"
    )


def _states(each: "DatasetStatus") -> str:
    return ", ".join(f"{count:,} {state}" for state, count in each.files.items())


def _troubles(out: Console, status: "Status") -> None:
    _dead(out, status.dead)
    held = [
        f"[yellow]HELD[/] {escape(_shortened(reason))}"
        for each in status.datasets
        for reason in each.held_dates.values()
    ]
    for line in held[:SHOWN_HELD]:
        out.print(line)
    if len(held) > SHOWN_HELD:
        out.print(f"[yellow]HELD[/] and {len(held) - SHOWN_HELD:,} more: landfall status --json")
    if held:
        prose(out, WAY_OUT)


def _dead(out: Console, dead: "Sequence[DeadFile]") -> None:
    for each in dead[:SHOWN_DEAD]:
        tried = number(each.attempts, "attempt")
        out.print(f"[red]DEAD[/] {escape(each.error.message)} ({tried})")
    if len(dead) > SHOWN_DEAD:
        out.print(f"[red]DEAD[/] and {len(dead) - SHOWN_DEAD:,} more: landfall dead-letters")


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_REASON else f"{text[:SHOWN_REASON]}..."


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
    return f"{shown} and {more:,} more" if more > 0 else shown or "-"


def work(out: Console, report: "WorkReport", status: "Status", *, as_json: bool) -> None:
    """What a stretch of work came to."""
    if as_json:
        facts_ = asdict(report) | {"status": asdict(status)}
        print_json(out, facts_ | {"needs_a_person": status.needs_a_person})
        return
    for each in status.datasets:
        out.print(f"{escape(each.dataset)}: {_states(each) or 'no files'}")
    out.print(number(report.runs, "run"))
    for run in report.failed_runs:
        out.print(f"[yellow]failed run[/] {escape(run)}")
    if report.timed_out and report.backlog:
        out.print(f"[red]out of time[/]; still waiting: {backlog(report.backlog)}")
    if report.unsent:
        out.print(f"[red]dead files not reported[/]: {escape(report.unsent)}")
    _troubles(out, status)


def backlog(left: "Backlog") -> str:
    """What waits, without what does not."""
    counts = (
        (left.messages, "message"),
        (left.files, "file"),
        (left.requests, "run request"),
        (left.dates, "date"),
        (left.letters, "letter"),
    )
    return ", ".join(number(count, noun) for count, noun in counts if count) or "nothing"
