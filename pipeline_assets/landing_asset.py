"""The landing bucket as an asset at the head of the graph, and the check that none of it is lost.

Walks through the bucket report by file date; the check tells Dagster of it: one evaluation for the
whole of a dataset, and one for a date when what there is to say of it changes. Both are without a
partition: of evaluations outside of a run, Dagster 1.13 stores one for each partition and refuses
every later one (its index ``idx_asset_check_executions_unique``).
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import dagster as dg

from pipeline_assets.dataset import Dataset
from pipeline_assets.operations.reconcile import reconcile
from pipeline_assets.registry import datasets
from resources.landfall import Landfall
from resources.ledger.listing import (
    COUNTS,
    KEYS_NAMED,
    DateListing,
    ListingReport,
    Told,
    counts,
)
from resources.ledger.model import is_due, utc_now, utc_text

COMPLETE = "complete"
DATES_SHOWN = 366
"""Rows of the table of dates in an evaluation: an event holds it whole."""
DATES_NAMED = 10
DATES_TOLD_AT_ONCE = 100
"""Evaluations of dates in one tick; those that are left come with the next one."""
MEND = (
    "`landfall explain KEY` has the error: land a sound file at the same key, or mend the cause "
    "and run `landfall replay --key KEY`."
)


def landing_key(dataset: str) -> dg.AssetKey:
    """Asset key of a dataset's part of the landing bucket."""
    return dg.AssetKey(["landing", dataset])


def landing_spec(dataset: Dataset) -> dg.AssetSpec:
    """The landing bucket's prefix as an asset that others fill, at the head of the graph."""
    return dg.AssetSpec(
        landing_key(dataset.name),
        group_name="landing",
        kinds={"s3"},
        description=(
            f"Files that partners and services drop below {dataset.name}/ of the landing bucket. "
            "A notification per file reaches the landing sensor, which starts its run; the "
            "reconcile sensor finds what no notification told."
        ),
    )


def landing_check(dataset: Dataset) -> dg.AssetChecksDefinition:
    """The check of a dataset's part of the bucket; executed by hand, it lists all of it."""

    @dg.asset_check(
        asset=landing_key(dataset.name),
        name=COMPLETE,
        description=(
            "Every object of the bucket is known to the ledger and none of them is dead. Files "
            "that wait to be loaded are named and pass; so do objects that no notification told, "
            "for the listing that finds them registers them."
        ),
    )
    def check(landfall: dg.ResourceParam[Landfall]) -> dg.AssetCheckResult:
        found = whole(dataset.name, reconcile(landfall, dataset))
        return dg.AssetCheckResult(
            passed=found.passed, description=found.description, metadata=found.metadata
        )

    return check


def tell(landfall: Landfall, instance: dg.DagsterInstance) -> None:
    """Tell Dagster what the last finished walk found, unless it knows.

    It is noted afterwards: after a crash in between it is told twice, never not at all.
    """
    listing = landfall.ledger.listing
    finished = listing.walk().last_finished
    told = [listing.told(dataset.name) for dataset in datasets()]
    behind = [each for each in told if each.number < finished]
    report = listing.report() if behind else None
    if report is None:
        return
    # Walks without a queue follow each other at once: telling each of them would be noise.
    pause = 0.0 if landfall.queue.exists else landfall.settings.reconcile_seconds
    for each in behind:
        events, now_told = news(report.of(each.dataset), each, timedelta(seconds=pause))
        for event in events:
            instance.report_runless_asset_event(event)
        listing.tell(now_told)


