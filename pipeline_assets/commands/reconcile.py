"""`landfall reconcile`: the landing bucket against the ledger."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from pipeline_assets import show
from pipeline_assets.commands.terminal import dataset_option, err, json_option, out, with_landfall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resources.landfall import Landfall
    from resources.ledger.listing import DateListing, ListingReport


@click.command(short_help="Register what landed and no notification brought; report it.")
@dataset_option("List only what landed for this dataset.")
@click.option("--all-dates", is_flag=True, help="Print the dates without any trouble too.")
@json_option
@with_landfall
def reconcile(landfall: "Landfall", dataset: str | None, *, all_dates: bool, as_json: bool) -> None:
    """List the landing bucket, register what the ledger does not know, and report by date."""
    from pipeline_assets.operations.reconcile import reconcile as walk  # noqa: PLC0415 - as below
    from pipeline_assets.registry import dataset as find  # noqa: PLC0415 - starts quicker
    from pipeline_assets.show_listings import has_news, listing_told  # noqa: PLC0415 - as above

    declared = None if dataset is None else find(dataset)
    with show.spinner(err, quiet=as_json) as say:
        report = walk(landfall, declared, say)
    shown = [each for each in report.dates if all_dates or has_news(each)]
    if as_json:
        show.print_json(out, _facts(report, shown))
    else:
        listing_told(out, report, shown)


def _facts(report: "ListingReport", shown: "Sequence[DateListing]") -> dict[str, object]:
    from resources.ledger.listing import counts  # noqa: PLC0415 - as above

    names = dict.fromkeys(each.dataset for each in report.dates)
    return {
        "began_at": report.began_at,
        "ended_at": report.ended_at,
        "totals": counts(report.dates),
        "datasets": {name: counts(report.of(name).dates) for name in names},
        "dates": [asdict(each) | {"known": each.known} for each in shown],
    }
