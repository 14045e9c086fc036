"""`landfall reconcile`: the landing bucket against the ledger."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich.table import Table

from pipeline_assets import show
from pipeline_assets.commands.terminal import err, json_option, out, with_landfall

if TYPE_CHECKING:
    from resources.landfall import Landfall
    from resources.ledger.listing import DateListing, ListingReport

SHOWN = ("listed", "known", "missing", "pending", "dead")
COUNTS = (*SHOWN, "forgotten")
NAMED_KEYS = 10


@click.command()
@click.option("--dataset", help="List only what landed for this dataset.")
@click.option("--all-dates", is_flag=True, help="Print the dates without any trouble too.")
@json_option
@with_landfall
def reconcile(landfall: "Landfall", dataset: str | None, *, all_dates: bool, as_json: bool) -> None:
    """List the landing bucket, register what the ledger does not know, and report by date."""
    from pipeline_assets.operations.reconcile import reconcile as walk  # noqa: PLC0415 - as below
    from pipeline_assets.registry import dataset as find  # noqa: PLC0415 - starts quicker

    declared = find(dataset) if dataset else None
    with show.spinner(err, quiet=as_json) as say:
        report = walk(landfall, declared, say)
    shown = [each for each in report.dates if all_dates or has_news(each)]
    show.facts(out, _facts(report, shown), as_json=as_json, headline=_headline(report))
    if not as_json:
        _tell(report, shown)


def has_news(found: "DateListing") -> bool:
    """Whether a date has anything that is not simply loaded."""
    return bool(found.missing or found.pending or found.dead)


def _counts(found: "Iterable[DateListing]") -> dict[str, int]:
    every = list(found)
    return {name: sum(getattr(each, name) for each in every) for name in COUNTS}


def _facts(report: "ListingReport", shown: "Sequence[DateListing]") -> dict[str, object]:
    names = dict.fromkeys(each.dataset for each in report.dates)
    return {
        "began_at": report.began_at,
        "ended_at": report.ended_at,
        "totals": _counts(report.dates),
        "datasets": {name: _counts(report.of(name).dates) for name in names},
        "dates": [asdict(each) | {"known": each.known} for each in shown],
    }


def _headline(report: "ListingReport") -> str:
    counts = _counts(report.dates)
    told = ", ".join(f"{counts[name]:,} {name}" for name in SHOWN)
    return f"The landing bucket against the ledger: {told}."


def _tell(report: "ListingReport", shown: "Sequence[DateListing]") -> None:
    table = Table()
    for name in ("dataset", "file date"):
        table.add_column(name, no_wrap=True)
    for name in SHOWN:
        table.add_column(name, justify="right")
    for each in shown:
        _row(table, each.dataset, each.file_date, _counts([each]))
    for name in dict.fromkeys(each.dataset for each in report.dates):
        _row(table, name, "all", _counts(report.of(name).dates))
    if report.dates:
        out.print(table)
    totals = _counts(report.dates)
    _keys("registered", [key for each in shown for key in each.missing_keys], totals["missing"])
    _keys("[red]DEAD[/]", [key for each in shown for key in each.dead_keys], totals["dead"])
    if totals["pending"]:
        out.print(f"{totals['pending']:,} wait to be loaded: run `landfall work`.")
    if totals["dead"]:
        out.print("`landfall explain KEY` says why a file is dead and what to do.")


def _row(table: Table, dataset: str, day: str, counts: dict[str, int]) -> None:
    table.add_row(show.escape(dataset), day, *(f"{counts[name]:,}" for name in SHOWN))


def _keys(what: str, keys: Sequence[str], count: int) -> None:
    for key in keys[:NAMED_KEYS]:
        out.print(f"{what} {show.escape(key)}")
    if 0 < len(keys[:NAMED_KEYS]) < count:
        out.print(f"{what} and {count - len(keys[:NAMED_KEYS]):,} more")
