"""How lists of files and dates look on a terminal, and in the logs of the jobs."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from pipeline_assets.operations.dead_letters import DeadFiles, ListedFile
from pipeline_assets.show import escape, number, prose
from resources.ledger.listing import COUNTS, DateListing, ListingReport, counts

NAMED_KEYS = 10
INDENT = 2
WIDEST = 1000
"""Columns of a terminal that no table of dates fills."""


def dead_files_told(out: Console, dead: DeadFiles, *, has_queue: bool) -> None:
    """Print a block for each file, then how full the queues are.

    ``has_queue`` is whether there is a landing queue at all.
    """
    for each in dead.files:
        _block(out, each)
    out.print(number(len(dead.files), "dead file") if dead.files else "No file is dead.")
    waiting = f" ({dead.unreported:,} not sent yet)" if dead.unreported else ""
    landing = dead.landing_dead_letters if has_queue else None
    out.print(f"dead-letter queue: {_depth(dead.dead_letters)}{waiting}")
    out.print(f"the landing queue's dead-letter queue: {_depth(landing)}")


def _block(out: Console, each: ListedFile) -> None:
    """A key in a line of its own, whole however narrow the terminal: it is there to be copied."""
    when = each.at.partition(".")[0].replace("T", " ")
    message = each.message.removeprefix(f"{each.key}: ")
    tried = f"{number(each.attempts, 'attempt')}, dead since {when} UTC"
    out.print(f"[bold]{escape(each.key)}[/]", soft_wrap=True)
    for text in (
        f"{escape(each.dataset)}, file id {each.file_id}, {tried}",
        f"[red]{escape(each.error)}[/]: {escape(message)}",
        f"Next: {escape(each.next_step)}",
    ):
        prose(out, text, indent=INDENT)


def _depth(messages: int | None) -> str:
    return "there is none" if messages is None else number(messages, "message")


def has_news(found: DateListing) -> bool:
    """Whether a date has anything that is not simply loaded."""
    return bool(found.missing or found.pending or found.dead)


def listing_told(out: Console, report: ListingReport, shown: Sequence[DateListing]) -> None:
    """Print what a walk found: all of it in a line, the shown dates, examples of keys."""
    totals = counts(report.dates)
    prose(out, f"The landing bucket against the ledger: {_told(totals)}.")
    if report.dates:
        _dates(out, list(_lines(report, shown)))
    _keys(
        out, "registered", [key for each in shown for key in each.missing_keys], totals["missing"]
    )
    _keys(out, "[red]DEAD[/]", [key for each in shown for key in each.dead_keys], totals["dead"])
    if totals["pending"]:
        wait = "waits" if totals["pending"] == 1 else "wait"
        files = number(totals["pending"], "file")
        prose(out, f"{files} {wait} to be loaded: run `landfall work --until-idle`.")
    if totals["dead"]:
        prose(out, "`landfall explain KEY` says why a file is dead and what to do.")


def _lines(
    report: ListingReport, shown: Sequence[DateListing]
) -> Iterator[tuple[str, str, Mapping[str, int]]]:
    """Dataset, date and counts; each dataset's sum comes last."""
    for each in shown:
        yield each.dataset, each.file_date, counts([each])
    for name in dict.fromkeys(each.dataset for each in report.dates):
        yield name, "all", counts(report.of(name).dates)


def _dates(out: Console, lines: Sequence[tuple[str, str, Mapping[str, int]]]) -> None:
    """A table where it fits, else a block for each date."""
    table = Table()
    for name in ("dataset", "file date"):
        table.add_column(name, no_wrap=True)
    for name in COUNTS:
        table.add_column(name, justify="right", no_wrap=True)
    for dataset, day, found in lines:
        table.add_row(escape(dataset), day, *(f"{found[name]:,}" for name in COUNTS))
    needed = out.measure(table, options=out.options.update(max_width=WIDEST)).maximum
    if needed <= out.width:
        out.print(table)
        return
    for dataset, day, found in lines:
        out.print(f"[bold]{escape(dataset)} {day}[/]")
        prose(out, _told(found), indent=INDENT)


def _told(found: Mapping[str, int]) -> str:
    return ", ".join(f"{found[name]:,} {name}" for name in COUNTS)


def _keys(out: Console, what: str, keys: Sequence[str], count: int) -> None:
    for key in keys[:NAMED_KEYS]:
        out.print(f"{what} {escape(key)}")
    if 0 < len(keys[:NAMED_KEYS]) < count:
        out.print(f"{what} and {count - len(keys[:NAMED_KEYS]):,} more")