def news(
    report: ListingReport, told: Told, pause: timedelta
) -> tuple[list[dg.AssetCheckEvaluation], Told]:
    """What there is to tell of a walk.

    Args:
        report: what the walk found of the dataset.
        told: what was told of the dataset before.
        pause: the whole is told again only after so long, if no date has changed.

    Returns:
        Evaluations in the order in which they are to be told: Dagster shows the last one as the
        state of the check, so the whole comes after its dates. Then what will be told by them.
    """
    found = {each.file_date: each for each in report.dates}
    failing = {day: each.dead for day, each in found.items() if not each.is_complete}
    changed = [day for day, dead in failing.items() if told.failing.get(day) != dead]
    changed += [day for day in told.failing if day not in failing]
    at_once = sorted(changed)[:DATES_TOLD_AT_ONCE]
    events = [_of_date(found.get(day, DateListing(told.dataset, day))) for day in at_once]
    stands = {**told.failing, **{day: failing.get(day, 0) for day in at_once}}
    now_told = replace(told, failing={day: dead for day, dead in stands.items() if dead})
    if len(changed) > len(at_once):
        return events, now_told
    now = utc_now()
    if changed or not told.at or _is_over(told.at, pause, now):
        events.append(whole(told.dataset, report))
        now_told = replace(now_told, at=utc_text(now))
    return events, replace(now_told, number=report.number)


def _is_over(since: str, pause: timedelta, now: datetime) -> bool:
    again = utc_text(datetime.fromisoformat(since) + pause)
    return is_due(again, pause.total_seconds(), now)


def whole(dataset: str, report: ListingReport) -> dg.AssetCheckEvaluation:
    """What a walk found of a dataset: totals, and a table of its dates, incomplete ones first."""
    failing = [each for each in report.dates if not each.is_complete]
    rows = sorted(report.dates, key=lambda each: each.file_date, reverse=True)
    rows.sort(key=lambda each: (each.is_complete, each.missing == 0))
    return dg.AssetCheckEvaluation(
        asset_key=landing_key(dataset),
        check_name=COMPLETE,
        passed=not failing,
        description=_description(report, failing),
        metadata={
            **counts(rows),
            "dates": len(rows),
            "incomplete_dates": len(failing),
            "began_at": report.began_at,
            "ended_at": report.ended_at,
            "by_date": dg.MetadataValue.table(
                records=[_row(each) for each in rows[:DATES_SHOWN]], schema=_SCHEMA
            ),
        },
    )


def _description(report: ListingReport, failing: Sequence[DateListing]) -> str:
    listed = sum(each.listed for each in report.dates)
    missing = sum(each.missing for each in report.dates)
    pending = sum(each.pending for each in report.dates)
    said = [f"{listed} objects of {len(report.dates)} file dates."]
    if missing:
        said.append(f"{missing} new to the ledger, registered now.")
    if pending:
        said.append(f"{pending} to be loaded.")
    if not failing:
        return " ".join([*said, "None is dead."])
    named = ", ".join(f"{each.file_date} ({each.dead})" for each in failing[:DATES_NAMED])
    more = f" and {len(failing) - DATES_NAMED} more" if len(failing) > DATES_NAMED else ""
    keys = [key for each in failing for key in each.dead_keys][:KEYS_NAMED]
    return " ".join([*said, f"Dead files: {named}{more}; among them {', '.join(keys)}. {MEND}"])


def _of_date(found: DateListing) -> dg.AssetCheckEvaluation:
    said = "Every object is known and none is dead."
    if not found.is_complete:
        said = f"{found.dead} of {found.listed} objects are dead: {', '.join(found.dead_keys)}"
        said += f"{' and others' if found.dead > len(found.dead_keys) else ''}. {MEND}"
    return dg.AssetCheckEvaluation(
        asset_key=landing_key(found.dataset),
        check_name=COMPLETE,
        passed=found.is_complete,
        description=f"{found.file_date}: {said}",
        metadata={"file_date": found.file_date, **counts([found])},
    )


_SCHEMA = dg.TableSchema(
    [
        dg.TableColumn("file_date", "string"),
        *(dg.TableColumn(name, "int") for name in COUNTS),
        dg.TableColumn("complete", "bool"),
        dg.TableColumn("dead_keys", "string"),
    ]
)


def _row(found: DateListing) -> dg.TableRecord:
    keys = ", ".join(found.dead_keys)
    return dg.TableRecord(
        {
            "file_date": found.file_date,
            **counts([found]),
            "complete": found.is_complete,
            "dead_keys": keys,
        }
    )
