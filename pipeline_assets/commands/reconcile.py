"""`landfall reconcile`: the landing bucket against the ledger."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich.table import Table

from pipeline_assets import show
from pipeline_assets.commands.terminal import dataset_option, err, json_option, out, with_landfall

if TYPE_CHECKING:
    from rich.console import Console

    from resources.landfall import Landfall
    from resources.ledger.listing import DateListing, ListingReport

SHOWN = ("listed", "known", "missing", "pending", "dead", "forgotten")
NAMED_KEYS = 10
INDENT = 2
WIDEST = 1000
"""Columns of a terminal that no table of dates fills."""


@click.command(short_help="Register what landed and no notification brought; report it.")
@dataset_option("List only what landed for this dataset.")
@click.option("--all-dates", is_flag=True, help="Print the dates without any trouble too.")
@json_option
@with_landfall
def reconcile(landfall: "Landfall", dataset: str | None, *, all_dates: bool, as_json: bool) -> None:
    """List the landing bucket, register what the ledger does not know, and report by date."""
    from pipeline_assets.operations.reconcile import reconcile as walk  # noqa: PLC0415 - as below
    from pipeline_assets.registry import dataset as find  # noqa: PLC0415 - starts quicker

    declared = None if dataset is None else find(dataset)
    with show.spinner(err, quiet=as_json) as say:
        report = walk(landfall, declared, say)
    shown = [each for each in report.dates if all_dates or has_news(each)]
    if as_json:
        show.print_json(out, _facts(report, shown))
    else:
        tell(out, report, shown)


def has_news(found: "DateListing") -> bool:
    """Whether a date has anything that is not simply loaded."""
    return bool(found.missing or found.pending or found.dead)


def _counts(found: "Iterable[DateListing]") -> dict[str, int]:
    from resources.ledger.listing import counts  # noqa: PLC0415 - as above

    return counts(found)


def _facts(report: "ListingReport", shown: "Sequence[DateListing]") -> dict[str, object]:
    names = dict.fromkeys(each.dataset for each in report.dates)
    return {
        "began_at": report.began_at,
        "ended_at": report.ended_at,
        "totals": _counts(report.dates),
        "datasets": {name: _counts(report.of(name).dates) for name in names},
        "dates": [asdict(each) | {"known": each.known} for each in shown],
    }


def tell(out: "Console", report: "ListingReport", shown: "Sequence[DateListing]") -> None:
    """Print what a walk found: all of it in a line, the shown dates, examples of keys."""
    totals = _counts(report.dates)
    show.prose(out, f"The landing bucket against the ledger: {_told(totals)}.")
    if report.dates:
        _dates(out, list(_lines(report, shown)))
    _keys(
        out, "registered", [key for each in shown for key in each.missing_keys], totals["missing"]
    )
    _keys(out, "[red]DEAD[/]", [key for each in shown for key in each.dead_keys], totals["dead"])
    if totals["pending"]:
        wait = "waits" if totals["pending"] == 1 else "wait"
        files = show.number(totals["pending"], "file")
        show.prose(out, f"{files} {wait} to be loaded: run `landfall work --until-idle`.")
    if totals["dead"]:
        show.prose(out, "`landfall explain KEY` says why a file is dead and what to do.")


def _lines(
    report: "ListingReport", shown: "Sequence[DateListing]"
) -> Iterator[tuple[str, str, Mapping[str, int]]]:
    """Dataset, date and counts; each dataset's sum comes last."""
    for each in shown:
        yield each.dataset, each.file_date, _counts([each])
    for name in dict.fromkeys(each.dataset for each in report.dates):
        yield name, "all", _counts(report.of(name).dates)


def _dates(out: "Console", lines: Sequence[tuple[str, str, Mapping[str, int]]]) -> None:
    """A table where it fits, else a block for each date."""
    table = Table()
    for name in ("dataset", "file date"):
        table.add_column(name, no_wrap=True)
    for name in SHOWN:
        table.add_column(name, justify="right", no_wrap=True)
    for dataset, day, counts in lines:
        table.add_row(show.escape(dataset), day, *(f"{counts[name]:,}" for name in SHOWN))
    needed = out.measure(table, options=out.options.update(max_width=WIDEST)).maximum
    if needed <= out.width:
        out.print(table)
        return
    for dataset, day, counts in lines:
        out.print(f"[bold]{show.escape(dataset)} {day}[/]")
        show.prose(out, _told(counts), indent=INDENT)


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[name]:,} {name}" for name in SHOWN)


def _keys(out: "Console", what: str, keys: Sequence[str], count: int) -> None:
    for key in keys[:NAMED_KEYS]:
        out.print(f"{what} {show.escape(key)}")
    if 0 < len(keys[:NAMED_KEYS]) < count:
        out.print(f"{what} and {count - len(keys[:NAMED_KEYS]):,} more")
