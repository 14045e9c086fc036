"""An event date larger than memory: refined in buckets of rows, merged into the same tables.

Rows that may be equal share a bucket, so each bucket is refined as if it were a date of its own,
and the tables are the same whatever the number of buckets.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Final

import polars as pl
import pyarrow as pa

from pipeline_assets.account import DateAccount, account_of_nothing, added
from pipeline_assets.dataset import Dataset, Keep
from pipeline_assets.fragments import fragment_schema
from pipeline_assets.refine import (
    QUARANTINE_ORDER,
    RefinedDate,
    conformed_rows,
    silver_order,
)
from resources.parallel import read_ahead
from resources.parquet import EncodedTable, encode
from resources.sorted_tables import SortedTables
from resources.table_spool import TableSpool

HELD_BYTES: Final = 64 << 20
"""Bytes of bronze rows in memory while they are dealt out; beyond it they wait on the disk."""


@dataclass(frozen=True)
class EncodedDate:
    """The tables of an event date as Parquet files, whose bodies the caller closes."""

    account: DateAccount
    silver: EncodedTable
    quarantine: EncodedTable


def bucket_count(rows: int, dataset: Dataset, *, rows_per_bucket: int) -> int:
    """Into how many buckets so many bronze rows of a date go.

    A contract that demands of silver that values are unique can only be proven of the whole.
    """
    contract = dataset.contract()
    if contract.unique or any(column.unique for column in contract.columns.values()):
        return 1
    return max(1, -(-rows // rows_per_bucket))


def refine_in_buckets(
    bronze: Iterable[pl.DataFrame],
    dataset: Dataset,
    refine_part: Callable[[pl.DataFrame], RefinedDate],
    *,
    buckets: int,
    version: int,
) -> EncodedDate:
    """What ``refine`` makes of a date's rows, which come in parts and wait on the disk.

    Args:
        bronze: rows as ``refine`` takes them, each part small enough for memory.
        dataset: the dataset they belong to.
        refine_part: ``refine`` for that dataset and date.
        buckets: how many there are.
        version: the date's, for the tables' footers.

    Raises:
        ConformError: the dataset's ``conform`` lost rows or columns.
        ContractBrokenError: silver does not satisfy the contract it was made by.
        ValueError: a row's file has no landing key.
    """
    schema = fragment_schema(dataset)
    with (
        TableSpool(schema, held_bytes=HELD_BYTES) as rows,
        SortedTables(silver_order(dataset), tables=buckets) as silver,
        SortedTables(QUARANTINE_ORDER, tables=buckets) as quarantine,
        closing(read_ahead(bronze)) as parts,
    ):
        for part in parts:
            _deal_out(part.select(schema.names), dataset, buckets, rows)
        account = account_of_nothing(dataset)
        for bucket in range(buckets):
            refined = refine_part(_rows_of(bucket, rows, schema))
            silver.add(refined.silver)
            quarantine.add(refined.quarantine)
            account = added(account, refined)
            del refined  # else the next bucket would be made beside them
        return _encoded(account, silver, quarantine, version)


def encoded_date(refined: RefinedDate, version: int) -> EncodedDate:
    """A date in one piece as ``refine_in_buckets`` gives one in several."""
    with ExitStack() as stack:
        kept = encode(refined.silver.to_arrow(), version=version)
        stack.enter_context(kept.body)
        rejected = encode(refined.quarantine.to_arrow(), version=version)
        stack.pop_all()
    return EncodedDate(refined.account, kept, rejected)


def _encoded(
    account: DateAccount, silver: SortedTables, quarantine: SortedTables, version: int
) -> EncodedDate:
    with ExitStack() as stack:
        kept = silver.encode(version)
        stack.enter_context(kept.body)
        rejected = quarantine.encode(version)
        stack.pop_all()
        return EncodedDate(account, kept, rejected)


def _deal_out(part: pl.DataFrame, dataset: Dataset, buckets: int, spool: TableSpool) -> None:
    dealt = part.with_columns(_bucket_of(part, dataset, buckets).alias("_bucket")).sort(
        "_bucket", maintain_order=True
    )
    counts = dealt.group_by("_bucket", maintain_order=True).len()
    runs = [(str(bucket), rows) for bucket, rows in counts.iter_rows()]
    rows = dealt.drop("_bucket").to_arrow().cast(fragment_schema(dataset))
    spool.add(rows, runs)


def _bucket_of(part: pl.DataFrame, dataset: Dataset, buckets: int) -> pl.Series:
    """The bucket of each row: rows that may be equal once conformed have the same.

    A row that equals none goes by its place: it is malformed, or lacks what the contract demands.
    All of those together might be too many for one.
    """
    by_place = part.select(pl.struct("_file_id", "_row").hash()).to_series()
    if dataset.keep is Keep.EVERY:
        return by_place % buckets
    identity = _identity_hash(part.select(dataset.fields), dataset)
    equals_none = part["_error"].is_not_null() | identity.is_null()
    return by_place.zip_with(equals_none, identity) % buckets


def _identity_hash(received: pl.DataFrame, dataset: Dataset) -> pl.Series:
    """Equal where ``refine`` may find rows equal: by the first set whose columns are all filled.

    Null where a column that the contract demands is not. A set's columns are made for the rows that
    no set before it identifies, and for no others.
    """
    hashes = pl.repeat(None, received.height, dtype=pl.UInt64, eager=True)
    left = pl.int_range(received.height, eager=True)
    demanded = {name for name, column in dataset.contract().columns.items() if not column.nullable}
    *_, last = dataset.identity
    for columns in dataset.identity:
        rows = received if len(left) == received.height else received[left]
        found = conformed_rows(rows, dataset, columns).select(
            pl.struct(columns).hash().alias("hash"),
            _filled(columns).alias("identified"),
            _filled([name for name in columns if name in demanded]).alias("may_be_valid"),
        )
        chosen = found["may_be_valid"] if columns is last else found["identified"]
        hashes = hashes.scatter(left.filter(chosen), found["hash"].filter(chosen))
        left = left.filter(~found["identified"])
    return hashes


def _filled(columns: Sequence[str]) -> pl.Expr:
    return pl.all_horizontal(pl.lit(value=True), *(pl.col(name).is_not_null() for name in columns))


def _rows_of(bucket: int, spool: TableSpool, schema: pa.Schema) -> pl.DataFrame:
    parts = list(spool.parts(str(bucket)))
    rows = pl.from_arrow(pa.concat_tables(parts) if parts else schema.empty_table())
    assert isinstance(rows, pl.DataFrame)  # noqa: S101 - a table is never one column
    return rows
