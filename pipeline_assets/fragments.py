"""Fragments: the records of one landed object, sorted by event date into Parquet files."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Final, Self

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_assets.dataset import Dataset, event_dates
from pipeline_assets.probing import PROBES, Probe, probe
from resources.lake import TableName
from resources.landfall import Landfall
from resources.ledger.model import FileHead, Fragment, LoadedFile
from resources.parquet import ROWS_PER_GROUP, TableWriter
from resources.table_spool import HELD_BYTES, TableSpool

GATHERED_BYTES: Final = 8 << 20
"""So much text makes a row group, however few its rows are."""


def fragment_schema(dataset: Dataset) -> pa.Schema:
    """Columns of a fragment: provenance, what is wrong with the record, fields as received."""
    text = pa.large_string()
    columns = [("_file_id", text), ("_row", pa.int64()), ("_landed_at", text)]
    columns += [(name, text) for name in ("_raw", "_error", *dataset.fields, "_rescued")]
    return pa.schema(columns)


def _received_schema(dataset: Dataset) -> pa.Schema:
    """Columns of a fragment that differ from record to record."""
    columns = fragment_schema(dataset)
    return pa.schema(
        [column for column in columns if column.name not in {"_file_id", "_landed_at"}]
    )


def fragment_key(dataset: Dataset, event_date: str, head: FileHead) -> str:
    """Where a file's rows for an event date are kept."""
    table = TableName("bronze", dataset.name)
    return f"{table}/event_date={event_date}/{head.file_id}-{head.etag}.parquet"


class FragmentWriter:
    """Sorts a file's records by event date into Parquet files.

    What it holds in memory, and of open files, does not grow with the file nor with its dates. A
    fragment's bytes follow from the object and its epoch alone.
    """

    def __init__(self, dataset: Dataset, head: FileHead, *, held_bytes: int = HELD_BYTES) -> None:
        self._dataset = dataset
        self._head = head
        self._received = _received_schema(dataset)
        self._spool = TableSpool(self._received, held_bytes=held_bytes)
        self._malformed: dict[str, int] = {}
        self.rows = 0
        self.probes: list[Probe] = []
        """Some of the first rows, to tell whether any is valid."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._spool.__exit__(*details)

    def add(self, records: pa.RecordBatch) -> None:
        """File the records below their event dates."""
        frame = pl.from_arrow(records)
        assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a record batch is never one column
        landed = datetime.fromisoformat(self._head.landed_at).date()
        days = event_dates(
            frame,
            self._dataset,
            file_date=date.fromisoformat(self._head.file_date),
            landed_date=landed,
        )
        by_day = frame.with_columns(days.alias("_event_date")).sort(
            "_event_date", maintain_order=True
        )
        self._file(by_day)
        self.rows += frame.height

    def _file(self, by_day: pl.DataFrame) -> None:
        counts = by_day.group_by("_event_date", maintain_order=True).agg(
            pl.len().alias("rows"), pl.col("_error").count().alias("malformed")
        )
        runs = []
        start = 0
        for day, rows, malformed in counts.iter_rows():
            part = by_day.slice(start, rows)
            if len(self.probes) < PROBES:
                self.probes += filter(None, [probe(part, self._dataset, day)])
            self._malformed[str(day)] = self._malformed.get(str(day), 0) + malformed
            runs.append((str(day), rows))
            start += rows
        received = by_day.select(self._received.names).to_arrow().cast(self._received)
        self._spool.add(received, runs)

    def store(self, landfall: Landfall) -> LoadedFile:
        """Put the fragments into the lake, one date after the other."""
        fragments = tuple(self._store(landfall, day) for day in sorted(self._malformed))
        return LoadedFile(fragments, self.rows, sum(self._malformed.values()))

    def _store(self, landfall: Landfall, day: str) -> Fragment:
        key = fragment_key(self._dataset, day, self._head)
        with TableWriter(fragment_schema(self._dataset)) as writer:
            for rows in _gathered(self._spool.parts(day)):
                writer.write(self._with_provenance(rows))
            landfall.lake.put_fragment(key, writer.finish())
        return Fragment(
            file_id=self._head.file_id,
            epoch=self._head.epoch,
            event_date=day,
            landing_key=self._head.key,
            fragment_key=key,
            rows=writer.rows,
            malformed=self._malformed[day],
        )

    def _with_provenance(self, part: pa.Table) -> pa.Table:
        same = {"_file_id": self._head.file_id, "_landed_at": self._head.landed_at}
        for name, value in same.items():
            column = pa.repeat(pa.scalar(value, pa.large_string()), part.num_rows)
            part = part.append_column(name, column)
        return part.select(fragment_schema(self._dataset).names)


def _gathered(parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Small parts put together: each that is written alone is a row group, slow to write and read.

    The parts of a file whose dates are mixed are as many as its batches, and a row or two each.
    """
    held: list[pa.Table] = []
    rows = size = 0
    for part in parts:
        held.append(part)
        rows, size = rows + part.num_rows, size + _text_bytes(part)
        if rows >= ROWS_PER_GROUP or size >= GATHERED_BYTES:
            yield pa.concat_tables(held)
            held, rows, size = [], 0, 0
    if held:
        yield pa.concat_tables(held)


def _text_bytes(rows: pa.Table) -> int:
    """Bytes of the rows' text, however the table keeps them: fragments follow from it."""
    texts = [column for column in rows.columns if pa.types.is_large_string(column.type)]
    return sum(pc.sum(pc.binary_length(column)).as_py() or 0 for column in texts)
