"""The refresh sensor: dirty dates into run requests.

``plan`` decides, from data alone; ``tick`` reads and acts, and is all that the Dagster sensor and
``landfall work`` do.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, date, datetime

from pipeline_assets.dataset import Dataset
from pipeline_assets.fingerprint import fingerprint
from pipeline_assets.partitions import contiguous, has_partition
from pipeline_assets.registry import datasets
from resources.landfall import Landfall
from resources.ledger.model import (
    DirtyDate,
    PlannedRun,
    RequestKind,
    RunRequest,
    is_due,
    utc_now,
)
from sensors.landing import queued


def plan(  # noqa: PLR0913 - a pure function of everything that matters
    dataset: Dataset,
    dirty: Iterable[DirtyDate],
    requests: Sequence[RunRequest],
    *,
    expected: Collection[str],
    now: datetime,
    max_dates: int,
    contract: str,
) -> list[PlannedRun]:
    """Which dirty dates are refreshed together now.

    Left out are dates without a partition (Dagster would drop the whole tick), dates that rest
    after their last refresh, dates that a standing request covers, dates that an ingest run is due
    for anyway (``expected``), and held dates whose contract is still the one that refused them. A
    date that spoiled a run, or was spoiled by one, goes alone.
    """
    today = now.astimezone(UTC).date()
    ready = {
        each.event_date: each
        for each in dirty
        if is_due(each.due_at, each.wait, now)
        and has_partition(dataset, date.fromisoformat(each.event_date), today)
        and each.event_date not in expected
        and not (each.held and each.fingerprint == contract)
        and not any(request.covers(each.event_date) for request in requests)
    }
    alone = [[day] for day, each in ready.items() if each.alone]
    shared = contiguous((day for day, each in ready.items() if not each.alone), max_dates)
    return [_run(dataset, days, ready) for days in [*alone, *shared]]


def _run(dataset: Dataset, days: list[str], ready: dict[str, DirtyDate]) -> PlannedRun:
    return PlannedRun(
        dataset=dataset.name,
        kind=RequestKind.REFRESH,
        first_date=days[0],
        last_date=days[-1],
        versions=tuple((day, ready[day].version) for day in days),
    )


def tick(
    landfall: Landfall, contract_of: Callable[[Dataset], str] = fingerprint
) -> list[RunRequest]:
    """Request runs for the dirty dates that are due.

    Args:
        landfall: the environment.
        contract_of: fingerprint of the code that the requested runs will execute.

    Returns:
        Every refresh request that waits for a run, older ones that none has claimed yet included.
    """
    waiting: list[RunRequest] = []
    for dataset in datasets():
        standing = landfall.ledger.requests.open(dataset.name)
        now = utc_now()
        pending = landfall.ledger.files.pending(dataset.name)
        runs = plan(
            dataset,
            landfall.ledger.dates.dirty(dataset.name),
            standing.requests,
            expected={each.file_date for each in pending if is_due(each.due_at, each.wait, now)},
            now=now,
            max_dates=landfall.settings.max_dates_per_run,
            contract=contract_of(dataset),
        )
        added = landfall.ledger.requests.add(dataset.name, standing.plan, runs)
        waiting += [*queued(standing.requests, RequestKind.REFRESH), *added]
    return waiting
