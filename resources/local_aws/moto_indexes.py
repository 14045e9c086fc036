"""The items of moto's tables by the values of other attributes than their keys.

An index is made when it is first asked, and told of every write from then on (`note`). It is no
part of the table, so that no snapshot has it.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

Keys: TypeAlias = tuple[DynamoType, DynamoType | None]
"""Partition key and sort key of an item; tables without a sort key have None."""
Plain: TypeAlias = tuple[str, Any]
"""A value as Python compares and hashes it fast."""

# "Supported data types and naming rules in Amazon DynamoDB": keys are of these types.
KEY_TYPES = frozenset({"S", "N", "B"})


def plain(value: DynamoType | None) -> Plain | None:
    """None for what can be no key; moto itself may compare it nevertheless."""
    if value is None or value.type not in KEY_TYPES:
        return None
    try:
        return value.type, value.cast_value
    except ArithmeticError:  # a number that is none
        return None


def item_of(table: Table, keys: Keys) -> Item | None:
    """An item by its keys, without the empty partition that moto makes when it finds none."""
    found: Any = table.items.get(keys[0])
    if found is not None and table.has_range_key:
        found = found.get(keys[1])
    return found  # type: ignore[no-any-return]  # moto has one type for both kinds of tables


def in_partition(table: Table, partition: Any) -> Iterable[Item]:  # noqa: ANN401 - as above
    """The items of a value of the table's `items`."""
    if partition is None:
        return ()
    return partition.values() if table.has_range_key else (partition,)


class Index:
    """Items by the values of some attributes; those without one of them are not in it."""

    def __init__(self, table: Table, attributes: tuple[str, ...]) -> None:
        self.items = table.items
        self._attributes = attributes
        self._places: dict[tuple[Plain | None, ...], tuple[Plain, ...]] = {}
        self._partitions: dict[tuple[Plain, ...], dict[tuple[Plain | None, ...], Item]] = {}
        for item in _all(table):
            self.place((item.hash_key, item.range_key), item)

    def having(self, values: tuple[Plain | None, ...]) -> Iterable[Item]:
        """The items with these values, in any order."""
        return self._partitions.get(values, {}).values()  # type: ignore[arg-type]  # may be None

    def place(self, keys: Keys, item: Item | None) -> None:
        """Put the item with these keys where it belongs now; None removes it."""
        key = tuple(plain(each) for each in keys)
        former = self._places.pop(key, None)
        if former is not None:
            partition = self._partitions[former]
            del partition[key]
            if not partition:
                del self._partitions[former]
        values = tuple(plain(item.attrs.get(name)) for name in self._attributes) if item else ()
        known = tuple(value for value in values if value is not None)
        if item is not None and len(known) == len(self._attributes):
            self._places[key] = known
            self._partitions.setdefault(known, {})[key] = item


_indexes: WeakKeyDictionary[Table, dict[tuple[str, ...], Index]] = WeakKeyDictionary()


def index_of(table: Table, attributes: tuple[str, ...]) -> Index:
    """The index by these attributes, made if need be."""
    indexes = _indexes.setdefault(table, {})
    index = indexes.get(attributes)
    if index is None or index.items is not table.items:
        index = indexes[attributes] = Index(table, attributes)
    return index


def note(table: Table, keys: Keys) -> None:
    """Tell the table's indexes that the item with these keys was written or deleted."""
    indexes = _indexes.get(table)
    if indexes:
        item = item_of(table, keys)
        for index in indexes.values():
            index.place(keys, item)


def forget() -> None:
    """Make all indexes anew when they are next asked."""
    _indexes.clear()


def _all(table: Table) -> Iterator[Item]:
    for partition in table.items.values():
        yield from in_partition(table, partition)
