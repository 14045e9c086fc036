"""What a dataset declares, and what follows from the declaration alone.

The layers are generic: everything that is peculiar to one dataset is a value of these classes, in
its own file below ``datasets``. A declaration imports neither Dagster nor boto3, and builds its
pandera contracts only when they are asked for, since importing pandera takes half a second.
"""

import codecs
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

import polars as pl

from pipeline_assets.errors import DatasetDeclarationError
from pipeline_assets.parsing.formats import Format, Writing

if TYPE_CHECKING:
    from pandera.polars import DataFrameSchema

DELIMITER = re.compile(r'[\x00-\x7f](?<![\n\r"\\])')
NAME = re.compile(r"[a-z][a-z0-9_]*")
"""Names become asset keys, folders of the lake and parts of DynamoDB table names."""
SUFFIX = re.compile(r"\.[a-z0-9]+")


class Keep(StrEnum):
    """Which of several equal rows stays, in the order of (landing key, row)."""

    FIRST = "first"
    """The first: what is said again adds nothing."""
    LAST = "last"
    """The last: it corrects the ones before."""
    EVERY = "every"
    """Each of them: rows that say the same are as many facts."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GoldTable:
    """A business table of one event date, derived from that date's silver.

    Attributes:
        name: name of the table, unique among the gold tables of all datasets.
        description: what one row says.
        build: silver of one event date (business columns, ``event_date``, ``_file_id``, ``_row``)
            to the table, in a total order: sorted by its unique key.
        contract: makes the pandera schema that the finished table satisfies.
        within: silver column of few values, no two of which meet in a row of the table, and which
            the table is sorted by, next to ``event_date``: a large date is built of the rows of one
            value at a time. None where any rows may meet, which must fit into memory then.
    """

    name: str
    description: str
    build: Callable[[pl.LazyFrame], pl.LazyFrame]
    contract: Callable[[], "DataFrameSchema"]
    within: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ServingView:
    """A gold table kept as items of a DynamoDB table for reads by key.

    Attributes:
        name: name of the view; the DynamoDB table is called after it.
        description: which question one item answers.
        gold: name of the gold table of the same dataset that is served.
        partition_key: its column that becomes the partition key.
        sort_key: its column that becomes the sort key.
    """

    name: str
    description: str
    gold: str
    partition_key: str
    sort_key: str

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the gold table must have."""
        return self.partition_key, self.sort_key


@dataclass(frozen=True, kw_only=True, eq=False)
class LatestView:
    """Of each key the newest row of all event dates, as an item of a DynamoDB table.

    Attributes:
        name: name of the view; the DynamoDB table is called after it.
        description: which question one item answers.
        gold: name of the gold table of the same dataset that is served: at most one row per key
            and event date, with a column ``event_date``.
        key: its column that becomes the partition key.
        newest: its column, a time that is never null, whose greatest value wins whatever the order
            in which dates are refreshed; of equal ones the greatest event date's.
        lookups: its text columns that items are found by as well, each through an index.
    """

    name: str
    description: str
    gold: str
    key: str
    newest: str
    lookups: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the gold table must have."""
        return self.key, self.newest, "event_date", *self.lookups


View: TypeAlias = ServingView | LatestView


@dataclass(frozen=True, kw_only=True, eq=False)
class FirstSeen:
    """A gold table that counts, for each event date, the entities that were never seen before it.

    It looks at all dates at once: a late file that moves an entity's first date corrects both.

    Attributes:
        name: name of the table, unique among the gold tables of all datasets.
        description: what one row says.
        entity: silver column (text) that tells the entities apart; null is none.
    """

    name: str
    description: str
    entity: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Everything the layers need to know about one dataset.

    Attributes:
        name: first part of the landed objects' keys and name of the bronze and silver tables.
        description: what one row is.
        start: first event date; earlier event times are invalid.
        formats: formats that its files may have.
        suffixes: how its files' keys may end, in lower case, each with or without a compression's
            suffix after it; empty where any key will do. Other keys are refused for good.
        fields: contract fields as the files name them; other fields are kept in ``_rescued``.
        event_time: silver column with the time of the event (a UTC datetime), or None for a
            snapshot, whose rows go by the date of their file.
        contract: makes the pandera schema of silver's business columns, in silver's order. Its
            row-wise checks and its ``nullable=False`` are the rules that rows are held to.
        conform: ``fields`` as received (text, null where absent) to the contract's columns: one
            row out for each row in, in order, null for what is absent or cannot be read.
        parsed: silver columns that ``conform`` reads out of text that may be unreadable, each
            with the field it is read from.
        identity: how rows are equal: sets of columns, the first whose columns are all filled
            decides; rows are compared only within the same set. The last set takes every row that
            is left, null being equal to null. Empty where ``keep`` is ``Keep.EVERY``.
        keep: which of equal rows stays, whatever the order in which their files arrive.
        newest: silver column that goes before (landing key, row) in the order of equal rows: of
            them ``Keep.LAST`` keeps the one with its greatest value. ``None`` for no such column.
        sort: columns that silver is sorted by; ``_file_id`` and ``_row`` are added to them, so that
            the order is total.
        writing: what the dataset fixes about how its files are written.
        gold: business tables.
        first_seen: business tables of who came for the first time.
        serving: gold tables that are served from DynamoDB.
        quarantine_threshold: largest share (0 to 1) of an event date's rows in quarantine that
            still lets the date be replaced.
    """

    name: str
    description: str
    start: date
    formats: frozenset[Format]
    fields: tuple[str, ...]
    event_time: str | None
    contract: Callable[[], "DataFrameSchema"]
    conform: Callable[[pl.LazyFrame], pl.LazyFrame]
    identity: tuple[tuple[str, ...], ...] = ()
    keep: Keep = Keep.FIRST
    newest: str | None = None
    suffixes: tuple[str, ...] = ()
    parsed: Mapping[str, str] = field(default_factory=dict)
    sort: tuple[str, ...] = ()
    writing: Writing = field(default_factory=Writing)
    gold: tuple[GoldTable, ...] = ()
    first_seen: tuple[FirstSeen, ...] = ()
    serving: tuple[View, ...] = ()
    quarantine_threshold: float = 0.10

    @property
    def gold_names(self) -> tuple[str, ...]:
        """Names of all its gold tables."""
        return (
            *(table.name for table in self.gold),
            *(table.name for table in self.first_seen),
        )

    def __post_init__(self) -> None:
        for cause in _faults(self):
            raise DatasetDeclarationError(self.name, cause)


