"""Run requests: the files and dates that a run was planned for, until it has ended.

One conditional write adds a tick's requests: they go in together with the number of the plan that
they were made from, so of two ticks that planned from the same state only one takes effect, and a
file is in one request at most. A run claims its request, keeps it while it works, and deletes it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from resources.ledger.codec import Item, dump, load
from resources.ledger.model import (
    PlannedRun,
    RequestState,
    RunRequest,
    utc_now,
    utc_text,
)
from resources.ledger.table import (
    TRANSACT_LIMIT,
    Change,
    Condition,
    ConditionFailedError,
    LedgerTable,
)

PLAN = "#plan"
MAX_REQUESTS_PER_PLAN = TRANSACT_LIMIT - 1
"""One action of the transaction is the plan's number itself."""
MAX_FILES_PER_PLAN = 50_000
"""At some 60 bytes a file: a transaction's items hold 4 MB at most (DynamoDB API reference,
"TransactWriteItems")."""


@dataclass(frozen=True)
class Open:
    """The requests that stand, and the number of the plan they were read at."""

    plan: int
    requests: tuple[RunRequest, ...]


class Requests:
    """The ledger's run requests."""

    def __init__(self, table: LedgerTable) -> None:
        self._table = table

    def open(self, dataset: str) -> Open:
        """Every request of the dataset whose run has not ended, read consistently."""
        plan = self._table.get(_partition(dataset), PLAN)
        items = self._table.query(_partition(dataset), "run#")
        number = int(str(plan["plan"])) if plan else 0
        return Open(number, tuple(load(RunRequest, item) for item in items))

    def add(self, dataset: str, plan: int, runs: Sequence[PlannedRun]) -> list[RunRequest]:
        """Add what was planned from the state at ``plan``.

        Returns:
            The requests; none when another tick planned meanwhile, so that the next tick plans
            anew. What is more than one transaction holds is planned again.
        """
        if not runs:
            return []
        made = [_request(run, plan + 1) for run in _fitting(runs)]
        number: Item = {"pk": _partition(dataset), "sk": PLAN, "plan": plan + 1}
        as_read = Condition("attribute_not_exists(#pk) OR #plan = :plan", {"plan": plan})
        writes = [self._table.transact_put(number, as_read)]
        new = Condition("attribute_not_exists(#pk)")
        writes += [self._table.transact_put(_item(request), new) for request in made]
        try:
            self._table.transact(writes)
        except ConditionFailedError:
            return []
        return made

    def claim(self, dataset: str, request_id: str, run_id: str) -> RunRequest | None:
        """Take a request for a run; ``None`` when it was withdrawn, has ended, or is another's."""
        change = Change(set={"state": RequestState.LOADING.value, "run_id": run_id})
        condition = Condition(
            "#state = :queued OR #run_id = :run",
            {"queued": RequestState.QUEUED.value, "run": run_id},
        )
        key = _key(dataset, request_id)
        try:
            return load(RunRequest, self._table.update(*key, change=change, condition=condition))
        except ConditionFailedError:
            return None

    def drop_files(self, request: RunRequest, run_id: str) -> None:
        """Say that every file of the request has ended; its dates stay reserved for the run."""
        bare = replace(request, run=replace(request.run, files=()), run_id=run_id)
        try:
            self._table.put(_item(bare), Condition("#run_id = :run", {"run": run_id}))
        except ConditionFailedError:
            return

    def close(self, dataset: str, request_id: str, run_id: str) -> None:
        """Delete the request of a run that has ended, unless it is another run's by now."""
        self._delete(dataset, request_id, Condition("#run_id = :run", {"run": run_id}))

    def withdraw(self, request: RunRequest) -> bool:
        """Delete a request that no run claimed; false when one has by now."""
        condition = Condition("#state = :queued", {"queued": RequestState.QUEUED.value})
        return self._delete(request.run.dataset, request.request_id, condition)

    def _delete(self, dataset: str, request_id: str, condition: Condition) -> bool:
        try:
            self._table.delete(*_key(dataset, request_id), condition)
        except ConditionFailedError:
            return False
        return True


def _fitting(runs: Sequence[PlannedRun]) -> Iterator[PlannedRun]:
    """The first run, and as many more as go into the same transaction."""
    files = 0
    for number, run in enumerate(runs[:MAX_REQUESTS_PER_PLAN]):
        files += len(run.files)
        if number and files > MAX_FILES_PER_PLAN:
            return
        yield run


def _request(run: PlannedRun, plan: int) -> RunRequest:
    return RunRequest(
        request_id=f"{run.kind}-{run.dataset}-{plan}-{run.content}",
        run=run,
        state=RequestState.QUEUED,
        created_at=utc_text(utc_now()),
    )


def _partition(dataset: str) -> str:
    return f"requests#{dataset}"


def _key(dataset: str, request_id: str) -> tuple[str, str]:
    return _partition(dataset), f"run#{request_id}"


def _item(request: RunRequest) -> Item:
    pk, sk = _key(request.run.dataset, request.request_id)
    return {"pk": pk, "sk": sk, **dump(request)}
