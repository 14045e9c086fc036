"""Text as received to typed values: what the conform functions of datasets are made of."""

from functools import cache
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    import duckdb

PLAIN_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
ISO_TIME = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
    r"(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?$"
)
ISO_ZONE = r"(?:[Zz]|[0-9][+-][0-9]{2}(?::?[0-9]{2})?)$"

UTC_MICROSECONDS = pl.Datetime("us", "UTC")
"""What ``utc_time`` gives."""

EARLIEST_MICROSECONDS = -62_135_596_800_000_000
EARLIEST = pl.lit(EARLIEST_MICROSECONDS).cast(UTC_MICROSECONDS)
LATEST = pl.lit(253_402_300_799_999_999).cast(UTC_MICROSECONDS)
"""``datetime.min`` and ``datetime.max`` in UTC."""

DECIMAL_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"

JSON_STRING = r'"(?:[^"\\]|\\.)*"'
SPACE_BETWEEN_TOKENS = r"[\[{:,][ \t\r\n]|[ \t\r\n][\]}:,]"
NOT_QUITE_JSON = r"(?i),[ \t\r\n]*[}\]]|[\[:,][ \t\r\n]*-?(?:nan|inf)"
"""What DuckDB accepts though RFC 8259 does not: trailing commas, NaN and infinities."""


def filled_text(name: str) -> pl.Expr:
    """A column's text without the space around it; null where nothing is left."""
    trimmed = pl.col(name).str.strip_chars()
    return pl.when(trimmed != "").then(trimmed)


def utc_time(text: pl.Expr) -> pl.Expr:
    """ISO 8601 date and time of day to UTC, in microseconds; null where it is not one.

    Accepted are ``T`` or a space between date and time, seconds with or without up to nine digits
    of fraction (cut to six) or no seconds, and ``Z``, an offset, or nothing, which is taken for
    UTC. A date alone has no time of day and is not accepted, nor a time that is before the year 1
    or after 9999 in UTC: Python has none of these.
    """
    return text.map_batches(_utc_times, return_dtype=UTC_MICROSECONDS)


def _utc_times(text: pl.Series) -> pl.Series:
    # The first form is nearly every row's in practice, and several times faster to read: what has
    # another is taken out, and put back when it is read.
    plain = text.str.contains(PLAIN_TIME)
    if plain.all():
        read = _parsed(text, "%Y-%m-%dT%H:%M:%SZ")
        if (read.to_physical() >= EARLIEST_MICROSECONDS).all():  # the year has four digits
            return read
    read = _parsed(text.zip_with(plain, _nothing(text.len())), "%Y-%m-%dT%H:%M:%SZ")
    others = (~plain).arg_true()
    if len(others):
        given = text.gather(others)
        iso = given.zip_with(given.str.contains(ISO_TIME), _nothing(given.len()))
        normal = iso.to_frame("text").select(_normal_time(pl.col("text"))).to_series()
        read = read.scatter(others, _parsed(normal, "%Y-%m-%dT%H:%M:%S%.f%#z"))
    in_calendar = pl.when(pl.col("read").is_between(EARLIEST, LATEST)).then(pl.col("read"))
    return read.to_frame("read").select(in_calendar).to_series().alias(text.name)


def _nothing(rows: int) -> pl.Series:
    return pl.repeat(None, rows, dtype=pl.String, eager=True)


def _parsed(text: pl.Series, form: str) -> pl.Series:
    return text.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)


def _normal_time(text: pl.Expr) -> pl.Expr:
    after_minutes = text.str.slice(16).str.to_uppercase().str.replace(",", ".", literal=True)
    no_seconds = text.str.slice(16, 1) != ":"
    no_zone = ~text.str.contains(ISO_ZONE)
    return pl.concat_str(
        text.str.slice(0, 10),
        pl.lit("T"),
        text.str.slice(11, 5),
        pl.when(no_seconds).then(pl.lit(":00")).otherwise(pl.lit("")),
        after_minutes,
        pl.when(no_zone).then(pl.lit("Z")).otherwise(pl.lit("")),
    )


def number(text: pl.Expr) -> pl.Expr:
    """Decimal number to the nearest 64-bit float; null where it is none or too large for one.

    Accepted are a sign, a point, and an exponent; no infinities, no NaN, no decimal comma.
    """
    parsed = pl.when(text.str.contains(DECIMAL_NUMBER)).then(text).cast(pl.Float64, strict=False)
    return pl.when(parsed.is_finite()).then(parsed)


def json_objects(text: pl.Series) -> pl.Series:
    """JSON objects without the white space between their tokens; null where it is not one."""
    objects = pl.select(pl.when(_is_json_object(text)).then(text)).to_series()
    spaced = objects.str.contains(SPACE_BETWEEN_TOKENS).fill_null(value=False).arg_true()
    # The gaps are found cheaply first: most producers write none, and rewriting is slow.
    compact = objects.gather(spaced).str.replace_all(rf"({JSON_STRING})|[ \t\r\n]+", "${1}")
    return objects.scatter(spaced, compact).alias(text.name)


def _is_json_object(text: pl.Series) -> pl.Series:
    relation = _duckdb().cursor().from_arrow(text.alias("text").to_frame().to_arrow())
    valid: pl.Series = (
        relation.project("CASE WHEN json_valid(text) THEN json_type(text) = 'OBJECT' END")
        .pl()
        .to_series()
    )
    suspects = text.str.contains(NOT_QUITE_JSON).fill_null(value=False).arg_true()
    outside_strings = text.gather(suspects).str.replace_all(JSON_STRING, '""')
    strict = ~outside_strings.str.contains(NOT_QUITE_JSON)
    return valid.scatter(suspects, valid.gather(suspects) & strict)


@cache
def _duckdb() -> "duckdb.DuckDBPyConnection":
    """Opened once, since opening takes longer than a small date; each use has its own cursor."""
    import duckdb  # noqa: PLC0415 - nothing needs it before there is something to conform

    return duckdb.connect()
