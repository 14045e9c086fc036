"""Silver and quarantine: a whole event date recomputed from its fragments, replaced at once.

``bronze_rows`` gathers what a date is made of, ``refine`` (a pure function) computes it, one that
is larger than memory bucket by bucket. The asset refuses a date before anything of it is written. A
run over many dates in which one is refused writes none of them: the refused date is held, and its
neighbours are refreshed one by one.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import TypeAlias

import dagster as dg
import polars as pl

from pipeline_assets.account import DateAccount, undated_files
from pipeline_assets.bronze_rows import read_date, stream_date
from pipeline_assets.buckets import EncodedDate, bucket_count, refine_in_buckets
from pipeline_assets.checks import Verdict, results, silver_checks, silver_verdicts
from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import DateRefusedError, LandfallError
from pipeline_assets.holding import Holding, give_back
from pipeline_assets.layers import Layer, lake_out, partitioned
from pipeline_assets.refine import RefinedDate, refine
from pipeline_assets.refusal import refusal
from resources.lake import TableName
from resources.landfall import Landfall
from resources.ledger.dates import Refresh
from resources.ledger.model import DateCounts, Fragment
from resources.parquet import EncodedTable
from resources.s3_parquet import Replacement

LakeEvent: TypeAlias = (
    dg.Output[Mapping[str, Replacement]]
    | dg.MaterializeResult[None]
    | dg.AssetCheckResult
    | dg.AssetCheckEvaluation
)
"""What the step of a layer in the lake yields."""

DESCRIPTION = (
    "{what} One partition per event date (the UTC day of the row's own time). Rows of one date may "
    "come from files of several file dates: the ledger knows which, the graph shows the same date."
)
VALID = "Valid rows, once each. "
REJECTED = (
    "Rows that could not be parsed or break the contract, with their reasons and the original "
    "record."
)


@dataclass(frozen=True)
class RefreshedDate:
    """A date computed and not yet written: what it replaces, and as of which version."""

    refresh: Refresh
    account: DateAccount
    silver: pl.DataFrame | EncodedTable
    quarantine: pl.DataFrame | EncodedTable
    silver_etag: str | None
    quarantine_etag: str | None

    @property
    def counts(self) -> DateCounts:
        """The account as the ledger keeps it."""
        return DateCounts(
            bronze=self.account.bronze_rows,
            silver=self.account.silver_rows,
            quarantined=self.account.quarantined,
            duplicates=self.account.duplicates,
        )

    def drop(self) -> None:
        """Drop the tables that were encoded, whether they were written or not."""
        for table in (self.silver, self.quarantine):
            if isinstance(table, EncodedTable):
                table.body.close()


def silver_table(dataset: Dataset) -> TableName:
    """The dataset's silver table."""
    return TableName("silver", dataset.name)


def quarantine_table(dataset: Dataset) -> TableName:
    """The dataset's quarantine table."""
    return TableName("quarantine", dataset.name)


def refresh_date(holding: Holding, refresh: Refresh) -> RefreshedDate:
    """Compute a date from its manifest, and note what it is going to replace.

    Raises:
        DateRefusedError: a fragment is missing, or has other rows than its manifest says; or the
            ledger is behind the tables, and nobody asked for the date by hand.
        LeaseLostError: another run holds the date.
    """
    landfall, dataset, day = holding.landfall, holding.dataset, refresh.event_date
    stored = landfall.lake.stat(silver_table(dataset), day)
    quarantined = landfall.lake.stat(quarantine_table(dataset), day)
    latest = max((each.version or 0 for each in (stored, quarantined) if each), default=0)
    if latest > refresh.version:
        if holding.request_id is not None:
            raise DateRefusedError(dataset.name, day, _behind(latest, refresh.version))
        refresh = holding.catch_up(refresh, latest)
    manifest = landfall.ledger.dates.manifest(dataset.name, day)
    refined = _refined(landfall, dataset, manifest, refresh)
    return RefreshedDate(
        refresh,
        _with_rows_elsewhere(holding, manifest, refined.account),
        refined.silver,
        refined.quarantine,
        stored.etag if stored else None,
        quarantined.etag if quarantined else None,
    )


def _refined(
    landfall: Landfall, dataset: Dataset, manifest: Sequence[Fragment], refresh: Refresh
) -> RefinedDate | EncodedDate:
    """The date's tables: as frames where its rows fit into one bucket, else as Parquet files."""
    day = date.fromisoformat(refresh.event_date)
    keys = {entry.file_id: entry.landing_key for entry in manifest}
    rows = sum(entry.rows for entry in manifest)
    buckets = bucket_count(rows, dataset, rows_per_bucket=landfall.settings.max_rows_per_bucket)
    refine_part = partial(refine, dataset=dataset, event_date=day, landing_keys=keys)
    if buckets == 1:
        return refine_part(read_date(landfall, dataset, manifest))
    return refine_in_buckets(
        stream_date(landfall, dataset, manifest),
        dataset,
        refine_part,
        buckets=buckets,
        version=refresh.version,
    )


