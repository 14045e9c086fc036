"""Tables as Parquet bytes: one canonical form, and the digest of what it holds.

Whatever frame a table came from, its canonical form has the same types, so the same rows give the
same bytes and the same digest. Where the bytes are kept is `resources.lake`'s business.
"""

import hashlib
import io
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Self, cast

import pyarrow as pa
import pyarrow.parquet as pq

VERSION_KEY = "landfall-version"
DIGEST_KEY = "landfall-digest"
ROWS_KEY = "landfall-rows"
ROWS_PER_GROUP = 131_072
COMPRESSION_LEVEL = 1
DICTIONARY_BYTES = 1 << 16
"""A column chunk whose distinct values take more is written plainly: building a dictionary of ids
first takes as long as all the rest, and saves nothing."""
SPOOLED_BYTES = 8 << 20
DIGEST_CHUNK_BYTES = 1 << 20
DECIMAL_DIGITS = 38
CANONICAL_TYPES = {
    pa.string(): pa.large_string(),
    pa.string_view(): pa.large_string(),
    pa.binary(): pa.large_binary(),
    pa.binary_view(): pa.large_binary(),
    pa.date64(): pa.date32(),
    pa.time32("s"): pa.time32("ms"),
}


@dataclass(frozen=True)
class EncodedTable:
    """A Parquet file, in memory while it is small.

    ``body`` stands at its beginning, ``size`` is in bytes, ``digest`` is hexadecimal.
    """

    body: IO[bytes]
    size: int
    digest: str
    rows: int


def canonical(table: pa.Table) -> pa.Table:
    """The same rows in one chunk, in the types that every frame library agrees on.

    Text and binary take 64-bit offsets, dictionaries (categoricals, enums) their values, lists
    their large form, decimals 38 digits; every column is nullable and no metadata is kept.
    """
    return table.cast(_canonical_schema(table.schema)).combine_chunks()


def _canonical_schema(schema: pa.Schema) -> pa.Schema:
    return pa.schema([_canonical_field(field) for field in schema])


def _canonical_field(field: pa.Field) -> pa.Field:
    return pa.field(field.name, _canonical_type(field.type), nullable=True)


def _canonical_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _canonical_type(kind.value_type)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_item_field(kind), kind.list_size)
    # List views stay: Arrow's cast from them loses values without a word.
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.large_list(_item_field(kind))
    if pa.types.is_struct(kind):
        return pa.struct([_canonical_field(field) for field in kind])
    return _canonical_scalar(kind)


def _canonical_scalar(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind) and kind.unit == "s":
        return pa.timestamp("ms", kind.tz)  # Parquet has no seconds
    if pa.types.is_decimal(kind) and kind.precision <= DECIMAL_DIGITS:
        return pa.decimal128(DECIMAL_DIGITS, kind.scale)  # pandas keeps no precision
    return CANONICAL_TYPES.get(kind, kind)


def _item_field(kind: pa.DataType) -> pa.Field:
    return pa.field("item", _canonical_type(kind.value_type), nullable=True)


class TableWriter:
    """Writes one Parquet file in parts, with fixed options; small ones never touch the disk.

    A context manager: leaving it drops the file. ``schema`` is a canonical one.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        spool = tempfile.SpooledTemporaryFile(max_size=SPOOLED_BYTES)  # noqa: SIM115  # see __exit__
        self._body = cast("IO[bytes]", spool)
        self._writer = pq.ParquetWriter(
            self._body,
            schema,
            version="2.6",
            data_page_version="1.0",
            compression="zstd",
            compression_level=COMPRESSION_LEVEL,
            dictionary_pagesize_limit=DICTIONARY_BYTES,
            write_page_index=False,
        )
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()
        self._body.close()

    def write(self, table: pa.Table) -> None:
        """Add rows; each call begins a row group."""
        self._writer.write_table(table, row_group_size=ROWS_PER_GROUP)
        self.rows += table.num_rows

    def finish(self, version: int | None = None) -> EncodedTable:
        """End the file; version and digest go into the footer's metadata.

        The digest is the SHA-256 of the schema, the row count and every page before the footer: it
        follows rows, order and schema, and neither the version nor the chunks of a table. Another
        release of the Parquet writer may give another digest: that costs one rewrite of a
        partition, never a wrong answer.
        """
        digest = self._digest()
        self._writer.add_key_value_metadata(footer_facts(digest, self.rows, version))
        self._writer.close()
        size = self._body.seek(0, io.SEEK_END)
        self._body.seek(0)
        return EncodedTable(self._body, size, digest, self.rows)

    def _digest(self) -> str:
        digest = hashlib.sha256(f"{self._schema}\n{self.rows}\n".encode())
        self._body.seek(0)
        while chunk := self._body.read(DIGEST_CHUNK_BYTES):
            digest.update(chunk)
        return digest.hexdigest()


def encode(table: pa.Table, *, version: int | None = None) -> EncodedTable:
    """A whole table as one Parquet file, whose body the caller closes.

    See `TableWriter.finish` for its digest.
    """
    table = canonical(table)
    writer = TableWriter(table.schema)
    writer.write(table)
    return writer.finish(version)


def footer_facts(digest: str, rows: int, version: int | None) -> dict[str, str]:
    """What a stored table says about itself, in its footer and in its object's metadata."""
    facts = {DIGEST_KEY: digest, ROWS_KEY: str(rows)}
    return facts if version is None else facts | {VERSION_KEY: str(version)}


def decode(body: bytes) -> pa.Table:
    """Read Parquet bytes into the canonical form.

    Raises:
        pyarrow.ArrowInvalid: the bytes are no Parquet file.
    """
    return canonical(pq.ParquetFile(pa.BufferReader(body)).read())


def row_groups(file: IO[bytes]) -> Iterator[pa.Table]:
    """A Parquet file's rows in the canonical form, a row group at a time.

    Raises:
        pyarrow.ArrowInvalid: it is no Parquet file.
    """
    with pq.ParquetFile(file) as parquet:
        for number in range(parquet.num_row_groups):
            yield canonical(parquet.read_row_group(number))


def regrouped(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of exactly so many, each in one chunk; the last one has the rest."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        held.append(table)
        count += table.num_rows
        if count >= rows:
            whole = pa.concat_tables(held)
            full = count - count % rows
            for start in range(0, full, rows):
                yield whole.slice(start, rows).combine_chunks()
            held, count = [whole.slice(full)], count - full
    if count:
        yield pa.concat_tables(held).combine_chunks()


def encode_parts(tables: Iterable[pa.Table], schema: pa.Schema, version: int) -> EncodedTable:
    """One Parquet file of canonical tables below each other: the bytes that ``encode`` gives.

    The caller closes its body.
    """
    with ExitStack() as stack:
        writer = stack.enter_context(TableWriter(schema))
        for table in regrouped(tables, ROWS_PER_GROUP):
            writer.write(table)
        if not writer.rows:
            writer.write(schema.empty_table())
        encoded = writer.finish(version)
        stack.pop_all()
    return encoded
