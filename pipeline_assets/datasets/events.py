"""User events of web sites and shops: who did what and when."""

from datetime import date
from functools import cache
from typing import TYPE_CHECKING

import duckdb
import polars as pl

from pipeline_assets.dataset import Dataset, GoldTable, ServingView
from pipeline_assets.parsing.formats import Format

if TYPE_CHECKING:
    from pandera.polars import DataFrameSchema

EVENT_TYPES = ("page_view", "click", "purchase", "signup")
UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
UTC_MICROSECONDS = pl.Datetime("us", "UTC")

PLAIN_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
ISO_TIME = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
    r"(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?$"
)
ISO_ZONE = r"(?:[Zz]|[0-9][+-][0-9]{2}(?::?[0-9]{2})?)$"

JSON_STRING = r'"(?:[^"\\]|\\.)*"'
SPACE_BETWEEN_TOKENS = r"[\[{:,][ \t\r\n]|[ \t\r\n][\]}:,]"
NOT_QUITE_JSON = r"(?i),[ \t\r\n]*[}\]]|[\[:,][ \t\r\n]*-?(?:nan|inf)"
"""What DuckDB accepts though RFC 8259 does not: trailing commas, NaN and infinities."""


@cache
def contract() -> "DataFrameSchema":
    """Contract of silver's business columns."""
    import pandera.polars as pa  # noqa: PLC0415 - half a second that only validation needs

    return pa.DataFrameSchema(
        {
            "event_id": pa.Column(pl.String, nullable=True),
            "event_type": pa.Column(pl.String, pa.Check.isin(EVENT_TYPES)),
            "user_id": pa.Column(pl.String, pa.Check.str_matches(UUID)),
            "timestamp": pa.Column(UTC_MICROSECONDS),
            "session_id": pa.Column(pl.String, nullable=True),
            "properties": pa.Column(pl.String, nullable=True),
            # Follows from timestamp: a rule of its own would only repeat timestamp's.
            "hour_bucket": pa.Column(UTC_MICROSECONDS, nullable=True),
        },
        strict=True,
        ordered=True,
        name="events",
    )


def conform(received: pl.LazyFrame) -> pl.LazyFrame:
    """Events as received to silver's business columns, one row for each row, in order.

    Text is trimmed and blank text is null; user ids are lower-cased; times are UTC; properties are
    the object's JSON text without white space between its tokens, numbers and strings untouched.
    """
    return received.select(
        _text("eventId").alias("event_id"),
        _text("eventType").alias("event_type"),
        _text("userId").str.to_lowercase().alias("user_id"),
        utc_time(_text("timestamp")).alias("timestamp"),
        _text("sessionId").alias("session_id"),
        _text("properties").map_batches(json_objects, return_dtype=pl.String).alias("properties"),
    ).with_columns(pl.col("timestamp").dt.truncate("1h").alias("hour_bucket"))


def _text(name: str) -> pl.Expr:
    trimmed = pl.col(name).str.strip_chars()
    return pl.when(trimmed != "").then(trimmed)


def utc_time(text: pl.Expr) -> pl.Expr:
    """ISO 8601 date and time of day to UTC, in microseconds; null where it is not one.

    Accepted are ``T`` or a space between date and time, seconds with or without up to nine digits
    of fraction (cut to six) or no seconds, and ``Z``, an offset, or nothing, which is taken for
    UTC. A date alone has no time of day and is not accepted.
    """
    plain = text.str.contains(PLAIN_TIME)
    other = text.str.contains(ISO_TIME) & ~plain
    # The first form is nearly every row's in practice, and several times faster to read.
    return pl.coalesce(
        _parsed(pl.when(plain).then(text), "%Y-%m-%dT%H:%M:%SZ"),
        _parsed(_normal_time(pl.when(other).then(text)), "%Y-%m-%dT%H:%M:%S%.f%#z"),
    )


def _parsed(text: pl.Expr, form: str) -> pl.Expr:
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
def _duckdb() -> duckdb.DuckDBPyConnection:
    """Opened once, since opening takes longer than a small date; each use has its own cursor."""
    return duckdb.connect()


def daily_event_summary(silver: pl.LazyFrame) -> pl.LazyFrame:
    """Events and distinct users of a date by event type."""
    return _activity(silver, ("event_date", "event_type"))


def hourly_activity(silver: pl.LazyFrame) -> pl.LazyFrame:
    """Events and distinct users of a date by hour and event type."""
    return _activity(silver, ("event_date", "hour_bucket", "event_type"))


def _activity(silver: pl.LazyFrame, key: tuple[str, ...]) -> pl.LazyFrame:
    return (
        silver.group_by(key)
        .agg(
            pl.len().cast(pl.Int64).alias("event_count"),
            pl.col("user_id").n_unique().cast(pl.Int64).alias("unique_users"),
        )
        .sort(key)
    )


@cache
def daily_event_summary_contract() -> "DataFrameSchema":
    """Contract of gold's daily_event_summary."""
    return _activity_contract("daily_event_summary", ("event_date", "event_type"))


@cache
def hourly_activity_contract() -> "DataFrameSchema":
    """Contract of gold's hourly_activity."""
    return _activity_contract("hourly_activity", ("event_date", "hour_bucket", "event_type"))


def _activity_contract(name: str, key: tuple[str, ...]) -> "DataFrameSchema":
    import pandera.polars as pa  # noqa: PLC0415 - half a second that only validation needs

    types: dict[str, type[pl.DataType] | pl.DataType] = {
        "event_date": pl.Date,
        "hour_bucket": UTC_MICROSECONDS,
        "event_type": pl.String,
    }
    counts = {
        count: pa.Column(pl.Int64, pa.Check.ge(1)) for count in ("event_count", "unique_users")
    }
    no_more_users_than_events = pa.Check(
        lambda table: table.lazyframe.select(pl.col("unique_users") <= pl.col("event_count")),
        name="no_more_users_than_events",
    )
    return pa.DataFrameSchema(
        {column: pa.Column(types[column]) for column in key} | counts,
        checks=no_more_users_than_events,
        unique=list(key),
        strict=True,
        ordered=True,
        name=name,
    )


DATASET = Dataset(
    name="events",
    description="What a user did on a site, one row per event.",
    start=date(2010, 1, 1),
    formats=frozenset(Format),
    fields=("eventType", "userId", "timestamp", "eventId", "sessionId", "properties"),
    event_time="timestamp",
    contract=contract,
    conform=conform,
    parsed={"timestamp": "timestamp", "properties": "properties"},
    identity=(
        ("event_id",),
        ("event_type", "user_id", "timestamp", "session_id", "properties"),
    ),
    sort=("timestamp",),
    gold=(
        GoldTable(
            name="daily_event_summary",
            description="Events and distinct users per event date and event type.",
            build=daily_event_summary,
            contract=daily_event_summary_contract,
        ),
        GoldTable(
            name="hourly_activity",
            description="Events and distinct users per hour (UTC) and event type.",
            build=hourly_activity,
            contract=hourly_activity_contract,
        ),
    ),
    serving=(
        ServingView(
            name="daily_event_summary",
            description="How many events of a type a date had, and by how many users.",
            gold="daily_event_summary",
            partition_key="event_date",
            sort_key="event_type",
        ),
    ),
)
