"""Decoded rows in portions of bounded text: a value stored once may stand in each row."""

from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline_assets.errors import LimitExceededError
from pipeline_assets.parsing.limits import Limits

NUMBER_BYTES: Final = 8
"""Of a number or time, about; of none is more written than thrice of it."""


def portions(
    rows: pa.RecordBatch, key: str, limits: Limits
) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Parts in order, none with more bytes of text than a record may have; each with its bytes.

    Raises:
        LimitExceededError: a row alone has more.
    """
    size = sum(size_of(column) for column in rows.columns)
    if size <= limits.record_bytes:
        yield rows, size
    elif rows.num_rows == 1:
        raise LimitExceededError(
            key, "bytes in a record", size, limits.record_bytes, "MAX_RECORD_BYTES"
        )
    else:
        half = rows.num_rows // 2
        yield from portions(rows.slice(0, half), key, limits)
        yield from portions(rows.slice(half), key, limits)


def size_of(column: pa.Array) -> int:
    """Bytes of a column's values once each is written out."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return size_of(column.storage)
    if pa.types.is_dictionary(kind):
        return _sum(_lengths(column.dictionary).take(column.indices))
    if pa.types.is_nested(kind):
        parts = _parts(column)
        separators = 0 if pa.types.is_struct(kind) else sum(len(part) for part in parts)
        return separators + sum(size_of(part) for part in parts)
    return _sum(_lengths(column))


def _parts(column: pa.Array) -> list[pa.Array]:
    """Fields of a struct, keys and values of a map, items of a list."""
    if pa.types.is_struct(column.type):
        return list(column.flatten())
    if not pa.types.is_map(column.type):
        return [column.flatten()]
    start, end = column.offsets[0].as_py(), column.offsets[-1].as_py()
    return [part.slice(start, end - start) for part in (column.keys, column.items)]


def _lengths(column: pa.Array) -> pa.Array:
    """Bytes of each value; a number that is not there counts like the others."""
    kind = column.type
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        column = column.cast(pa.large_binary())
    elif not any(is_of_kind(kind) for is_of_kind in OF_OWN_LENGTH):
        return pa.repeat(pa.scalar(NUMBER_BYTES, pa.int64()), len(column))
    return pc.cast(pc.binary_length(column), pa.int64())


def _sum(lengths: pa.Array) -> int:
    return int(pc.sum(lengths).as_py() or 0)


OF_OWN_LENGTH: Final = (
    pa.types.is_string,
    pa.types.is_binary,
    pa.types.is_large_string,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
)
