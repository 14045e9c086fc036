"""The table in memory answers as DynamoDB does, for every kind of call that the ledger makes."""

from collections.abc import Callable
from typing import Any

import pytest
from ledger_memory import MemoryTable

from resources.aws import Aws
from resources.ledger.codec import Item
from resources.ledger.table import Change, Condition, ConditionFailedError, LedgerTable

NEW = Condition("attribute_not_exists(#pk)")
AS_READ = Condition(
    "#epoch = :epoch AND #attempts = :attempts AND #state = :state",
    {"epoch": 1, "attempts": 0, "state": "LANDED"},
)
LEASE = Condition(
    "attribute_exists(#version) AND (attribute_not_exists(#lease_run) OR #lease_run = :run)",
    {"run": "r"},
)
OLDER = Condition("attribute_not_exists(#pk) OR #version < :version", {"version": 3})
NOT_NEWER = Condition("#version <= :version", {"version": 3})
PLAN = Condition("attribute_not_exists(#pk) OR #plan = :plan", {"plan": 7})
CLAIM = Condition("#state = :queued OR #run_id = :run", {"queued": "QUEUED", "run": "r"})

CONDITIONS = (NEW, AS_READ, LEASE, OLDER, NOT_NEWER, PLAN, CLAIM)
ITEMS: tuple[Item | None, ...] = (
    None,
    {"pk": "p", "sk": "s"},
    {"pk": "p", "sk": "s", "epoch": 1, "attempts": 0, "state": "LANDED"},
    {"pk": "p", "sk": "s", "epoch": 2, "attempts": 0, "state": "LANDED"},
    {"pk": "p", "sk": "s", "version": 2},
    {"pk": "p", "sk": "s", "version": 3, "lease_run": "r", "nested": {"a": [1, 2.5, None, "x"]}},
    {"pk": "p", "sk": "s", "version": 4, "lease_run": "other"},
    {"pk": "p", "sk": "s", "plan": 7},
    {"pk": "p", "sk": "s", "plan": 8},
    {"pk": "p", "sk": "s", "state": "QUEUED"},
    {"pk": "p", "sk": "s", "state": "LOADING", "run_id": "r"},
    {"pk": "p", "sk": "s", "state": "LOADING", "run_id": "other"},
)


def said(call: Callable[[], Any]) -> Any:
    """What a call returns, or what it found instead."""
    try:
        return call()
    except ConditionFailedError as error:
        return ("refused", error.found)


def start(table: LedgerTable, item: Item | None) -> None:
    table.delete("p", "s")
    if item:
        table.put(item)


def outcomes(table: LedgerTable, write: Callable[[LedgerTable, Condition], Any]) -> list[Any]:
    found = []
    for item in ITEMS:
        for condition in CONDITIONS:
            start(table, item)
            found.append((said(lambda c=condition: write(table, c)), table.get("p", "s")))  # type: ignore[misc]  # bound per condition
    return found


def put(table: LedgerTable, condition: Condition) -> None:
    table.put({"pk": "p", "sk": "s", "fresh": True, "seconds": 0.25}, condition)


def delete(table: LedgerTable, condition: Condition) -> None:
    table.delete("p", "s", condition)


def lease(table: LedgerTable, condition: Condition) -> Item:
    change = Change(set={"lease_run": "r"}, copy={"leased_version": "version"}, remove=("state",))
    return table.update("p", "s", change=change, condition=condition)


def count(table: LedgerTable, condition: Condition) -> Item:
    change = Change(set={"dataset": "d"}, add={"version": 1}, remove=("lease_run", "absent"))
    return table.update("p", "s", change=change, condition=condition)


def transact(table: LedgerTable, condition: Condition) -> list[Item]:
    table.delete("p", "other")
    first = table.transact_put({"pk": "p", "sk": "s", "fresh": True}, condition)
    second = table.transact_put({"pk": "p", "sk": "other"}, NEW)
    found = said(lambda: table.transact([first, second]))
    return [{"refused": found is not None}, *table.query("p")]


@pytest.mark.parametrize("write", [put, delete, count, transact])
def test_a_conditional_write_in_memory_does_what_dynamodb_does(
    aws: Aws, write: Callable[[LedgerTable, Condition], Any]
) -> None:
    assert outcomes(MemoryTable(), write) == outcomes(LedgerTable(aws), write)


def test_a_lease_in_memory_is_taken_as_dynamodb_takes_it(aws: Aws) -> None:
    def leases(table: LedgerTable) -> list[Any]:
        found = []
        for item in ITEMS:
            start(table, item)
            found.append((said(lambda: lease(table, LEASE)), table.get("p", "s")))
        return found

    assert leases(MemoryTable()) == leases(LedgerTable(aws))


def test_reads_in_memory_give_what_dynamodb_gives(aws: Aws) -> None:
    def reads(table: LedgerTable) -> list[Any]:
        keys = [("a", "run#2"), ("a", "run#1"), ("a", "head"), ("b#1", "head"), ("b#2", "head")]
        table.batch_write([{"pk": pk, "sk": sk, "n": 1} for pk, sk in keys], [("c", "head")])
        table.batch_write(deletes=[("b#2", "head"), ("b#2", "head")])
        wanted = [*keys, ("a", "nothing"), ("a", "head")]
        return [
            table.get("a", "nothing"),
            table.query("a"),
            table.query("a", "run#"),
            *(table.query("a", limit=limit) for limit in (1, 2, 3, 4)),
            table.query("a", "run#", limit=1),
            table.query("nothing"),
            sorted(table.batch_get(wanted), key=str),
            sorted(table.scan("head", "b#"), key=str),
        ]

    assert reads(MemoryTable()) == reads(LedgerTable(aws))


def test_a_table_writes_the_last_of_several_puts_of_one_item(aws: Aws) -> None:
    for table in (MemoryTable(), LedgerTable(aws)):
        table.batch_write([{"pk": "p", "sk": "s", "n": 1}, {"pk": "p", "sk": "s", "n": 2}])
        assert table.get("p", "s") == {"pk": "p", "sk": "s", "n": 2}


def test_a_condition_that_cannot_be_read_is_no_condition_that_holds() -> None:
    other = Condition("#version <> :version", {"version": 3})

    with pytest.raises(NotImplementedError, match="#version <> :version"):
        put(MemoryTable(), other)
