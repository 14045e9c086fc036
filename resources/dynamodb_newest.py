"""Which of several items of a key is the newest, and what follows for the one that is stored.

Pure: nothing here calls AWS. A row is newer by (``newest``, event date), in which no two rows of a
key are equal, since an event date has one row of a key at most.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol, TypeAlias, cast

from resources.dynamodb_items import Item, comparable, comparable_item, from_attribute
from resources.dynamodb_tables import LatestTable

EVENT_DATE = "event_date"
MARK = "_unsettled"
"""Attribute of an item that a run is about to settle: a text of that attempt's own."""

Rows: TypeAlias = Mapping[str, Item]
"""Items by the text of their key."""


class _Ordered(Protocol):
    def __lt__(self, other: object, /) -> bool: ...
    def __ge__(self, other: object, /) -> bool: ...


class Change(Enum):
    """What a stored item needs."""

    NONE = auto()
    PUT = auto()
    """The row at hand is newer, or it is the item's own row as it is now."""
    SETTLE = auto()
    """The row that it was made of is gone: the newest of all dates is to be found."""


@dataclass(frozen=True)
class Comparison:
    """How the items stand to one event date's rows.

    Attributes:
        rows: rows of the date.
        items: items that are made of rows of the date.
        faults: keys whose items are not as these rows ask for.
    """

    rows: int
    items: int
    faults: tuple[str, ...]


def key_of(table: LatestTable, item: Item) -> str:
    """Text of an item's key."""
    return str(from_attribute(item[table.key]))


def date_of(item: Item) -> str:
    """Event date of the row that an item is made of."""
    return str(from_attribute(item[EVENT_DATE]))


def rank(table: LatestTable, item: Item) -> _Ordered:
    """What decides among items of a key: the greatest is the newest."""
    return cast("_Ordered", (comparable(item[table.newest]), date_of(item)))


def newest_rows(table: LatestTable, dates: Iterable[Rows]) -> dict[str, Item]:
    """Of each key the newest row of several dates, whatever their order."""
    newest: dict[str, Item] = {}
    for rows in dates:
        for key, item in rows.items():
            standing = newest.get(key)
            if standing is None or rank(table, standing) < rank(table, item):
                newest[key] = item
    return newest


def decide(
    table: LatestTable, item: Item | None, own: Item | None, days: AbstractSet[str]
) -> Change:
    """What a stored item needs once the gold of some dates is written.

    Args:
        table: the table.
        item: what is stored at the key, or None.
        own: the newest row of the dates that has the key, or None.
        days: the dates.
    """
    if item is None:
        return Change.NONE if own is None else Change.PUT
    if MARK in item:
        return Change.SETTLE
    if own is not None and rank(table, own) >= rank(table, item):
        return Change.NONE if comparable_item(own) == comparable_item(item) else Change.PUT
    return Change.SETTLE if date_of(item) in days else Change.NONE


def agrees(table: LatestTable, item: Item, row: Item | None, day: str) -> bool:
    """Whether a stored item is as a date's row of its key, or the want of one, asks for.

    An item that a run is about to settle is that run's affair.
    """
    if MARK in item:
        return True
    if date_of(item) == day:
        return row is not None and comparable_item(row) == comparable_item(item)
    return row is None or rank(table, row) < rank(table, item)
