"""Serving tables of newest rows: of each key one item, the newest row of all event dates.

The outcome does not depend on the order in which dates are refreshed: a write names in its
condition what it may replace, and one that is refused is decided again.

When the row of an item is gone from its date, the newest row of the other dates takes its place.
Another run may replace the gold of such a date at the same time. Nothing is lost, because the item
is marked before any gold is read, and whoever meets a mark settles the item anew:

    this run     scan   mark . . . read gold   write if the mark is still its own
    another run       replace gold . . . scan: meets the mark, or what this run wrote

A run that dies leaves its marks. Its date stays dirty, and the next scan settles them.

A run may also be thought dead, lose its date to another, and write what that one no longer has in
its gold. So after its writes it looks whether the gold is still what it wrote from:

    this run     read gold . . . . . . . . . . . . . . . . . . . put   look: refresh from that gold
    another run              replace gold . . scan . . done
"""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from pipeline_assets.errors import ServingContendedError
from resources.aws import Aws
from resources.dynamodb_conditional import ConditionalItems
from resources.dynamodb_items import (
    MAX_PARTITION_KEY_BYTES,
    Item,
    ItemKeys,
    fits_an_index,
    to_attribute,
    to_frame,
    to_items,
)
from resources.dynamodb_newest import (
    EVENT_DATE,
    MARK,
    Change,
    Comparison,
    Rows,
    agrees,
    date_of,
    decide,
    key_of,
    newest_rows,
)
from resources.dynamodb_tables import LatestTable
from resources.frames import Frame, to_arrow
from resources.lake import Lake, TableName
from resources.parquet import encode

WRITTEN, SETTLED, DELETED = "written", "settled", "deleted"


@dataclass(frozen=True)
class LatestCounts:
    """What became of one event date's rows, and of the items that were made of them.

    Attributes:
        rows: rows of the date.
        written: items put for them.
        settled: items whose row had gone, made those of the newest row of any date.
        deleted: items whose key no date has any more.
    """

    rows: int
    written: int = 0
    settled: int = 0
    deleted: int = 0


@dataclass
class _Work:
    """Items that need a change, and what was done: each time what, and for which date."""

    own: Rows
    days: AbstractSet[str]
    due: dict[str, Item | None]
    done: Counter[tuple[str, str]] = field(default_factory=Counter)

    def change(self, table: LatestTable, key: str) -> Change:
        return decide(table, self.due[key], self.own.get(key), self.days)


