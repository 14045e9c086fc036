"""Parquet pages as their headers tell of them, walked without unpacking any.

What a footer says of its columns' sizes is a claim. The page headers are what the reader obeys, so
they are read first, and what they would take is known before anything is unpacked. Source:
``parquet.thrift`` of the Parquet format.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from pipeline_assets.errors import CorruptFileError
from pipeline_assets.parsing.parquet_thrift import Compact, Fields, integer, struct

HEADER_BYTES: Final = (4 * 1024, 128 * 1024, 16 * 1024 * 1024)
"""Read for a header: enough for nearly all, for long statistics, and the most that Arrow reads."""
EMPTY_PAGES: Final = 1_000
"""So many pages without a value are no column any more; they would keep a reader busy for nothing.
"""
DICTIONARY_PAGE: Final = 2
BODIES: Final = {0: 5, DICTIONARY_PAGE: 7, 3: 8}
"""Page types with values, and the header's field that tells of them."""
ENCODING_FIELD: Final = {5: 2, 7: 2, 8: 4}


@dataclass(frozen=True, slots=True)
class ColumnChunk:
    """Where the pages of a column lie in a row group: offsets and size in bytes, values."""

    start: int
    end: int
    size: int
    values: int


@dataclass(frozen=True, slots=True)
class Page:
    """What a page's header tells: bytes stored and unpacked, values with nulls, encoding."""

    is_dictionary: bool
    stored: int
    size: int
    values: int
    encoding: int


def pages_of(stream: BinaryIO, chunk: ColumnChunk, key: str) -> Iterator[Page]:
    """Pages in file order, up to the one that holds the chunk's last value.

    Raises:
        CorruptFileError: what stands there is no page, or they hold more or fewer values.
    """
    at, left, empty = chunk.start, chunk.values, 0
    while left > 0 and at < chunk.end:
        fields, length = _header(stream, at, chunk.end, key)
        page = _page(fields)
        if page is None or page.stored > chunk.end - at - length or empty > EMPTY_PAGES:
            raise _no_page(key, at)
        yield page
        left -= 0 if page.is_dictionary else page.values
        empty += page.values == 0
        at += length + page.stored
    if left:
        counts = f"{chunk.values:,} values of a column, its pages hold {chunk.values - left:,}"
        raise CorruptFileError(
            key, f"the file is cut or damaged (its footer tells of {counts}): land it again"
        )


def _no_page(key: str, at: int) -> CorruptFileError:
    cause = f"the file is cut or damaged (there is no page of values at byte {at:,})"
    return CorruptFileError(key, f"{cause}: land it again")


def _page(fields: Fields) -> Page | None:
    kind, size, stored = (integer(fields, number) for number in (1, 2, 3))
    place = BODIES.get(-1 if kind is None else kind, 0)
    body = struct(fields, place)
    values, encoding = integer(body, 1), integer(body, ENCODING_FIELD.get(place, 0))
    if size is None or stored is None or values is None or encoding is None:
        return None
    if min(size, stored, values) < 0:
        return None
    return Page(kind == DICTIONARY_PAGE, stored, size, values, encoding)


def _header(stream: BinaryIO, at: int, end: int, key: str) -> tuple[Fields, int]:
    """The header's fields, and its own length."""
    for most in HEADER_BYTES:
        stream.seek(at)
        header = Compact(stream.read(min(most, end - at)))
        try:
            return header.struct(), header.at
        except IndexError:
            continue
        except (KeyError, ValueError) as error:
            raise _no_page(key, at) from error
    raise _no_page(key, at)
