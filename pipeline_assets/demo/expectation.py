"""What a generator says of its samples: the files, and what a correct pipeline makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

DAY: Final = timedelta(days=1)

Row: TypeAlias = tuple[object, ...]


@dataclass(frozen=True)
class Plan:
    """What samples are drawn from: the same plan gives the same bytes.

    Attributes:
        seed: of everything that is drawn.
        days: event dates, 1 or more; with 5 every format occurs.
        first_date: the first of them.
    """

    seed: int = 7
    days: int = 5
    first_date: date = date(2025, 3, 3)

    @property
    def dates(self) -> tuple[date, ...]:
        """The event dates, ascending."""
        return tuple(self.first_date + index * DAY for index in range(self.days))

    @property
    def begin(self) -> datetime:
        """Where the first date begins."""
        return midnight(self.first_date)


def midnight(day: date) -> datetime:
    """Where a UTC day begins."""
    return datetime.combine(day, time(), UTC)


@dataclass(frozen=True)
class Account:
    """What becomes of an event date's records: ``landed = silver + quarantined + duplicates``."""

    landed: int
    silver: int
    quarantined: int
    duplicates: int

    @property
    def adds_up(self) -> bool:
        """Whether every record is somewhere."""
        return self.landed == self.silver + self.quarantined + self.duplicates


class Layer(StrEnum):
    """Where a table's rows stand."""

    GOLD = "gold"
    SERVING = "serving"


@dataclass(frozen=True)
class Lookup:
    """Items of a serving table that an index finds: those whose column has this value."""

    column: str
    value: str


@dataclass(frozen=True, kw_only=True)
class ExpectedTable:
    """Rows that a table must have for the event dates of the samples, no others.

    Attributes:
        layer: gold in the lake, or serving in DynamoDB.
        name: of the gold table, or of the serving view.
        columns: of the rows, in their order.
        rows: all rows, in the table's order.
        shown: how many of them are printed.
        shown_columns: which columns of them; all, if none is named.
        lookup: rows of a serving table are only those that its index finds.
    """

    layer: Layer
    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    shown: int
    shown_columns: tuple[str, ...] = ()
    lookup: Lookup | None = None

    @property
    def title(self) -> str:
        """What the table is called, and no other of the same dataset."""
        name = f"{self.layer}/{self.name}"
        return f"{name} by {self.lookup.column} {self.lookup.value}" if self.lookup else name


@dataclass(frozen=True)
class SampleFile:
    """A file to land: its key below the dataset, its bytes, and how many records they hold."""

    key: str
    content: bytes
    records: int


@dataclass(frozen=True, kw_only=True)
class DatasetSamples:
    """A dataset's samples, and what a correct pipeline makes of them.

    Attributes:
        dataset: its name.
        files: what is written for it.
        accounts: account of each event date, ascending.
        tables: what its tables must hold.
        pulled: keys below the dataset that land by a pull.
    """

    dataset: str
    files: tuple[SampleFile, ...]
    accounts: Mapping[date, Account]
    tables: tuple[ExpectedTable, ...]
    pulled: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys below the dataset of everything that lands."""
        return (*(file.key for file in self.files), *self.pulled)
