"""Parquet files, row group by row group."""

import codecs
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline_assets.errors import CorruptFileError
from pipeline_assets.parsing.compression import damaged
from pipeline_assets.parsing.content import Content
from pipeline_assets.parsing.detection import PARQUET_MAGIC
from pipeline_assets.parsing.parquet_bounds import reading_of
from pipeline_assets.parsing.parquet_footer import CONTAINER_LIMIT, check_decoded, footer_of
from pipeline_assets.parsing.parquet_portions import portions
from pipeline_assets.parsing.parquet_text import TEXT, plain, text_of
from pipeline_assets.parsing.parquet_types import check_types
from pipeline_assets.parsing.records import (
    Layout,
    NameMatch,
    compact_json,
    json_objects,
    match_names,
    record_schema,
)

CONTROL = bytes(set(range(32)) - set(b"\t\n\v\f\r")) + b"\x7f"
DELIMITERS = (b",", b";", b"\t", b"|")
INT96_UNIT: Final = "us"
"""Arrow's own, nanoseconds, turns moments before 1677 and after 2262 into others in silence."""
BUFFER_BYTES: Final = 1024 * 1024
"""Of each column's stored bytes, in memory at a time."""


def read_parquet(content: Content, layout: Layout) -> Generator[pa.RecordBatch, None, int]:
    """Yield the rows in file order, every column as text; return the footer's number of rows.

    Memory is bounded by the longest record that the limits allow: see ``parquet_bounds``.

    Raises:
        CorruptFileError: the file is cut or damaged, possibly after batches were yielded; or it is
            text under the name of a Parquet file.
        ColumnTypeError: a column cannot hold what its field needs.
        LimitExceededError: there are more columns, rows or bytes than the limits allow.
    """
    if not content.head:
        return 0
    with content.seekable() as stream:
        _refuse_text(content)
        with _damage_named(content.key):
            file = _File(stream, content.key, layout)
            yield from _gathered(file.batches(), layout)
    return file.rows


class _File:
    """A file whose footer was read, and found to keep to the limits."""

    def __init__(self, stream: BinaryIO, key: str, layout: Layout) -> None:
        self._stream, self._key, self._layout = stream, key, layout
        self._footer = footer_of(stream, key, layout.limits)
        file = pq.ParquetFile(stream, pre_buffer=False, thrift_container_size_limit=CONTAINER_LIMIT)
        self._metadata, self._schema = file.metadata, file.schema_arrow
        self.rows = self._footer.rows

    def batches(self) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Rows as text, each batch with its bytes."""
        columns = match_names(self._schema.names, self._layout.fields)
        check_types(self._key, self._schema, columns, self._layout)
        limits, come, size = self._layout.limits, 0, 0
        for rows in self._decoded():
            for portion, portion_size in portions(rows, self._key, limits):
                yield _as_text(portion, come + 1, columns, self._layout), portion_size
                come += portion.num_rows
                size += portion_size
                check_decoded(self._key, size, self._footer.stored, limits)
        if come != self.rows:
            told = f"its footer tells of {self.rows:,} rows, its pages hold {come:,}"
            raise damaged(self._key, ValueError(told))

    def _decoded(self) -> Iterator[pa.RecordBatch]:
        schema = self._metadata.schema
        reading = reading_of(self._stream, self._footer, schema, self._key, self._layout)
        file = pq.ParquetFile(
            self._stream,
            metadata=self._metadata,
            read_dictionary=list(reading.dictionaries),
            pre_buffer=False,  # it would hold the file's column chunks in memory, all of them
            buffer_size=BUFFER_BYTES,
            page_checksum_verification=True,
            coerce_int96_timestamp_unit=INT96_UNIT,
        )
        # Files are read in parallel; threads of a file would cost more than they bring.
        batches = file.iter_batches(reading.batch_rows, use_threads=False)
        return (rows for rows in batches if rows.num_rows)


def _gathered(
    batches: Iterator[tuple[pa.RecordBatch, int]], layout: Layout
) -> Iterator[pa.RecordBatch]:
    """Small batches put together: what comes after takes its time for each batch."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch, batch_size in batches:
        rows, size = rows + batch.num_rows, size + batch_size
        if held and (rows > layout.batch_rows or size > layout.limits.record_bytes):
            yield _joined(held)
            held, rows, size = [], batch.num_rows, batch_size
        held.append(batch)
    if held:
        yield _joined(held)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.concat_batches(batches) if len(batches) > 1 else batches[0]


def _refuse_text(content: Content) -> None:
    """Name what the content looks like where only the file's name says Parquet."""
    head = content.text_head
    if content.head.startswith(PARQUET_MAGIC) or not _is_text(head):
        return
    first = head.lstrip().split(b"\n", 1)[0]
    looks = "CSV" if any(mark in first for mark in DELIMITERS) else "plain text"
    raise CorruptFileError(
        content.key,
        f"its name says Parquet, but its content looks like {looks}: land it again under a name "
        "that tells its format, or land the Parquet file that was meant",
    )


def _is_text(head: bytes) -> bool:
    """Whether it is UTF-8 without control characters; its last character may be cut off."""
    if head.translate(None, delete=CONTROL) != head:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


@contextmanager
def _damage_named(key: str) -> Iterator[None]:
    """Name what pyarrow raises on damaged bytes.

    Raises:
        CorruptFileError: naming key and cause. An OSError that the operating system raised (it has
            an errno) is no fault of the file and passes.
    """
    try:
        yield
    except pa.ArrowMemoryError:
        raise  # the machine's memory, not the file: its pages were held to the limits
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise damaged(key, error) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise damaged(key, error) from error


def _as_text(
    rows: pa.RecordBatch, first: int, columns: NameMatch, layout: Layout
) -> pa.RecordBatch:
    null = pa.nulls(rows.num_rows, TEXT)
    arrays = [
        pa.array(range(first, first + rows.num_rows), pa.int64()),
        null,
        null,
        *(null if at is None else text_of(rows.column(at)) for at in columns.positions),
        _rescued(rows, columns),
    ]
    for name, at in columns.unknown:
        _note(name, rows.column(at), layout)
    return pa.RecordBatch.from_arrays(arrays, schema=record_schema(layout.fields))


def _note(name: str, column: pa.Array, layout: Layout) -> None:
    filled = len(column) - column.null_count
    if filled:
        first = text_of(column.drop_null().slice(0, 1))[0].as_py()
        layout.notes.rescued(name, filled, first)


def _rescued(rows: pa.RecordBatch, columns: NameMatch) -> pa.Array:
    """JSON objects of the unknown columns: numbers and nested values as such, the rest as text."""
    unknown = {name: rows.column(at) for name, at in columns.unknown}
    if not unknown:
        return pa.nulls(rows.num_rows, TEXT)
    if any(pa.types.is_nested(each.type) for each in unknown.values()):
        values = zip(*(_json_values(column) for column in unknown.values()), strict=True)
        return pa.array(
            [compact_json(dict(zip(unknown, row, strict=True))) for row in values], TEXT
        )
    frame = pl.DataFrame({name: pl.Series(_native(column)) for name, column in unknown.items()})
    return json_objects(frame)


def _json_values(column: pa.Array) -> list[object]:
    return plain(column) if pa.types.is_nested(column.type) else plain(_native(column))


def _native(column: pa.Array) -> pa.Array:
    """The column where JSON has its values, else its text."""
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return column
    finite = pa.types.is_float32(kind) or pa.types.is_float64(kind)
    if finite and pc.all(pc.is_finite(column)).as_py() is not False:
        return column
    return text_of(column)