class LatestTableStore:
    """Keeps the newest rows of tables. Safe to share between threads."""

    def __init__(
        self, aws: Aws, *, max_attempts: int = 8, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.aws = aws
        self._lake = Lake(aws)
        self._max_attempts = max_attempts
        self._sleep = sleep

    def refresh(self, table: LatestTable, frames: Mapping[str, Frame]) -> dict[str, LatestCounts]:
        """Bring the items up to date with dates whose gold is written, by event date.

        Reads the whole table once, consistently, however many dates there are. Repeated with the
        same rows, nothing is written; after a crash, what was left is done.

        Raises:
            ItemError: a row that cannot become an item; nothing was written.
            ServingThrottledError: DynamoDB refused a call for too long.
            ServingContendedError: other runs kept changing the same items.
            NotProvisionedError: the table does not exist.
        """
        counts = self._refresh(table, frames)
        written, frames = counts, dict(frames)
        for _ in range(self._max_attempts):
            frames |= (replaced := self._replaced(table, frames, written))
            if not replaced:
                return counts
            written = self._refresh(table, replaced)
        name = self._items(table).name
        raise ServingContendedError(name, left=len(replaced), attempts=self._max_attempts)

    def _refresh(self, table: LatestTable, frames: Mapping[str, Frame]) -> dict[str, LatestCounts]:
        items = self._items(table)
        rows = {day: _rows(table, day, frame) for day, frame in frames.items()}
        work = _Work(newest_rows(table, rows.values()), rows.keys(), {})
        _find_due(table, items, work)
        attempt = 0
        while work.due:
            if attempt == self._max_attempts:
                raise ServingContendedError(items.name, left=len(work.due), attempts=attempt)
            if attempt:
                items.pause(attempt)
            self._change(table, items, work)
            attempt += 1
        return {
            day: LatestCounts(
                len(each), work.done[WRITTEN, day], work.done[SETTLED, day], work.done[DELETED, day]
            )
            for day, each in rows.items()
        }

    def _replaced(
        self, table: LatestTable, frames: Mapping[str, Frame], done: Mapping[str, LatestCounts]
    ) -> dict[str, Frame]:
        """Dates of which items were written, and whose gold is no longer that, as it is now."""
        gold = TableName("gold", table.gold)
        replaced: dict[str, Frame] = {}
        for day in (day for day, each in done.items() if each.written):
            stored = self._lake.stat(gold, day)
            if stored is None or stored.digest == _digest(to_arrow(table.name, frames[day])):
                continue
            current = self._lake.read_key(stored.key)
            if current is not None:
                replaced[day] = current
        return replaced

    def compare(self, table: LatestTable, frames: Mapping[str, Frame]) -> dict[str, Comparison]:
        """Whether every row of the dates is its item, or older than it, by event date.

        An item that is made of a row of these dates must equal it.
        """
        rows = {day: _rows(table, day, frame) for day, frame in frames.items()}
        unseen = {day: set(each) for day, each in rows.items()}
        faults: dict[str, list[str]] = {day: [] for day in rows}
        made: Counter[str] = Counter()
        for item in self._items(table).scan():
            key = key_of(table, item)
            made[date_of(item)] += 1
            for day, each in rows.items():
                unseen[day].discard(key)
                if not agrees(table, item, each.get(key), day):
                    faults[day].append(key)
        return {
            day: Comparison(len(each), made[day], (*faults[day], *sorted(unseen[day])))
            for day, each in rows.items()
        }

    def load(
        self, table: LatestTable, day: str, schema: Mapping[str, pl.DataType] | None = None
    ) -> pl.DataFrame:
        """Items that are made of rows of an event date, by key; reads the whole table.

        Column types: see `to_frame`.
        """
        items = [
            {name: value for name, value in item.items() if name != MARK}
            for item in self._items(table).scan()
            if date_of(item) == day
        ]
        items.sort(key=lambda item: key_of(table, item))
        return to_frame(items, first=(table.key, EVENT_DATE), schema=schema)

    def _items(self, table: LatestTable) -> ConditionalItems:
        return ConditionalItems(self.aws, table, max_attempts=self._max_attempts, sleep=self._sleep)

    def _change(self, table: LatestTable, items: ConditionalItems, work: _Work) -> None:
        """Try every change once; what was refused stays due, with its item read anew."""
        keys = sorted(work.due)
        puts = [key for key in keys if work.change(table, key) is Change.PUT]
        settles = [key for key in keys if work.change(table, key) is Change.SETTLE]
        are_put = items.each(lambda key: items.put_newer(work.own[key]), puts)
        refused = [key for key, is_put in zip(puts, are_put, strict=True) if not is_put]
        written = set(puts).difference(refused)
        work.done.update((WRITTEN, date_of(work.own[key])) for key in written)
        refused += self._settle(table, items, work, settles)
        read = items.each(items.get, refused)
        work.due = dict(zip(refused, read, strict=True))
        work.due = {
            key: item
            for key, item in work.due.items()
            if work.change(table, key) is not Change.NONE
        }

    def _settle(
        self, table: LatestTable, items: ConditionalItems, work: _Work, keys: Sequence[str]
    ) -> list[str]:
        """Make items those of the newest rows that there are; returns keys that were refused."""
        mark = uuid.uuid4().hex
        standing = {key: item for key in keys if (item := work.due[key]) is not None}
        are_marked = items.each(lambda key: items.mark(standing[key], mark), keys)
        marked = [key for key, is_marked in zip(keys, are_marked, strict=True) if is_marked]
        newest = self._newest(table, items, marked)
        are_done = items.each(
            lambda key: items.replace(standing[key], newest.get(key), mark), marked
        )
        done = {key for key, is_done in zip(marked, are_done, strict=True) if is_done}
        work.done.update(
            (SETTLED if key in newest else DELETED, date_of(standing[key])) for key in done
        )
        return [key for key in keys if key not in done]

    def _newest(self, table: LatestTable, items: ConditionalItems, keys: Sequence[str]) -> Rows:
        """The newest rows of some keys, of all dates of gold as they are now."""
        if not keys:
            return {}
        gold = TableName("gold", table.gold)

        def rows(day: str) -> Rows:
            stored = self._lake.read_key(self._lake.key(gold, day))
            if stored is None:
                return {}
            frame = pl.DataFrame(stored)
            return _rows(table, day, frame.filter(pl.col(table.key).is_in(list(keys))))

        return newest_rows(table, items.each(rows, self._lake.dates(gold)))


def _find_due(table: LatestTable, items: ConditionalItems, work: _Work) -> None:
    unseen = set(work.own)
    for item in items.scan():
        key = key_of(table, item)
        unseen.discard(key)
        if decide(table, item, work.own.get(key), work.days) is not Change.NONE:
            work.due[key] = item
    work.due |= dict.fromkeys(unseen)


def _digest(table: pa.Table) -> str:
    encoded = encode(table)
    with encoded.body:
        return encoded.digest


def _rows(table: LatestTable, day: str, frame: Frame) -> dict[str, Item]:
    """An event date's rows as items by key, all checked."""
    rows = to_arrow(table.name, frame).to_pylist()
    keys = ItemKeys(table.name, EVENT_DATE, table.key, longest_sort_key=MAX_PARTITION_KEY_BYTES)
    items = to_items(keys, day, rows)
    for item, row in zip(items, rows, strict=True):
        # DynamoDB compares texts, and those of times are in order only if equally long.
        item[table.newest] = to_attribute(row[table.newest], is_key=True)
        for column in table.lookups:
            # An item without the attribute stands in no index, but it can be written.
            if column in item and not fits_an_index(item[column]):
                del item[column]
    return {key_of(table, item): item for item in items}
