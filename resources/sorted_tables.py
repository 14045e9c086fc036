"""Sorted tables merged into one, larger than memory: they wait on the disk in sorted batches.

Batches are taken up in the order of their first rows. Whatever sorts before the first row of the
next one is complete and leaves; what stays is less than a batch of each table.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final, Self

import polars as pl
import pyarrow as pa

from resources.frames import copied
from resources.parallel import read_ahead
from resources.parquet import ROWS_PER_GROUP, EncodedTable, canonical, encode_parts
from resources.table_spool import TableSpool

HELD_BYTES: Final = 32 << 20


class SortedTables:
    """Tables of the same columns, each sorted alike, to be merged.

    A context manager: leaving it drops the rows.

    Args:
        order: columns that each is sorted by, smallest and nulls first; no two rows of all tables
            are alike in them.
        tables: how many there will be about.
        rows: of all tables that are taken up at a time, to be sorted; they decide, as ``tables``
            does, on what is in memory, not on what comes out.
        held_bytes: Arrow's size of the rows that wait in memory instead of on the disk.
    """

    def __init__(
        self,
        order: Sequence[str],
        *,
        tables: int,
        rows: int = ROWS_PER_GROUP,
        held_bytes: int = HELD_BYTES,
    ) -> None:
        self._order = list(order)
        self._batch_rows = max(1, rows // tables)
        self._taken_up = tables
        self._held_bytes = held_bytes
        self._spool: TableSpool | None = None
        self._empty = pl.DataFrame()
        self._firsts: list[pl.DataFrame] = []
        self._batches = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        if self._spool is not None:
            self._spool.__exit__(*details)

    def add(self, table: pl.DataFrame) -> None:
        """Put a sorted table among those that are merged; its rows may go to the disk."""
        rows = canonical(table.to_arrow())
        if self._spool is None:
            self._spool = TableSpool(rows.schema, held_bytes=self._held_bytes)
            self._empty = table.clear()
        firsts = copied(table.select(self._order).gather_every(self._batch_rows))
        numbers = range(self._batches, self._batches + firsts.height)
        self._firsts.append(firsts.with_columns(pl.Series("_batch", numbers, dtype=pl.Int64)))
        left = [table.height - n * self._batch_rows for n in range(firsts.height)]
        self._spool.add(
            rows,
            [(str(n), min(left, self._batch_rows)) for n, left in zip(numbers, left, strict=True)],
        )
        self._batches += firsts.height

    def encode(self, version: int) -> EncodedTable:
        """All rows in their order, as the Parquet file that ``resources.parquet.encode`` gives.

        The caller closes its body. At least one table, if of no rows, was added.
        """
        schema = canonical(self._empty.to_arrow()).schema
        tables = (canonical(rows.to_arrow()) for rows in self.merged())
        with closing(read_ahead(tables)) as merged:
            return encode_parts(merged, schema, version)

    def merged(self) -> Iterator[pl.DataFrame]:
        """All rows in their order, in parts."""
        firsts = pl.concat(self._firsts).sort(self._order)
        held = self._empty
        for start in range(0, firsts.height, self._taken_up):
            upcoming = firsts[start : start + self._taken_up]
            beyond = firsts[start + self._taken_up : start + self._taken_up + 1]
            rows = pl.concat([held, *map(self._batch, upcoming["_batch"])])
            complete, held = self._parted(rows, beyond.drop("_batch"))
            yield complete

    def _parted(
        self, rows: pl.DataFrame, beyond: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows in their order: those before the one row of ``beyond``, and the others."""
        if beyond.is_empty():
            return rows.sort(self._order), self._empty
        # It is sorted among them, so that only Polars decides on nulls, NaN and the like.
        marked = pl.concat([rows, beyond.with_columns(_beyond=True)], how="diagonal")
        marked = marked.sort(self._order)
        at = marked["_beyond"].is_not_null().arg_max() or 0
        ordered = marked.drop("_beyond")
        return ordered[:at], ordered[at + 1 :]

    def _batch(self, number: int) -> pl.DataFrame:
        assert self._spool is not None  # noqa: S101 - a batch was added
        frame = pl.from_arrow(pa.concat_tables(self._spool.parts(str(number))))
        assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table is never one column
        return frame.cast(self._empty.schema)  # of categories Arrow keeps the text alone
