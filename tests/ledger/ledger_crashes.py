"""A process that dies at one of its AWS calls: the first, the second, and so on."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ledger_scenario import LedgerParts

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Step: TypeAlias = Callable[[], object]
Deaths: TypeAlias = Callable[[Callable[[], Step]], Iterator[None]]


class CrashError(Exception):
    """The process died here."""


@dataclass
class CrashPoint:
    """The call at which a process dies: before it is sent, or after it took effect."""

    call: int
    takes_effect: bool
    operations: frozenset[str] | None = None
    """Calls that are counted, by operation; all if none are named."""
    seen: int = 0
    crashed: bool = False

    def before(self, operation: str) -> None:
        """Count a call; die if it is the one, or if the process is dead already."""
        if self.crashed:
            raise CrashError(operation)
        if self.operations is None or operation in self.operations:
            self.seen += 1
            self.crashed = self.seen == self.call
        if self.crashed and not self.takes_effect:
            raise CrashError(operation)

    def after(self, operation: str) -> None:
        """Die now if the call that took effect was the one."""
        if self.crashed:
            raise CrashError(operation)


@contextmanager
def dying(client: "DynamoDBClient", point: CrashPoint) -> Iterator[CrashPoint]:
    """Let a boto3 client die at a call; afterwards it is as good as new."""

    def before(request: Any, event_name: str, **_: Any) -> None:
        del request
        point.before(event_name.rsplit(".", 1)[1])

    def after(model: Any, **_: Any) -> None:
        point.after(model.name)

    events, service = client.meta.events, client.meta.service_model.service_name
    events.register(f"before-send.{service}", before)
    events.register(f"after-call.{service}", after)
    try:
        yield point
    finally:
        events.unregister(f"before-send.{service}", before)
        events.unregister(f"after-call.{service}", after)


def deaths_of(ledger: LedgerParts, *, takes_effect: bool) -> Deaths:
    """Runs a step to its death at its first call, its second, and so on, on empty ledgers.

    The calls must come one after the other, so that the number of a call names it.
    """

    def each(prepare: Callable[[], Step]) -> Iterator[None]:
        for call in itertools.count(1):
            _empty(ledger)
            step = prepare()
            point = CrashPoint(call, takes_effect)
            with dying(ledger.table._aws.dynamodb, point), suppress(CrashError):
                step()
            if not point.crashed:
                assert call > 1, "the step made no call"
                return
            yield

    return each


def _empty(ledger: LedgerParts) -> None:
    ledger.held.clear()
    pages = ledger.table._aws.dynamodb.get_paginator("scan").paginate(TableName=ledger.table.name)
    keys = [(item["pk"]["S"], item["sk"]["S"]) for page in pages for item in page["Items"]]
    ledger.table.batch_write(deletes=keys)
