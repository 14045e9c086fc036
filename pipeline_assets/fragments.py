"""Fragments: the records of one landed object, sorted by event date into Parquet files."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from datetime import date, datetime
from functools import cached_property
from typing import Final, Self

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_assets.dataset import Dataset, event_dates
from pipeline_assets.probing import PROBES, Probe, probe
from resources.lake import TableName
from resources.landfall import Landfall
from resources.ledger.model import FileHead, Fragment, LoadedFile
from resources.parquet import ROWS_PER_GROUP, EncodedTable, TableWriter
from resources.table_spool import HELD_BYTES, TableSpool

GATHERED_BYTES: Final = 8 << 20
"""So much text makes a row group, however few its rows are."""
ENCODED_DATES: Final = 4
"""Dates of a file that are encoded while it is read; each has a row group of its own in memory."""


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
        self._stack = ExitStack()
        self._spool = self._stack.enter_context(TableSpool(self._received, held_bytes=held_bytes))
        self._malformed: dict[str, int] = {}
        self._waiting: dict[str, int] = {}
        self._bodies: dict[str, _FragmentBody] = {}
        self.rows = 0
        self.probes: list[Probe] = []
        """Some of the first rows, to tell whether any is valid."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()

    @cached_property
    def _encoder(self) -> Executor:
        return self._stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="encoder"))

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
        waiting, runs = [], []
        start = 0
        for moment, rows, malformed in counts.iter_rows():
            part, day = by_day.slice(start, rows), str(moment)
            if len(self.probes) < PROBES:
                self.probes += filter(None, [probe(part, self._dataset, moment)])
            self._malformed[day] = self._malformed.get(day, 0) + malformed
            if day in self._bodies:
                self._bodies[day].add(self._as_received(part))
            else:
                waiting.append(part)
                runs.append((day, rows))
            start += rows
        if waiting:
            self._spool.add(self._as_received(pl.concat(waiting)), runs)
            self._take_up(runs)

    def _as_received(self, part: pl.DataFrame) -> pa.Table:
        return part.select(self._received.names).to_arrow().cast(self._received)

    def _take_up(self, runs: Sequence[tuple[str, int]]) -> None:
        """Encode dates of which a row group waits, a few, while their next rows are parsed."""
        for day, rows in runs:
            self._waiting[day] = self._waiting.get(day, 0) + rows
            if self._waiting[day] >= ROWS_PER_GROUP and len(self._bodies) < ENCODED_DATES:
                body = self._stack.enter_context(self._body(self._encoder))
                for part in self._spool.parts(day):
                    body.add(part)
                self._spool.drop(day)
                self._bodies[day] = body

    def _body(self, encoder: Executor | None = None) -> "_FragmentBody":
        return _FragmentBody(fragment_schema(self._dataset), self._with_provenance, encoder)

    def store(self, landfall: Landfall) -> LoadedFile:
        """Put the fragments into the lake, one date after the other."""
        fragments = tuple(self._store(landfall, day) for day in sorted(self._malformed))
        return LoadedFile(fragments, self.rows, sum(self._malformed.values()))

    def _store(self, landfall: Landfall, day: str) -> Fragment:
        key = fragment_key(self._dataset, day, self._head)
        with self._bodies.get(day) or self._body() as body:
            for part in self._spool.parts(day):
                body.add(part)
            encoded = body.finish()
            landfall.lake.put_fragment(key, encoded)
        return Fragment(
            file_id=self._head.file_id,
            epoch=self._head.epoch,
            event_date=day,
            landing_key=self._head.key,
            fragment_key=key,
            rows=encoded.rows,
            malformed=self._malformed[day],
        )

    def _with_provenance(self, part: pa.Table) -> pa.Table:
        same = {"_file_id": self._head.file_id, "_landed_at": self._head.landed_at}
        for name, value in same.items():
            column = pa.repeat(pa.scalar(value, pa.large_string()), part.num_rows)
            part = part.append_column(name, column)
        return part.select(fragment_schema(self._dataset).names)


class _FragmentBody:
    """The Parquet file of one event date's rows.

    Small parts are put together: each that is written alone is a row group, slow to write and
    read. The parts of a file whose dates are mixed are as many as its batches, and a row or two
    each.

    Args:
        schema: its columns.
        complete: makes them of rows as received.
        encoder: encodes in the background, a row group at a time; without, it is done at once.
    """

    def __init__(
        self,
        schema: pa.Schema,
        complete: Callable[[pa.Table], pa.Table],
        encoder: Executor | None = None,
    ) -> None:
        self._writer = TableWriter(schema)
        self._complete = complete
        self._encoder = encoder
        self._encoding: Future[None] | None = None
        self._held: list[pa.Table] = []
        self._rows = self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        if self._encoding is not None:
            wait([self._encoding])
        self._writer.__exit__(*details)

    def add(self, part: pa.Table) -> None:
        """Put rows below the others."""
        self._held.append(part)
        self._rows, self._size = self._rows + part.num_rows, self._size + _text_bytes(part)
        if self._rows >= ROWS_PER_GROUP or self._size >= GATHERED_BYTES:
            self._write()

    def finish(self) -> EncodedTable:
        """The whole file, which closes with this."""
        if self._held:
            self._write()
        self._await()
        return self._writer.finish()

    def _write(self) -> None:
        group = self._complete(pa.concat_tables(self._held))
        self._held, self._rows, self._size = [], 0, 0
        self._await()
        if self._encoder is None:
            self._writer.write(group)
        else:
            self._encoding = self._encoder.submit(self._writer.write, group)

    def _await(self) -> None:
        if self._encoding is not None:
            self._encoding.result()


def _text_bytes(rows: pa.Table) -> int:
    """Bytes of the rows' text, however the table keeps them: fragments follow from it."""
    texts = [column for column in rows.columns if pa.types.is_large_string(column.type)]
    return sum(pc.sum(pc.binary_length(column)).as_py() or 0 for column in texts)
