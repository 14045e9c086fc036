"""A Parquet file's footer: what it tells of rows and of where the columns' pages lie."""

import io
from dataclasses import dataclass
from typing import BinaryIO, Final

from pipeline_assets.errors import CorruptFileError, LimitExceededError
from pipeline_assets.parsing.compression import check_ratio, check_size, damaged
from pipeline_assets.parsing.detection import PARQUET_MAGIC
from pipeline_assets.parsing.limits import Limits
from pipeline_assets.parsing.parquet_pages import ColumnChunk
from pipeline_assets.parsing.parquet_thrift import Compact, Fields, integer, struct, structs

CONTAINER_LIMIT: Final = 100_000
"""Most row groups, columns and schema nodes that Arrow reads; its own default is ten times that."""
DECODED_RATIOS: Final = 10
"""Encodings may come on top of compression: sound columns of few values take less than a bit for
each. Decoded bytes are allowed so many times the ratio."""
SLACK_BYTES: Final = 100
"""Writers before parquet-mr 1.2.9 leave a dictionary's header out of a column's size
(PARQUET-816)."""
MAGIC_AND_LENGTH: Final = 8
NUM_ROWS, ROW_GROUPS = 3, 4
COLUMNS, GROUP_ROWS = 1, 3
META_DATA = 3
NUM_VALUES, TOTAL_COMPRESSED_SIZE, DATA_PAGE_OFFSET, DICTIONARY_PAGE_OFFSET = 5, 7, 9, 11
"""Fields of FileMetaData, RowGroup, ColumnChunk and ColumnMetaData in ``parquet.thrift``."""


def check_decoded(key: str, size: int, stored: int, limits: Limits) -> None:
    """Refuse what so few stored bytes are decoded to: a dictionary's value may be in every row.

    Raises:
        LimitExceededError: it is more than the limits allow.
    """
    check_size(key, size, limits)
    check_ratio(key, size, stored, DECODED_RATIOS * limits.ratio, how="decoded")


@dataclass(frozen=True, slots=True)
class Footer:
    """What is needed of a footer beside its schema.

    Arrow's own view of a column chunk is not asked for: where a chunk's statistics are damaged it
    ends the process.

    Attributes:
        stored: bytes of the file.
        groups: each row group's rows and its column chunks, in the order of the schema's leaves.
    """

    stored: int
    groups: tuple[tuple[int, tuple[ColumnChunk, ...]], ...]

    @property
    def rows(self) -> int:
        """Of all row groups."""
        return sum(rows for rows, _ in self.groups)


def footer_of(stream: BinaryIO, key: str, limits: Limits) -> Footer:
    """Read a file's footer without Arrow.

    Raises:
        CorruptFileError: there is none, or its numbers cannot be true together.
        LimitExceededError: it is longer than a record may be, for in memory it takes up to 230
            times its size; or there are more rows than the limits allow.
    """
    stored = stream.seek(0, io.SEEK_END)
    fields = _fields(stream, stored, key, limits)
    groups = tuple(_group(each, stored) for each in structs(fields, ROW_GROUPS))
    footer, told = Footer(stored, groups), integer(fields, NUM_ROWS)
    if footer.rows != told or min((rows for rows, _ in groups), default=0) < 0:
        raise lying(key, f"{told} rows, its row groups of {footer.rows}")
    # A row of nothing but nulls takes no byte of a page, yet one of memory and of work.
    check_size(key, footer.rows, limits)
    check_ratio(key, footer.rows, stored, limits.ratio)
    return footer


def _fields(stream: BinaryIO, stored: int, key: str, limits: Limits) -> Fields:
    stream.seek(max(0, stored - MAGIC_AND_LENGTH))
    tail = stream.read(MAGIC_AND_LENGTH)
    length = int.from_bytes(tail[:4], "little")
    if not tail.endswith(PARQUET_MAGIC):
        raise damaged(key, ValueError("it does not end in a footer"))
    if length + MAGIC_AND_LENGTH > stored:
        told = f"it tells of a footer of {length:,} bytes, but has {stored:,} in all"
        raise damaged(key, ValueError(told))
    if length > limits.record_bytes:
        raise LimitExceededError(
            key, "bytes in its footer", length, limits.record_bytes, "MAX_RECORD_BYTES"
        )
    stream.seek(stored - MAGIC_AND_LENGTH - length)
    try:
        return Compact(stream.read(length)).struct()
    except (LookupError, ValueError) as error:
        raise damaged(key, ValueError("its footer cannot be read")) from error


def _group(fields: Fields, stored: int) -> tuple[int, tuple[ColumnChunk, ...]]:
    chunks = (struct(each, META_DATA) for each in structs(fields, COLUMNS))
    return integer(fields, GROUP_ROWS) or 0, tuple(_chunk(each, stored) for each in chunks)


def _chunk(fields: Fields, stored: int) -> ColumnChunk:
    """Where Arrow reads the column's pages."""
    start, size = integer(fields, DATA_PAGE_OFFSET) or 0, integer(fields, TOTAL_COMPRESSED_SIZE)
    dictionary = integer(fields, DICTIONARY_PAGE_OFFSET) or 0
    if 0 < dictionary < start:
        start = dictionary
    size = -1 if size is None else size
    end = min(start + size + SLACK_BYTES, stored - MAGIC_AND_LENGTH)
    return ColumnChunk(start, end, size, integer(fields, NUM_VALUES) or 0)


def lying(key: str, told: str) -> CorruptFileError:
    """The error for a footer whose numbers cannot be true together."""
    return CorruptFileError(
        key, f"the file is cut or damaged (its footer tells of {told}): land it again"
    )
