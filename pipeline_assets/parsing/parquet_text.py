"""Arrow columns as the text that CSV or JSON would hold for the same values."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_assets.parsing.records import compact_json

TEXT: Final = pa.large_string()


def text_of(column: pa.Array) -> pa.Array:
    """Large strings, null for null.

    Timestamps are ISO 8601 in UTC with ``Z`` (without a zone they are taken as UTC, fractions of a
    second only when not zero), dates and times ISO 8601, floats the shortest text that gives the
    same number, structs, lists and maps compact JSON, binary its UTF-8 text or else hexadecimal.
    """
    for is_of_kind, convert in CONVERSIONS:
        if is_of_kind(column.type):
            return convert(column)
    return column.cast(TEXT)


def _timestamps(column: pa.Array) -> pa.Array:
    in_utc = column.cast(pa.timestamp(column.type.unit, "UTC"))
    text = pc.replace_substring(in_utc.cast(TEXT), " ", "T", max_replacements=1)
    return pc.replace_substring_regex(text, r"\.0+Z$", "Z")


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


def _json(column: pa.Array) -> pa.Array:
    return pa.array([None if item is None else compact_json(item) for item in plain(column)], TEXT)


def plain(column: pa.Array) -> list[object]:
    """Values that JSON can write; a map is an object unless it gives a key twice."""
    try:
        values = column.to_pylist(maps_as_pydicts="strict")
    except (KeyError, pa.ArrowException):
        values = column.to_pylist()
    return [_plain(value) for value in values]


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {
            key if isinstance(key, str) else str(_plain(key)): _plain(value[key]) for key in value
        }
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return _decoded(value) if isinstance(value, bytes) else _iso(value)


def _iso(value: object) -> str:
    if isinstance(value, datetime):
        in_utc = value.astimezone(UTC) if value.tzinfo else value
        return in_utc.replace(tzinfo=None).isoformat() + "Z"
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _is_extension(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType)


CONVERSIONS: Final[
    tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.Array]], ...]
] = (
    (pa.types.is_dictionary, lambda column: text_of(column.dictionary_decode())),
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
    (pa.types.is_duration, _json),
)
"""Kinds of columns whose text is not simply Arrow's own cast."""