def _faults(dataset: Dataset) -> Iterator[str]:
    tables = {table.name for table in dataset.gold}
    for name in (dataset.name, *dataset.gold_names, *(view.name for view in dataset.serving)):
        if not NAME.fullmatch(name):
            yield f"the name {name!r} does not match {NAME.pattern}"
    yield from (
        f"the serving view {view.name!r} names a gold table {view.gold!r} that it does not have"
        for view in dataset.serving
        if view.gold not in tables
    )
    if not dataset.formats:
        yield "it accepts no format"
    if dataset.keep is Keep.EVERY and dataset.identity:
        yield "it keeps every row, so its identity would decide nothing"
    if dataset.keep is not Keep.EVERY and not (dataset.identity and all(dataset.identity)):
        yield "its identity is empty, so all rows would be equal"
    if dataset.newest is not None and dataset.keep is not Keep.LAST:
        yield f"it names {dataset.newest!r} as newest, but does not keep the last of equal rows"
    for suffix in dataset.suffixes:
        if not SUFFIX.fullmatch(suffix):
            yield f"the suffix {suffix!r} does not match {SUFFIX.pattern}"
    yield from _writing_faults(dataset)
    if not 0 <= dataset.quarantine_threshold <= 1:
        yield f"its quarantine_threshold {dataset.quarantine_threshold} is not a share from 0 to 1"


def _writing_faults(dataset: Dataset) -> Iterator[str]:
    writing = dataset.writing
    if writing.delimiter is not None and not DELIMITER.fullmatch(writing.delimiter):
        yield (
            f"the delimiter {writing.delimiter!r} is not one ASCII character that is no quote, "
            "backslash or line end"
        )
    if writing.encoding is not None:
        try:
            codecs.lookup(writing.encoding)
        except LookupError:
            yield f"Python knows no encoding {writing.encoding!r}"
    yield from (
        f"it tells what {name!r} holds, which is none of its fields"
        for name in writing.kinds
        if name not in dataset.fields
    )


def event_dates(
    records: pl.DataFrame, dataset: Dataset, *, file_date: date, landed_date: date
) -> pl.Series:
    """Event date that each record of a file is filed under.

    It is the UTC day of the record's own event time. What is malformed or unreadable, or lies
    outside the dataset's start and the day after landing, goes by the date of its file. The result
    depends on the file and the day it landed, never on today, so a repeated load files the same.

    Args:
        records: records of one file, with ``_error`` and the dataset's fields as text.
        dataset: the dataset that the file belongs to.
        file_date: date of the file.
        landed_date: UTC day on which the object landed.

    Returns:
        ``event_date`` (Date), one per record, in order, never null.
    """
    if dataset.event_time is None:
        return pl.repeat(file_date, records.height, dtype=pl.Date, eager=True).alias("event_date")
    times = dataset.conform(records.lazy().select(dataset.fields)).select(dataset.event_time)
    day = pl.col(dataset.event_time).dt.date()
    in_time = day.is_between(dataset.start, landed_date + timedelta(days=1))
    return (
        records.select("_error")
        .with_columns(times.collect().to_series())
        .select(
            pl.when(in_time & pl.col("_error").is_null())
            .then(day)
            .otherwise(pl.lit(file_date, pl.Date))
            .alias("event_date")
        )
        .to_series()
    )
