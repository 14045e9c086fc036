"""Queries and transactions that cost what DynamoDB's do: by their own items, not by the table's.

moto sorts all items of a table for each Query, and copies the whole table for each action of a
transaction. Here it is shown those items alone that the call can be about, and does the rest as
ever: conditions, order, limits, filters, pages and errors are moto's.
"""

import copy
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from moto.dynamodb.exceptions import ConditionalCheckFailed
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

from resources.local_aws import moto_indexes
from resources.local_aws.moto_indexes import Keys, in_partition, item_of, plain
from resources.local_aws.moto_replacement import Replacement

Answer: TypeAlias = tuple[list[Item], int, dict[str, Any] | None]
Named: TypeAlias = Mapping[str, list[Keys]]
"""The items that a transaction names, by table."""

_QUERY = inspect.signature(Table.query)


def _query(original: Callable[..., Answer]) -> Callable[..., Answer]:
    def query(table: Table, *arguments: Any, **others: Any) -> Answer:  # noqa: ANN401 - moto's
        asked = _QUERY.bind(table, *arguments, **others).arguments
        wanted = {table.hash_key_attr: asked["hash_key"]}
        if asked.get("index_name"):
            wanted = dict(asked.get("hash_key_conditions") or ())
        found = _matching(table, wanted)
        shown = table if found is None else _showing(table, found)
        return original(shown, *arguments, **others)

    return query


def _matching(table: Table, wanted: Mapping[str, DynamoType | None]) -> Iterable[Item] | None:
    """The items with these values; None for those that only moto itself can compare."""
    values = {name: plain(value) for name, value in sorted(wanted.items())}
    if not values or None in values.values():
        return None
    if list(values) == [table.hash_key_attr]:
        return in_partition(table, table.items.get(wanted[table.hash_key_attr]))
    return moto_indexes.index_of(table, tuple(values)).having(tuple(values.values()))


def _showing(table: Table, items: Iterable[Item]) -> Table:
    """The table with some of its items.

    They are in the order of their keys already: moto sorts them with comparisons in Python, of
    which it takes few then.
    """
    ordered = dict(enumerate(sorted(items, key=_sort_key)))
    return _with_items(Table, table, {0: ordered} if table.has_range_key else ordered)


def _sort_key(item: Item) -> tuple[Any, ...]:
    return plain(item.hash_key) or (), plain(item.range_key) or ()


def _with_items(kind: type[Any], table: Table, items: Mapping[Any, Any]) -> Table:
    """Another table that shares all but the items; moto would keep track of one that it makes."""
    made: Table = object.__new__(kind)
    vars(made).update(vars(table), items=items)
    return made


class _Working(Table):
    """A table with copies of the items that a transaction names."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Working":
        """None is needed to go back to: a transaction that fails leaves its copies behind."""
        return self


def _transact(original: Callable[..., None]) -> Callable[..., None]:
    def transact(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        named = _named(backend, transact_items)
        if named is None:
            original(backend, transact_items)
            return
        whole = {name: backend.tables[name] for name in named}
        working = {name: _working(whole[name], keys) for name, keys in named.items()}
        backend.tables.update(working)
        try:
            original(backend, transact_items)
        finally:
            backend.tables.update(whole)
        for name, keys in named.items():
            _write_back(working[name], whole[name], keys)

    return transact


def _named(backend: DynamoDBBackend, actions: list[dict[str, Any]]) -> Named | None:
    """None where the whole table is needed: for its stream, or to refuse what is not right."""
    named: defaultdict[str, list[Keys]] = defaultdict(list)
    for action in (each for item in actions for each in item.values()):
        table = backend.tables.get(action.get("TableName"))
        values = action.get("Item") or action.get("Key") or {}
        if table is None or table.stream_shard is not None:
            return None
        if not all(name in values for name in table.table_key_attrs):
            return None
        keys = [DynamoType(values[name]) for name in table.table_key_attrs]
        if None in map(plain, keys):
            return None
        named[table.name].append((keys[0], keys[1] if table.has_range_key else None))
    return named


def _working(table: Table, named: list[Keys]) -> Table:
    made = _with_items(_Working, table, defaultdict(dict))
    for keys in named:
        item = item_of(table, keys)
        if item is not None:
            _put(made, keys, copy.deepcopy(item))
    return made


def _write_back(working: Table, table: Table, named: list[Keys]) -> None:
    for keys in named:
        item = item_of(working, keys)
        if item is not None:
            _put(table, keys, item)
        elif table.has_range_key:
            table.items.get(keys[0], {}).pop(keys[1], None)
        else:
            table.items.pop(keys[0], None)
        moto_indexes.note(table, keys)


def _put(table: Table, keys: Keys, item: Item) -> None:
    items: Any = table.items  # moto has one type for both kinds of tables
    if table.has_range_key:
        items[keys[0]][keys[1]] = item
    else:
        items[keys[0]] = item


def _put_item(original: Callable[..., Item]) -> Callable[..., Item]:
    def put_item(table: Table, *arguments: Any, **others: Any) -> Item:  # noqa: ANN401 - moto's
        item = original(table, *arguments, **others)
        moto_indexes.note(table, (item.hash_key, item.range_key))
        return item

    return put_item


def _delete_item(original: Callable[..., Item | None]) -> Callable[..., Item | None]:
    def delete_item(
        table: Table, hash_key: DynamoType, range_key: DynamoType | None
    ) -> Item | None:
        item = original(table, hash_key, range_key)
        moto_indexes.note(table, (hash_key, range_key))
        return item

    return delete_item


def _update_item(original: Callable[..., Item]) -> Callable[..., Item]:
    def update_item(
        backend: DynamoDBBackend,
        table_name: str,
        *arguments: Any,  # noqa: ANN401 - moto's
        **others: Any,  # noqa: ANN401 - as above
    ) -> Item:
        try:
            item = original(backend, table_name, *arguments, **others)
        except ConditionalCheckFailed:
            raise
        except Exception:
            # moto changes items in place: who knows how far it came.
            moto_indexes.forget()
            raise
        moto_indexes.note(backend.get_table(table_name), (item.hash_key, item.range_key))
        return item

    return update_item


REPLACEMENTS = (
    Replacement(Table, "query", _query),
    Replacement(Table, "put_item", _put_item),
    Replacement(Table, "delete_item", _delete_item),
    Replacement(DynamoDBBackend, "update_item", _update_item),
    Replacement(DynamoDBBackend, "transact_write_items", _transact),
)