def _with_rows_elsewhere(
    holding: Holding, manifest: Sequence[Fragment], account: DateAccount
) -> DateAccount:
    """Hold rows that nothing dates against their whole files, whose other rows are elsewhere.

    One broken line of a thousand would else be all that its file has on this date, and hold it.
    """
    if account.quarantine_share <= holding.dataset.quarantine_threshold:
        return account
    rows = {entry.file_id: entry.rows for entry in manifest}
    undated = undated_files(account, rows)
    heads = holding.landfall.ledger.files.heads(undated)
    elsewhere = sum(head.records - undated[head.file_id] for head in heads.values())
    return replace(account, rows_elsewhere=max(0, elsewhere))


def _behind(stored: int, known: int) -> str:
    """Whatever files this ledger does not know would leave the tables with a refresh."""
    return (
        f"its tables are at version {stored}, the ledger knows {known}: the ledger was lost or "
        "restored from a backup, or LANDFALL_LEDGER_TABLE names another one. The tables stay as "
        "they are. Once everything that landed is loaded again, materialize the date by hand, from "
        "silver on (a backfill takes many): rows of files that are no longer there go then."
    )


def silver_assets(dataset: Dataset) -> dg.AssetsDefinition:
    """The assets ``silver/{dataset}`` and ``quarantine/{dataset}``."""
    silver_key = dg.AssetKey(["silver", dataset.name])
    checks = silver_checks(dataset, silver_key)

    @dg.multi_asset(
        name=f"{dataset.name}_silver",
        outs=_outs(dataset, silver_key),
        deps=[dg.AssetKey(["bronze", dataset.name])],
        check_specs=checks,
        hooks={give_back},
        **partitioned(dataset),
    )
    def silver(
        context: dg.AssetExecutionContext, landfall: dg.ResourceParam[Landfall]
    ) -> Iterator[LakeEvent]:
        holding = Holding.begin(context, landfall, dataset)
        holding.claim()
        with ExitStack() as tables:
            refreshed, faults = _refresh_all(holding, context.partition_keys, tables)
            verdicts = _verdicts(dataset, refreshed)
            names = [spec.name for spec in checks]
            outcome = results(silver_key, names, verdicts, context.partition_keys)
            if faults:
                yield from outcome
                holding.refuse(faults)
                raise dg.Failure(_refused(faults, list(refreshed)), allow_retries=False)
            if not refreshed:
                context.log.info("None of the run's dates has anything to refresh.")
                holding.release()
                yield from outcome
                return
            for each in refreshed.values():
                landfall.ledger.dates.account(each.refresh, holding.run_id, each.counts)
            yield from _outputs(refreshed)
            yield from outcome
        holding.finish_step(context, Layer.SILVER)

    return silver


def _outs(dataset: Dataset, silver_key: dg.AssetKey) -> dict[str, dg.AssetOut]:
    quarantine_key = dg.AssetKey(["quarantine", dataset.name])
    return {
        "silver": lake_out(silver_key, DESCRIPTION.format(what=VALID + dataset.description)),
        "quarantine": lake_out(quarantine_key, DESCRIPTION.format(what=REJECTED)),
    }


def _refresh_all(
    holding: Holding, days: Sequence[str], tables: ExitStack
) -> tuple[dict[str, RefreshedDate], dict[str, LandfallError]]:
    """Compute the run's dates, whose tables are dropped with ``tables``.

    Those that are refused stand among the faults.
    """
    refreshed: dict[str, RefreshedDate] = {}
    faults: dict[str, LandfallError] = {}
    for day in holding.days_to_refresh(days):
        refresh = holding.open(day)
        if refresh is None:
            continue
        try:
            refreshed[day] = refresh_date(holding, refresh)
            tables.callback(refreshed[day].drop)
        except LandfallError as error:
            if error.retryable:
                raise
            faults[day] = error
            continue
        refused = refusal(holding.dataset, day, refreshed[day].account)
        if refused:
            faults[day] = refused
    return refreshed, faults


def _verdicts(dataset: Dataset, refreshed: Mapping[str, RefreshedDate]) -> list[Verdict]:
    return [
        verdict
        for day, each in refreshed.items()
        for verdict in silver_verdicts(dataset, day, each.account)
    ]


def _outputs(
    refreshed: Mapping[str, RefreshedDate],
) -> Iterator[dg.Output[Mapping[str, Replacement]]]:
    silver = {
        day: Replacement(each.silver, each.refresh.version, each.silver_etag)
        for day, each in refreshed.items()
    }
    yield dg.Output(silver, output_name="silver")
    quarantine = {
        day: Replacement(each.quarantine, each.refresh.version, each.quarantine_etag)
        for day, each in refreshed.items()
        if each.account.quarantined or each.quarantine_etag
    }
    yield dg.Output(quarantine, output_name="quarantine")


def _refused(faults: Mapping[str, LandfallError], refreshed: Sequence[str]) -> str:
    others = [day for day in refreshed if day not in faults]
    spared = (
        f" Not written in this run and refreshed one by one: {', '.join(others)}." if others else ""
    )
    return " ".join(str(fault) for fault in faults.values()) + spared
