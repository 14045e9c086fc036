"""Readings of devices: what was measured when, by which device."""

from datetime import date
from functools import cache
from typing import TYPE_CHECKING

import polars as pl

from pipeline_assets.conforming import UTC_MICROSECONDS, filled_text, number, utc_time
from pipeline_assets.dataset import Dataset, GoldTable, Keep
from pipeline_assets.parsing.formats import Format, Kind, Writing

if TYPE_CHECKING:
    from pandera.polars import DataFrameSchema


@cache
def contract() -> "DataFrameSchema":
    """Contract of silver's business columns."""
    import pandera.polars as pa  # noqa: PLC0415 - half a second that only validation needs

    return pa.DataFrameSchema(
        {
            "device_id": pa.Column(pl.String),
            "timestamp": pa.Column(UTC_MICROSECONDS),
            "metric": pa.Column(pl.String),
            "value": pa.Column(pl.Float64),
        },
        strict=True,
        ordered=True,
        name="readings",
    )


def conform(received: pl.LazyFrame) -> pl.LazyFrame:
    """Readings as received to silver's business columns, one row for each row, in order.

    Text is trimmed and blank text is null; times are UTC; values are finite.
    """
    return received.select(
        filled_text("deviceId").alias("device_id"),
        utc_time(filled_text("timestamp")).alias("timestamp"),
        filled_text("metric").alias("metric"),
        number(filled_text("value")).alias("value"),
    )


def hourly_readings(silver: pl.LazyFrame) -> pl.LazyFrame:
    """Count, mean, extremes and last value of a date by device, metric and hour."""
    key = ("event_date", "device_id", "metric", "hour")
    value = pl.col("value").sort_by("timestamp")
    values = pl.col("values").list
    return (
        silver.with_columns(pl.col("timestamp").dt.truncate("1h").alias("hour"))
        .group_by(key)
        # A sum of floats depends on its order, and the mean of a group on the number of threads:
        # of a list it is taken in the list's order, so that the same rows give the same table.
        .agg(value.alias("values"))
        .select(
            *key,
            values.len().cast(pl.Int64).alias("count"),
            values.min().alias("min"),
            values.mean().alias("mean"),
            values.max().alias("max"),
            values.last().alias("last"),
        )
        # Rounding may carry the mean of equal values past them.
        .with_columns(pl.col("mean").clip("min", "max"))
        .sort(key)
    )


@cache
def hourly_readings_contract() -> "DataFrameSchema":
    """Contract of gold's hourly_readings."""
    import pandera.polars as pa  # noqa: PLC0415 - half a second that only validation needs

    within_the_extremes = pa.Check(
        lambda table: table.lazyframe.select(
            pl.all_horizontal(pl.col("mean", "last").is_between(pl.col("min"), pl.col("max")))
        ),
        name="mean_and_last_lie_within_the_extremes",
    )
    return pa.DataFrameSchema(
        {
            "event_date": pa.Column(pl.Date),
            "device_id": pa.Column(pl.String),
            "metric": pa.Column(pl.String),
            "hour": pa.Column(UTC_MICROSECONDS),
            "count": pa.Column(pl.Int64, pa.Check.ge(1)),
            **{name: pa.Column(pl.Float64) for name in ("min", "mean", "max", "last")},
        },
        checks=within_the_extremes,
        unique=["event_date", "device_id", "metric", "hour"],
        strict=True,
        ordered=True,
        name="hourly_readings",
    )


DATASET = Dataset(
    name="readings",
    description="What a device measured, one row per device, metric and time.",
    start=date(2010, 1, 1),
    formats=frozenset(Format),
    fields=("deviceId", "timestamp", "metric", "value"),
    writing=Writing(kinds={"timestamp": Kind.TIME, "value": Kind.NUMBER}),
    event_time="timestamp",
    contract=contract,
    conform=conform,
    parsed={"timestamp": "timestamp", "value": "value"},
    identity=(("device_id", "metric", "timestamp"),),
    # A device that reports a time again corrects what it said of it.
    keep=Keep.LAST,
    sort=("device_id", "metric", "timestamp"),
    gold=(
        GoldTable(
            name="hourly_readings",
            description=(
                "Number of readings, smallest, mean, largest and last value per device, metric "
                "and hour (UTC)."
            ),
            build=hourly_readings,
            contract=hourly_readings_contract,
        ),
    ),
)
