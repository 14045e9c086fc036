"""The ledger's table in memory: what DynamoDB does with the calls that the ledger makes.

``test_ledger_memory`` holds it to moto; properties then run on it a thousand times as fast.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

from resources.ledger.codec import Item, Value, decode, encode
from resources.ledger.table import Change, Condition, ConditionFailedError, LedgerTable

T = TypeVar("T")
R = TypeVar("R")

TOKEN = re.compile(r"attribute_not_exists|attribute_exists|AND|OR|<=|<|=|\(|\)|#\w+|:\w+")


class Interruption(Protocol):
    """What happens just before or just after a write: the process dies, or another one acts."""

    def before(self, operation: str) -> None: ...

    def after(self, operation: str) -> None: ...


@dataclass
class Meanwhile:
    """Another process's whole step, just before a write of this one or just after it."""

    table: "MemoryTable"
    call: int
    takes_effect: bool
    act: Callable[[], object]
    seen: int = 0

    def before(self, _operation: str) -> None:
        self.seen += 1
        if not self.takes_effect:
            self._act()

    def after(self, _operation: str) -> None:
        if self.takes_effect:
            self._act()

    def _act(self) -> None:
        if self.seen == self.call:
            self.table.interruption = None
            self.act()


class MemoryTable(LedgerTable):
    """Items in a dictionary; anything can happen at every write."""

    def __init__(self) -> None:
        self.name = "memory"
        self.items: dict[tuple[str, str], Item] = {}
        self.interruption: Interruption | None = None

    def get(self, pk: str, sk: str) -> Item | None:
        return _copy(self.items.get((pk, sk)))

    def query(
        self, pk: str, sk_prefix: str = "", *, limit: int | None = None, behind: str | None = None
    ) -> list[Item]:
        keys = sorted(key for key in self.items if key[0] == pk and key[1].startswith(sk_prefix))
        keys = [key for key in keys if behind is None or key[1] > behind]
        return [dict(self.items[key]) for key in keys[:limit]]

    def scan(self, sk: str, pk_prefix: str) -> Iterable[Item]:
        keys = sorted(key for key in self.items if key[1] == sk and key[0].startswith(pk_prefix))
        return [dict(self.items[key]) for key in keys]

    def batch_get(self, keys: Sequence[tuple[str, str]]) -> list[Item]:
        return [dict(self.items[key]) for key in dict.fromkeys(keys) if key in self.items]

    def _write_batch(self, requests: list[Any]) -> None:
        """What DynamoDB does: not atomic, so that a crash leaves any part of it."""
        keys = [_request_key(request) for request in requests]
        if len(set(keys)) < len(keys):
            raise ValueError("Provided list of item keys contains duplicates")
        for request, key in zip(requests, keys, strict=True):
            item = decode(request["PutRequest"]["Item"]) if "PutRequest" in request else None
            self._write(lambda key=key, item=item: self._set(key, item))  # type: ignore[misc]  # bound per item

    def put(self, item: Item, condition: Condition | None = None) -> None:
        key = (str(item["pk"]), str(item["sk"]))
        stored = decode(encode(item))
        self._write(lambda: self._set(key, stored), key, condition)

    def delete(self, pk: str, sk: str, condition: Condition | None = None) -> None:
        self._write(lambda: self._set((pk, sk), None), (pk, sk), condition)

    def update(
        self, pk: str, sk: str, *, change: Change, condition: Condition | None = None
    ) -> Item:
        changed: list[Item] = []

        def apply() -> None:
            item = dict(self.items.get((pk, sk), {"pk": pk, "sk": sk}))
            copied = {name: item[source] for name, source in change.copy.items()}
            item |= decode(encode(change.set)) | copied
            for name, number in change.add.items():
                item[name] = int(str(item.get(name, 0))) + number
            changed.append({k: v for k, v in item.items() if k not in change.remove})
            self._set((pk, sk), changed[0])

        self._write(apply, (pk, sk), condition)
        return dict(changed[0])

    def transact(self, writes: Sequence[Any]) -> None:
        def apply() -> None:
            found = [self.items.get(write["key"]) for write in writes]
            pairs = zip(writes, found, strict=True)
            if not all(_holds(write["condition"], item) for write, item in pairs):
                raise ConditionFailedError
            for write in writes:
                self._set(write["key"], write["item"])

        self._write(apply)

    def transact_put(self, item: Item, condition: Condition) -> Any:
        key = (str(item["pk"]), str(item["sk"]))
        return {"key": key, "item": decode(encode(item)), "condition": condition}

    def each(self, call: Callable[[T], R], values: Iterable[T]) -> list[R]:
        return [call(value) for value in values]

    def _set(self, key: tuple[str, str], item: Item | None) -> None:
        if item is None:
            self.items.pop(key, None)
        else:
            self.items[key] = item

    def _write(
        self,
        apply: Callable[[], None],
        key: tuple[str, str] | None = None,
        condition: Condition | None = None,
    ) -> None:
        at = self.interruption
        if at:
            at.before("write")
        if key and condition and not _holds(condition, self.items.get(key)):
            raise ConditionFailedError(_copy(self.items.get(key)))
        apply()
        if at:
            at.after("write")


def _copy(item: Item | None) -> Item | None:
    return None if item is None else dict(item)


def _request_key(request: Mapping[str, Any]) -> tuple[str, str]:
    key = (
        request["PutRequest"]["Item"]
        if "PutRequest" in request
        else request["DeleteRequest"]["Key"]
    )
    return key["pk"]["S"], key["sk"]["S"]


def _holds(condition: Condition, item: Item | None) -> bool:
    """Whether a condition is true of an item, in the part of the grammar that the ledger uses."""
    tokens = TOKEN.findall(condition.expression)
    if "".join(tokens) != condition.expression.replace(" ", ""):
        raise NotImplementedError(f"The table in memory cannot read {condition.expression!r}.")
    return _Conditions(tokens, item or {}, condition.values).any_of()


class _Conditions:
    """A condition's tokens, read from the left: ``OR`` of ``AND`` of comparisons."""

    def __init__(self, tokens: list[str], item: Item, values: Mapping[str, Value]) -> None:
        self._tokens, self._item, self._values = tokens, item, values

    def any_of(self) -> bool:
        true = self._all_of()
        while self._tokens and self._tokens[0] == "OR":
            self._tokens.pop(0)
            true = self._all_of() or true
        return true

    def _all_of(self) -> bool:
        true = self._one()
        while self._tokens and self._tokens[0] == "AND":
            self._tokens.pop(0)
            true = self._one() and true
        return true

    def _one(self) -> bool:
        token = self._tokens.pop(0)
        if token == "(":
            true = self.any_of()
            self._tokens.pop(0)
            return true
        if token.startswith("attribute"):
            _, name, _ = (self._tokens.pop(0) for _ in range(3))
            return (name[1:] in self._item) == (token == "attribute_exists")
        sign, value = self._tokens.pop(0), self._tokens.pop(0)
        return self._compares(token[1:], sign, self._values[value[1:]])

    def _compares(self, name: str, sign: str, value: Value) -> bool:
        """An attribute that is missing compares with nothing."""
        if name not in self._item:
            return False
        mine, other = cast("Any", self._item[name]), cast("Any", value)
        return bool({"=": mine == other, "<": mine < other, "<=": mine <= other}[sign])
