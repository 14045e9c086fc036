"""User events of web sites and shops: who did what and when."""

from datetime import date
from functools import cache
from typing import TYPE_CHECKING

import polars as pl

from pipeline_assets.conforming import UTC_MICROSECONDS, filled_text, json_objects, utc_time
from pipeline_assets.dataset import Dataset, FirstSeen, GoldTable, ServingView
from pipeline_assets.parsing.formats import Format, Kind, Writing

if TYPE_CHECKING:
    from pandera.polars import DataFrameSchema

EVENT_TYPES = ("page_view", "click", "purchase", "signup")
UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


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
        filled_text("eventId").alias("event_id"),
        filled_text("eventType").alias("event_type"),
        filled_text("userId").str.to_lowercase().alias("user_id"),
        utc_time(filled_text("timestamp")).alias("timestamp"),
        filled_text("sessionId").alias("session_id"),
        filled_text("properties")
        .map_batches(json_objects, return_dtype=pl.String)
        .alias("properties"),
    ).with_columns(pl.col("timestamp").dt.truncate("1h").alias("hour_bucket"))


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
    writing=Writing(kinds={"timestamp": Kind.TIME, "properties": Kind.JSON}),
    gold=(
        GoldTable(
            name="daily_event_summary",
            description="Events and distinct users per event date and event type.",
            build=daily_event_summary,
            contract=daily_event_summary_contract,
            within="event_type",
        ),
        GoldTable(
            name="hourly_activity",
            description="Events and distinct users per hour (UTC) and event type.",
            build=hourly_activity,
            contract=hourly_activity_contract,
            within="hour_bucket",
        ),
    ),
    first_seen=(
        FirstSeen(
            name="new_users",
            description="How many users did something for the first time on the event date.",
            entity="user_id",
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
