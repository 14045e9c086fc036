"""Log lines of services: what was logged when, how grave it was, and by whom."""

from datetime import date
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import polars as pl

from pipeline_assets.conforming import UTC_MICROSECONDS, filled_text, utc_time
from pipeline_assets.dataset import Dataset, GoldTable, Keep
from pipeline_assets.parsing.formats import Format, Kind, Writing

if TYPE_CHECKING:
    from pandera.polars import DataFrameSchema

LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
"""The ranges of severity of OpenTelemetry's Logs Data Model, from the slightest to the gravest."""
SYNONYMS = MappingProxyType(
    {
        "FINEST": "TRACE",
        "FINER": "DEBUG",
        "FINE": "DEBUG",
        "CONFIG": "DEBUG",
        "INFORMATION": "INFO",
        "INFORMATIONAL": "INFO",
        "NOTICE": "INFO",
        "WARNING": "WARN",
        "ERR": "ERROR",
        "SEVERE": "ERROR",
        "CRIT": "FATAL",
        "CRITICAL": "FATAL",
        "ALERT": "FATAL",
        "EMERG": "FATAL",
        "EMERGENCY": "FATAL",
        "PANIC": "FATAL",
    }
)
"""Words of syslog, Python, .NET and java.util.logging. Numbers are not read: each logger has its
own."""
ERRORS = ("ERROR", "FATAL")


@cache
def contract() -> "DataFrameSchema":
    """Contract of silver's business columns."""
    import pandera.polars as pa  # noqa: PLC0415 - half a second that only validation needs

    return pa.DataFrameSchema(
        {
            "timestamp": pa.Column(UTC_MICROSECONDS),
            "level": pa.Column(pl.String, pa.Check.isin(LEVELS)),
            "message": pa.Column(pl.String),
            "service": pa.Column(pl.String, nullable=True),
            "trace_id": pa.Column(pl.String, nullable=True),
            "logger": pa.Column(pl.String, nullable=True),
        },
        strict=True,
        ordered=True,
        name="logs",
    )


def conform(received: pl.LazyFrame) -> pl.LazyFrame:
    """Log lines as received to silver's business columns, one row for each row, in order.

    Blank text is null; other text is trimmed but for the message, whose indentation may matter.
    Times are UTC. Levels are in capitals and of ``LEVELS`` where they mean one of them.
    """
    message = pl.col("message")
    return received.select(
        utc_time(filled_text("timestamp")).alias("timestamp"),
        filled_text("level").str.to_uppercase().replace(dict(SYNONYMS)).alias("level"),
        pl.when(message.str.contains(r"\S")).then(message).alias("message"),
        filled_text("service").alias("service"),
        filled_text("traceId").alias("trace_id"),
        filled_text("logger").alias("logger"),
    )


def service_error_rate(silver: pl.LazyFrame) -> pl.LazyFrame:
    """Lines, warnings and errors of a date by hour and service, and the share of errors.

    Lines that name no service are together, with a null for the service.
    """
    key = ("event_date", "hour", "service")
    errors = pl.col("level").is_in(ERRORS)
    return (
        silver.with_columns(pl.col("timestamp").dt.truncate("1h").alias("hour"))
        .group_by(key)
        .agg(
            pl.len().cast(pl.Int64).alias("lines"),
            (pl.col("level") == "WARN").sum().cast(pl.Int64).alias("warnings"),
            errors.sum().cast(pl.Int64).alias("errors"),
        )
        .with_columns((pl.col("errors") / pl.col("lines")).alias("error_rate"))
        .sort(key)
    )


@cache
def service_error_rate_contract() -> "DataFrameSchema":
    """Contract of gold's service_error_rate."""
    import pandera.polars as pa  # noqa: PLC0415 - half a second that only validation needs

    no_more_than_lines = pa.Check(
        lambda table: table.lazyframe.select(
            pl.col("warnings") + pl.col("errors") <= pl.col("lines")
        ),
        name="warnings_and_errors_are_lines",
    )
    return pa.DataFrameSchema(
        {
            "event_date": pa.Column(pl.Date),
            "hour": pa.Column(UTC_MICROSECONDS),
            "service": pa.Column(pl.String, nullable=True),
            "lines": pa.Column(pl.Int64, pa.Check.ge(1)),
            "warnings": pa.Column(pl.Int64, pa.Check.ge(0)),
            "errors": pa.Column(pl.Int64, pa.Check.ge(0)),
            "error_rate": pa.Column(pl.Float64, pa.Check.in_range(0, 1)),
        },
        checks=no_more_than_lines,
        unique=["event_date", "hour", "service"],
        strict=True,
        ordered=True,
        name="service_error_rate",
    )


DATASET = Dataset(
    name="logs",
    description="What a service logged, one row per line.",
    start=date(2010, 1, 1),
    formats=frozenset({Format.JSON}),
    suffixes=(".log", ".json", ".jsonl"),
    fields=("timestamp", "level", "message", "service", "traceId", "logger"),
    writing=Writing(kinds={"timestamp": Kind.TIME}),
    event_time="timestamp",
    contract=contract,
    conform=conform,
    parsed={"timestamp": "timestamp"},
    # A line has no id, and what is logged twice in a millisecond happened twice.
    keep=Keep.EVERY,
    sort=("timestamp",),
    gold=(
        GoldTable(
            name="service_error_rate",
            description=(
                "Lines, warnings and errors per hour (UTC) and service, and the share of errors; "
                "FATAL counts as an error."
            ),
            build=service_error_rate,
            contract=service_error_rate_contract,
        ),
    ),
    # Stack traces and dumps of settings stand between the lines as raw text.
    quarantine_threshold=0.5,
)
