"""One event date: gathered from its fragments, refined, and held against what it replaces."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

import polars as pl

from pipeline_assets.account import DateAccount, undated_files
from pipeline_assets.bronze_rows import read_date, stream_date
from pipeline_assets.buckets import EncodedDate, bucket_count, encoded_date, refine_in_buckets
from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import DateRefusedError
from pipeline_assets.holding import Holding
from pipeline_assets.refine import refine
from resources.lake import StoredPartition, TableName
from resources.landfall import Landfall
from resources.ledger.dates import Refresh
from resources.ledger.model import DateCounts, Fragment
from resources.parquet import EncodedTable


@dataclass(frozen=True)
class RefreshedDate:
    """A date computed and not yet written: what it replaces, and as of which version."""

    refresh: Refresh
    account: DateAccount
    silver: EncodedTable
    quarantine: EncodedTable
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
            table.body.close()


def silver_table(dataset: Dataset) -> TableName:
    """The dataset's silver table."""
    return TableName("silver", dataset.name)


def quarantine_table(dataset: Dataset) -> TableName:
    """The dataset's quarantine table."""
    return TableName("quarantine", dataset.name)


@dataclass(frozen=True)
class GatheredDate:
    """What a date is made from, and what it is going to replace.

    ``bronze`` are its rows; ``None`` where they are too many for memory.
    """

    refresh: Refresh
    manifest: Sequence[Fragment]
    buckets: int
    bronze: pl.DataFrame | None
    silver: StoredPartition | None
    quarantine: StoredPartition | None


def gather(holding: Holding, refresh: Refresh) -> GatheredDate:
    """Read a date's rows unless they are too many, and note what it is going to replace.

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
    rows = sum(entry.rows for entry in manifest)
    buckets = bucket_count(rows, dataset, rows_per_bucket=landfall.settings.max_rows_per_bucket)
    bronze = read_date(landfall, dataset, manifest) if buckets == 1 else None
    return GatheredDate(refresh, manifest, buckets, bronze, stored, quarantined)


def refreshed_date(holding: Holding, gathered: GatheredDate) -> RefreshedDate:
    """Compute a date's tables; those of many dates wait as Parquet files, large ones on the disk.

    Raises:
        DateRefusedError: a fragment is missing, or has other rows than its manifest says.
        ConformError: the dataset's ``conform`` lost rows or columns.
        ContractBrokenError: silver does not satisfy the contract it was made by.
    """
    with ExitStack() as tables:
        refined = _refined(holding.landfall, holding.dataset, gathered)
        for table in (refined.silver, refined.quarantine):
            tables.callback(table.body.close)
        account = _with_rows_elsewhere(holding, gathered.manifest, refined.account)
        tables.pop_all()
    return RefreshedDate(
        gathered.refresh,
        account,
        refined.silver,
        refined.quarantine,
        gathered.silver.etag if gathered.silver else None,
        gathered.quarantine.etag if gathered.quarantine else None,
    )


def _refined(landfall: Landfall, dataset: Dataset, gathered: GatheredDate) -> EncodedDate:
    """The date's tables, the same bytes in one piece and in buckets."""
    version = gathered.refresh.version
    refine_part = partial(
        refine,
        dataset=dataset,
        event_date=date.fromisoformat(gathered.refresh.event_date),
        landing_keys={entry.file_id: entry.landing_key for entry in gathered.manifest},
    )
    if gathered.bronze is None:
        rows = stream_date(landfall, dataset, gathered.manifest)
        return refine_in_buckets(
            rows, dataset, refine_part, buckets=gathered.buckets, version=version
        )
    return encoded_date(refine_part(gathered.bronze), version)


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
