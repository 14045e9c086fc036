"""Parquet files, row group by row group."""

import codecs
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline_assets.errors import CorruptFileError
from pipeline_assets.parsing.content import BYTE_ORDER_MARK, Content, damaged
from pipeline_assets.parsing.detection import PARQUET_MAGIC
from pipeline_assets.parsing.parquet_text import TEXT, plain, text_of
from pipeline_assets.parsing.records import (
    Layout,
    NameMatch,
    compact_json,
    match_names,
    record_schema,
)

CONTROL = bytes(set(range(32)) - set(b"\t\n\v\f\r")) + b"\x7f"
DELIMITERS = (b",", b";", b"\t", b"|")


def read_parquet(content: Content, layout: Layout) -> Generator[pa.RecordBatch, None, int]:
    """Yield the rows in file order, every column as text; return the footer's number of rows.

    Raises:
        CorruptFileError: the file is cut or damaged, possibly after batches were yielded; or it is
            text under the name of a Parquet file.
    """
    if not content.head:
        return 0
    with content.seekable() as stream:
        _refuse_text(content)
        with _damage_named(content.key):
            file = pq.ParquetFile(stream, page_checksum_verification=True)
            counted = int(file.metadata.num_rows)
        yield from _batches(file, content.key, layout)
    return counted


def _refuse_text(content: Content) -> None:
    """Name what the content looks like where only the file's name says Parquet."""
    head = content.head.removeprefix(BYTE_ORDER_MARK)
    if head.startswith(PARQUET_MAGIC) or not _is_text(head):
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
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise damaged(key, error) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise damaged(key, error) from error


def _batches(file: pq.ParquetFile, key: str, layout: Layout) -> Iterator[pa.RecordBatch]:
    first = 1
    with _damage_named(key):
        columns = match_names(file.schema_arrow.names, layout.fields)
        for rows in file.iter_batches(batch_size=layout.batch_rows):
            yield _as_text(rows, first, columns, layout)
            first += rows.num_rows


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
    return pa.RecordBatch.from_arrays(arrays, schema=record_schema(layout.fields))


def _rescued(rows: pa.RecordBatch, columns: NameMatch) -> pa.Array:
    """JSON objects of the unknown columns: numbers and nested values as such, the rest as text."""
    unknown = {name: rows.column(at) for name, at in columns.unknown}
    if not unknown:
        return pa.nulls(rows.num_rows, TEXT)
    if any(pa.types.is_nested(column.type) for column in unknown.values()):
        values = zip(*(_json_values(column) for column in unknown.values()), strict=True)
        return pa.array(
            [compact_json(dict(zip(unknown, row, strict=True))) for row in values], TEXT
        )
    frame = pl.DataFrame({name: pl.Series(_native(column)) for name, column in unknown.items()})
    encoded = frame.select(pl.struct(pl.all()).struct.json_encode()).to_series()
    return encoded.to_arrow().cast(TEXT)


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
