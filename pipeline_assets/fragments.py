"""Fragments: the records of one landed object, sorted by event date into Parquet files."""

from contextlib import ExitStack
from datetime import date, datetime
from typing import Self

import polars as pl
import pyarrow as pa

from pipeline_assets.dataset import Dataset, event_dates
from resources.lake import TableName
from resources.landfall import Landfall
from resources.ledger.model import FileHead, Fragment, LoadedFile
from resources.parquet import TableWriter


def fragment_schema(dataset: Dataset) -> pa.Schema:
    """Columns of a fragment: provenance, what is wrong with the record, fields as received."""
    text = pa.large_string()
    columns = [("_file_id", text), ("_row", pa.int64()), ("_landed_at", text)]
    columns += [(name, text) for name in ("_raw", "_error", *dataset.fields, "_rescued")]
    return pa.schema(columns)


def fragment_key(dataset: Dataset, event_date: str, head: FileHead) -> str:
    """Where a file's rows for an event date are kept."""
    table = TableName("bronze", dataset.name)
    return f"{table}/event_date={event_date}/{head.file_id}-{head.etag}.parquet"


class FragmentWriter:
    """Sorts a file's records by event date into Parquet files, without holding the records."""

    def __init__(self, dataset: Dataset, head: FileHead) -> None:
        self._dataset = dataset
        self._head = head
        self._stack = ExitStack()
        self._writers: dict[str, TableWriter] = {}
        self._malformed: dict[str, int] = {}
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

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
        marked = frame.with_columns(
            days.alias("_event_date"),
            _file_id=pl.lit(self._head.file_id),
            _landed_at=pl.lit(self._head.landed_at),
        )
        for (day,), part in marked.partition_by(
            "_event_date", as_dict=True, maintain_order=True
        ).items():
            self._write(day.isoformat(), part)
        self.rows += frame.height

    def _write(self, day: str, part: pl.DataFrame) -> None:
        schema = fragment_schema(self._dataset)
        if day not in self._writers:
            self._writers[day] = self._stack.enter_context(TableWriter(schema))
        self._writers[day].write(part.select(schema.names).to_arrow().cast(schema))
        malformed = part.height - part.get_column("_error").null_count()
        self._malformed[day] = self._malformed.get(day, 0) + malformed

    def store(self, landfall: Landfall) -> LoadedFile:
        """Put the fragments into the lake."""
        fragments = []
        for day, writer in sorted(self._writers.items()):
            key = fragment_key(self._dataset, day, self._head)
            landfall.lake.put_fragment(key, writer.finish())
            fragments.append(
                Fragment(
                    file_id=self._head.file_id,
                    epoch=self._head.epoch,
                    event_date=day,
                    landing_key=self._head.key,
                    fragment_key=key,
                    rows=writer.rows,
                    malformed=self._malformed[day],
                )
            )
        return LoadedFile(tuple(fragments), self.rows, sum(self._malformed.values()))
