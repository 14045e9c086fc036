"""Arrow columns as the text that CSV or JSON would hold for the same values."""

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final
from uuid import UUID

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_assets.parsing.records import compact_json

TEXT: Final = pa.large_string()
SECOND_PLACES: Final = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def text_of(column: pa.Array) -> pa.Array:
    """Large strings, null for null.

    Timestamps are ISO 8601 in UTC with ``Z`` (without a zone they are taken as UTC, fractions of a
    second only when not zero), dates, times and durations ISO 8601, floats the shortest text that
    gives the same number, structs, lists and maps compact JSON, binary its UTF-8 text or else
    hexadecimal, UUIDs as they are usually written.
    """
    for is_of_kind, convert in CONVERSIONS:
        if is_of_kind(column.type):
            return convert(column)
    return column.cast(TEXT)


def _references(column: pa.DictionaryArray) -> pa.Array:
    """Each value of the dictionary is written once, unless there are more of them than rows."""
    if len(column.dictionary) > len(column):
        return text_of(column.dictionary_decode())
    return text_of(column.dictionary).take(column.indices)


def _timestamps(column: pa.Array) -> pa.Array:
    in_utc = column.cast(pa.timestamp(column.type.unit, "UTC"))
    text = pc.replace_substring(in_utc.cast(TEXT), " ", "T", max_replacements=1)
    zeros = f".{'0' * SECOND_PLACES[column.type.unit]}Z"
    is_whole = pc.any(pc.ends_with(text, zeros)).as_py()
    return pc.replace_substring(text, zeros, "Z") if is_whole else text


def _times(column: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(column.cast(TEXT), r"\.0+$", "")


def _floats(column: pa.Array) -> pa.Array:
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    return pl.Series(column).cast(pl.String).to_arrow().cast(TEXT)


def _characters(column: pa.Array) -> pa.Array:
    raw = column.cast(pa.large_binary())
    try:
        return raw.cast(TEXT)
    except pa.ArrowInvalid:
        return pa.array(
            [None if item is None else _decoded(item) for item in raw.to_pylist()], TEXT
        )


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.hex()


def _durations(column: pa.Array) -> pa.Array:
    """ISO 8601 in seconds, whatever the unit: ``PT1.5S``."""
    places = SECOND_PLACES[column.type.unit]
    counts = column.cast(pa.int64()).to_pylist()
    return pa.array([None if each is None else _seconds(each, places) for each in counts], TEXT)


def _seconds(count: int, places: int) -> str:
    number = format(Decimal(count).scaleb(-places), "f")
    return f"PT{number.rstrip('0').rstrip('.') if '.' in number else number}S"


def _uuids(column: pa.Array) -> pa.Array:
    raws = column.storage.to_pylist()
    return pa.array([None if raw is None else str(UUID(bytes=raw)) for raw in raws], TEXT)


def _json(column: pa.Array) -> pa.Array:
    return pa.array([None if item is None else compact_json(item) for item in plain(column)], TEXT)


def plain(column: pa.Array) -> list[object]:
    """Values that JSON can write; a map is an object unless it gives a key twice."""
    written = writable(column)
    try:
        values = written.to_pylist(maps_as_pydicts="strict")
    except (KeyError, pa.ArrowException):
        values = written.to_pylist()
    return [_plain(value) for value in values]


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in value}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _is_extension(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType)


def _is_uuid(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.UuidType)


def writable(column: pa.Array) -> pa.Array:
    """The same with text in place of every value inside that JSON has no form for.

    Python cannot hold all of them: moments beyond the year 9999, text that is not UTF-8, structs
    that give a name twice.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return writable(column.dictionary_decode())
    if pa.types.is_struct(kind):
        return _struct(column)
    if pa.types.is_map(kind):
        return _map(column)
    if pa.types.is_nested(kind):
        items = writable(column.flatten())
        return pa.LargeListArray.from_arrays(_offsets(column), items, mask=column.is_null())
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        return text_of(column).cast(pa.float64())
    return column if _is_of_json(kind) else text_of(column)


def _is_of_json(kind: pa.DataType) -> bool:
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return bool(number or pa.types.is_boolean(kind) or pa.types.is_null(kind))


def _struct(column: pa.StructArray) -> pa.Array:
    names: list[str] = []
    for number, each in enumerate(column.type, 1):
        names.append(f"{each.name}.{number}" if each.name in names else each.name)
    fields = [writable(part) for part in column.flatten()]
    if not fields:
        return column
    return pa.StructArray.from_arrays(fields, names, mask=column.is_null())


def _map(column: pa.MapArray) -> pa.Array:
    start, end = column.offsets[0].as_py(), column.offsets[-1].as_py()
    keys, items = (writable(part.slice(start, end - start)) for part in (column.keys, column.items))
    offsets = pc.subtract(column.offsets, start).cast(pa.int32())
    return pa.MapArray.from_arrays(offsets, keys, items, mask=column.is_null())


def _offsets(column: pa.Array) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(column).cast(pa.int64()), 0)
    return pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths)])


CONVERSIONS: Final[
    tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.Array]], ...]
] = (
    (pa.types.is_dictionary, _references),
    (_is_uuid, _uuids),
    (_is_extension, lambda column: text_of(column.storage)),
    (pa.types.is_timestamp, _timestamps),
    (pa.types.is_time, _times),
    (pa.types.is_floating, _floats),
    (pa.types.is_string, _characters),
    (pa.types.is_large_string, _characters),
    (pa.types.is_string_view, _characters),
    (pa.types.is_binary, _characters),
    (pa.types.is_large_binary, _characters),
    (pa.types.is_binary_view, _characters),
    (pa.types.is_fixed_size_binary, _characters),
    (pa.types.is_nested, _json),
    (pa.types.is_duration, _durations),
)
"""Kinds of columns whose text is not simply Arrow's own cast."""
