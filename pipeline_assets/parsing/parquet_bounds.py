"""What a Parquet file may take of memory, time and disk, judged before it is read."""

import math
from dataclasses import dataclass
from typing import BinaryIO, Final

import pyarrow.parquet as pq

from pipeline_assets.errors import LimitExceededError
from pipeline_assets.parsing.compression import check_ratio, check_size
from pipeline_assets.parsing.limits import Limits
from pipeline_assets.parsing.parquet_footer import Footer, lying
from pipeline_assets.parsing.parquet_pages import ColumnChunk, Page, pages_of
from pipeline_assets.parsing.records import Layout

PAGES_IN_RECORDS: Final = 64
"""Pages that stand unpacked at a time, one of each column, take so many longest records at most:
1 GiB by default."""
BATCH_IN_RECORDS: Final = 16
"""What is decoded of them at a time: 256 MiB by default."""
SHORT_DICTIONARY: Final = 4 * 1024
"""A longest value of so few bytes may be repeated in every row of a batch without harm."""
DICTIONARIES: Final = frozenset({2, 8})
DELTA_BYTE_ARRAY: Final = 7
WIDTHS: Final = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
VALUE_OVERHEAD: Final = 12
"""Offset and levels of a value, in bytes."""
AS_DICTIONARY: Final = frozenset({"STRING", "NONE", "ENUM", "JSON", "BSON"})
"""Logical types of byte arrays that Arrow leaves as a dictionary where it is asked to."""


@dataclass(slots=True)
class _Column:
    """How much of memory a column takes at worst.

    Attributes:
        path: its dotted path.
        width: bytes of a value; null where each has its own.
        may_stay: whether Arrow can leave it as a dictionary.
        repeats: whether one row can hold any number of values.
        values: of a row, on average of the row group that has most.
        longest: bytes of a value, on average of the page with the longest ones.
        total: bytes of all values; infinite where pages repeat them.
        page: bytes of its largest page.
        dictionary: bytes of its largest dictionary that pages refer to.
    """

    path: str
    width: int | None
    may_stay: bool
    repeats: bool
    values: float = 1.0
    longest: float = 0.0
    total: float = 0.0
    page: int = 0
    dictionary: int = 0

    @property
    def stays(self) -> bool:
        """Whether it is left as a dictionary, because its values repeated could be huge."""
        return self.may_stay and (self.repeats or self.dictionary > SHORT_DICTIONARY)

    @property
    def largest_value(self) -> int:
        """Bytes that a reference of a page to a value may become."""
        return self.width or (0 if self.stays else self.dictionary)

    def weigh(self, page: Page) -> None:
        """Take a page into account."""
        if page.is_dictionary:
            self.dictionary = max(self.dictionary, page.size)
            return
        self.page = max(self.page, page.size)
        if self.width is not None or page.encoding in DICTIONARIES:
            return
        is_delta = page.encoding == DELTA_BYTE_ARRAY
        self.total += math.inf if is_delta else page.size
        # Each value may begin with the whole of the one before it.
        self.longest = max(self.longest, page.size / (1 if is_delta else max(1, page.values)))

    def bytes_of(self, rows: int) -> float:
        """Of so many rows, decoded."""
        values = rows * self.values
        repeated = 0 if self.stays or self.width is not None else self.dictionary
        each = VALUE_OVERHEAD + (self.width or 0) + repeated
        return values * each + min(values * self.longest, self.total)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is read so that memory is bounded.

    Attributes:
        batch_rows: rows that are decoded at a time.
        dictionaries: dotted paths of the columns that are left as dictionaries.
    """

    batch_rows: int
    dictionaries: tuple[str, ...]


def reading_of(
    stream: BinaryIO, footer: Footer, schema: pq.ParquetSchema, key: str, layout: Layout
) -> Reading:
    """Walk all pages' headers, and find how to read the file within bounds.

    Raises:
        CorruptFileError: columns lie over each other or outside of the file, or have no pages.
        LimitExceededError: there are more columns than the limits allow; or pages unpack to more
            bytes, in the whole file or those that must be in memory at a time.
    """
    if len(schema) > layout.limits.columns:
        raise LimitExceededError(key, "columns", len(schema), layout.limits.columns, "MAX_COLUMNS")
    columns = [_column(schema.column(index)) for index in range(len(schema))]
    sizes = _Sizes(key, footer.stored, layout.limits)
    for rows, chunks in footer.groups:
        if len(chunks) != len(columns):
            raise lying(key, f"{len(columns)} columns, a row group of {len(chunks)}")
        for column, chunk in zip(columns, chunks, strict=True):
            sizes.add_chunk(chunk)
            column.values = max(column.values, chunk.values / max(1, rows))
            for page in pages_of(stream, chunk, key):
                sizes.add_page(page)
                column.weigh(page)
            if column.repeats:
                sizes.check_row(chunk.values * column.largest_value)
    sizes.check_held(sum(each.page + each.dictionary for each in columns))
    stay = tuple(each.path for each in columns if each.stays)
    return Reading(_rows_at_a_time(columns, layout), stay)


@dataclass(slots=True)
class _Sizes:
    """Bytes of chunks and pages seen so far, held against the file's own and the limits."""

    key: str
    stored: int
    limits: Limits
    chunks: int = 0
    pages: int = 0

    def add_chunk(self, chunk: ColumnChunk) -> None:
        """Chunks that lie over each other would make a large file of a small one."""
        self.chunks += chunk.size
        if chunk.size < 0 or self.chunks > self.stored or not 0 <= chunk.start <= self.stored:
            told = f"columns of {self.chunks:,} bytes, the file has {self.stored:,}"
            raise lying(self.key, told)

    def add_page(self, page: Page) -> None:
        self.pages += page.size
        check_size(self.key, self.pages, self.limits)
        check_ratio(self.key, self.pages, self.stored, self.limits.ratio)

    def check_row(self, size: int) -> None:
        """What a row may become that holds all values of a row group."""
        check_ratio(self.key, size, self.stored, self.limits.ratio, how="decoded")

    def check_held(self, size: int) -> None:
        most = PAGES_IN_RECORDS * self.limits.record_bytes
        if size > most:
            raise LimitExceededError(
                self.key,
                "bytes in pages that are in memory at a time",
                size,
                most,
                "MAX_RECORD_BYTES",
            )


def _column(told: pq.ColumnSchema) -> _Column:
    fixed = told.length if told.physical_type == "FIXED_LEN_BYTE_ARRAY" else None
    width = WIDTHS.get(told.physical_type, fixed)
    may_stay = width is None and told.logical_type.type in AS_DICTIONARY
    return _Column(told.path, width, may_stay, repeats=told.max_repetition_level > 0)


def _rows_at_a_time(columns: list[_Column], layout: Layout) -> int:
    rows, most = layout.batch_rows, BATCH_IN_RECORDS * layout.limits.record_bytes
    while rows > 1 and sum(each.bytes_of(rows) for each in columns) > most:
        rows //= 2
    return rows
