"""What a row of the bench is, and what one measurement of it came to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import wraps
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TypeVar, TypeVarTuple

from bench.sizes import Sizes

Made = TypeVar("Made")
Asked = TypeVarTuple("Asked")


def timed(work: Callable[[], Made]) -> tuple[float, Made]:
    """Seconds that a call takes, and what it returns."""
    begin = perf_counter()
    made = work()
    return perf_counter() - begin, made


def once(measure: Callable[[*Asked], Made]) -> Callable[[*Asked], Made]:
    """Rows share a measurement: it is made when the first asks for it, and so is its fault."""
    outcomes: dict[tuple[object, ...], Made | Exception] = {}

    @wraps(measure)
    def shared(*asked: *Asked) -> Made:
        if asked not in outcomes:
            try:
                outcomes[asked] = measure(*asked)
            except Exception as error:  # noqa: BLE001 - raised for each that asks
                outcomes[asked] = error
        found = outcomes[asked]
        if isinstance(found, Exception):
            raise found
        return found

    return shared


class Limit(StrEnum):
    """Which side of a bound is good."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True)
class Bound:
    """What a figure must reach, or may come to."""

    limit: Limit
    value: float

    def holds(self, figure: float) -> bool:
        """Whether a figure is on the good side."""
        return figure >= self.value if self.limit is Limit.AT_LEAST else figure <= self.value

    def __str__(self) -> str:
        sign = "≥" if self.limit is Limit.AT_LEAST else "≤"
        return f"{sign} {self.value:g}"


def at_least(times: float) -> Bound:
    """The peer must cost so many times as much as ours."""
    return Bound(Limit.AT_LEAST, times)


def at_most(times: float) -> Bound:
    """Ours may cost so many times as much as the peer."""
    return Bound(Limit.AT_MOST, times)


@dataclass(frozen=True)
class Turn:
    """What ours and the peer cost in one turn, in the row's unit; less is better.

    A row that is held to a fixed figure has no peer.
    """

    ours: float
    peer: float | None = None

    def ratio(self, bound: Bound) -> float:
        """Peer by ours where more is better, ours by peer where less is; ours where none is."""
        if self.peer is None:
            return self.ours
        return self.peer / self.ours if bound.limit is Limit.AT_LEAST else self.ours / self.peer


@dataclass(frozen=True)
class Condition:
    """Something else that must hold for the row to be met."""

    what: str
    figure: float
    bound: Bound


@dataclass(frozen=True)
class Measured:
    """All turns of a row, further conditions, and figures for the reader only.

    Attributes:
        turns: at least one; their median ratio counts.
        sizes: how much was measured, by name.
        conditions: what must hold besides the ratio.
        facts: figures that no bound is set for, by name with unit.
    """

    turns: tuple[Turn, ...]
    sizes: Mapping[str, int | float]
    conditions: tuple[Condition, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """What a row is given: how much to measure, and an empty folder of its own."""

    sizes: Sizes
    folder: Path


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: as ``make bench ROW=name`` takes it.
        ours: what we do, in a line.
        peer: what it is held against, in a line.
        unit: of what a turn costs.
        bound: of the median ratio.
        measure: does it; raises AssertionError when one side's output is not as it must be.
    """

    name: str
    ours: str
    peer: str
    unit: str
    bound: Bound
    measure: Callable[[Bench], Measured]


@dataclass(frozen=True)
class Result:
    """A row and what it came to."""

    row: Row
    measured: Measured

    @property
    def ratios(self) -> tuple[float, ...]:
        """One for each turn, in their order."""
        return tuple(turn.ratio(self.row.bound) for turn in self.measured.turns)

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return median(self.ratios)

    @property
    def met(self) -> bool:
        """Whether the median ratio and every further condition hold."""
        conditions = self.measured.conditions
        return self.row.bound.holds(self.ratio) and all(
            each.bound.holds(each.figure) for each in conditions
        )
