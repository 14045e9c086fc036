"""What a dataset declares, and what follows from the declaration alone.

The layers are generic: everything that is peculiar to one dataset is a value of these classes, in
its own file below ``datasets``. A declaration imports neither Dagster nor boto3, and builds its
pandera contracts only when they are asked for, since importing pandera takes half a second.
"""

import hashlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import polars as pl

from pipeline_assets.errors import DatasetDeclarationError
from pipeline_assets.parsing.formats import Format

if TYPE_CHECKING:
    from pandera.polars import DataFrameSchema

NAME = re.compile(r"[a-z][a-z0-9_]*")
"""Names become asset keys, folders of the lake and parts of DynamoDB table names."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GoldTable:
    """A business table of one event date, derived from that date's silver.

    Attributes:
        name: name of the table, unique among the gold tables of all datasets.
        description: what one row says.
        build: silver of one event date (business columns, ``event_date``, ``_file_id``, ``_row``)
            to the table, in a total order: sorted by its unique key.
        contract: makes the pandera schema that the finished table satisfies.
    """

    name: str
    description: str
    build: Callable[[pl.LazyFrame], pl.LazyFrame]
    contract: Callable[[], "DataFrameSchema"]


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Everything the layers need to know about one dataset.

    Attributes:
        name: first part of the landed objects' keys and name of the bronze and silver tables.
        description: what one row is.
        start: first event date; earlier event times are invalid.
        formats: formats that its files may have.
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
            is left, null being equal to null.
        sort: columns that silver is sorted by; ``_file_id`` and ``_row`` are added to them, so that
            the order is total.
        gold: business tables.
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
    identity: tuple[tuple[str, ...], ...]
    parsed: Mapping[str, str] = field(default_factory=dict)
    sort: tuple[str, ...] = ()
    gold: tuple[GoldTable, ...] = ()
    serving: tuple[ServingView, ...] = ()
    quarantine_threshold: float = 0.10

    def __post_init__(self) -> None:
        for cause in _faults(self):
            raise DatasetDeclarationError(self.name, cause)


def _faults(dataset: Dataset) -> Iterator[str]:
    tables = {table.name for table in dataset.gold}
    for name in (dataset.name, *tables, *(view.name for view in dataset.serving)):
        if not NAME.fullmatch(name):
            yield f"the name {name!r} does not match {NAME.pattern}"
    yield from (
        f"the serving view {view.name!r} names a gold table {view.gold!r} that it does not have"
        for view in dataset.serving
        if view.gold not in tables
    )
    if not dataset.formats:
        yield "it accepts no format"
    if not all(dataset.identity) or not dataset.identity:
        yield "its identity is empty, so all rows would be equal"
    if not 0 <= dataset.quarantine_threshold <= 1:
        yield f"its quarantine_threshold {dataset.quarantine_threshold} is not a share from 0 to 1"


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


@cache
def fingerprint(dataset: Dataset) -> str:
    """Short hash of the code that decides on a dataset's rows.

    It changes when the module that declares the dataset changes, or one of the project's modules
    that it takes functions from, or the threshold: a refused date is then tried again.
    It is taken once per process: sources that are mended while old code is still loaded must not
    release a date to the old code.

    Returns:
        12 hexadecimal digits, the same in every process that runs the same code.
    """
    return fingerprint_on_disk(dataset)


def fingerprint_on_disk(dataset: Dataset) -> str:
    """What ``fingerprint`` is in a process that starts now.

    A long-lived planner whose runs are processes of their own must compare with this: the code
    that refused a date may be newer than the planner's.
    """
    digest = hashlib.sha256(repr(dataset.quarantine_threshold).encode())
    for name in sorted(_modules(dataset)):
        digest.update(Path(inspect.getfile(sys.modules[name])).read_bytes())
    return digest.hexdigest()[:12]


def _modules(dataset: Dataset) -> set[str]:
    declared = [dataset.conform, dataset.contract]
    declared += [table.build for table in dataset.gold]
    declared += [table.contract for table in dataset.gold]
    homes = {function.__module__ for function in declared}
    return homes.union(*(_imported(sys.modules[home]) for home in homes))


def _imported(module: ModuleType) -> set[str]:
    names = (
        value.__name__ if inspect.ismodule(value) else value.__module__
        for value in vars(module).values()
        if inspect.ismodule(value) or inspect.isfunction(value)
    )
    return {name for name in names if name.startswith("pipeline_assets.")}
