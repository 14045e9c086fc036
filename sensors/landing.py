"""The landing sensor: notifications into the ledger, unfinished files into run requests.

``plan`` decides, from data alone; ``tick`` reads and acts, and is all that the Dagster sensor and
``landfall work`` do. It begins with the notifications (``notifications.py``); from there on the
ledger is the inbox.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import RefreshDiedError
from pipeline_assets.fingerprint import fingerprint
from pipeline_assets.operations.dead_letters import send_letters
from pipeline_assets.operations.hollow_files import tell_hollow
from pipeline_assets.partitions import contiguous, days_between, has_partition
from pipeline_assets.registry import dataset as find_dataset
from pipeline_assets.registry import datasets
from resources.landfall import Landfall
from resources.ledger.model import (
    PendingFile,
    PlannedRun,
    RequestedFile,
    RequestKind,
    RequestState,
    RunRequest,
    is_due,
    utc_now,
)
from resources.ledger.runs import Observer
from resources.ledger.ticks import LANDING
from resources.settings import Settings
from sensors.notifications import drain


@dataclass(frozen=True)
class Limits:
    """How much travels together."""

    max_files_per_run: int
    max_dates_per_run: int
    quiet_runs_per_tick: int

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """The limits of the settings."""
        return cls(
            settings.max_files_per_run, settings.max_dates_per_run, settings.quiet_runs_per_tick
        )


def plan(
    dataset: Dataset,
    pending: Iterable[PendingFile],
    requests: Sequence[RunRequest],
    *,
    now: datetime,
    limits: Limits,
) -> list[PlannedRun]:
    """Which due files travel together now.

    A date whose earlier files are still queued or loading waits, so that its files share the next
    run. Up to ``quiet_runs_per_tick`` dates get a run each; more share runs over ranges of
    contiguous dates. A file whose run died goes alone.
    """
    ready = _ready(dataset, pending, requests, now)
    batches = {day: _first_batch(files, limits) for day, files in ready.items()}
    alone = {day for day, files in batches.items() if files[0].alone}
    shared = sorted(set(batches) - alone)
    if len(shared) <= limits.quiet_runs_per_tick or limits.max_files_per_run == 1:
        ranges: Iterable[list[str]] = ([day] for day in shared)
    else:
        ranges = _ranges(shared, batches, limits)
    runs = [[day] for day in sorted(alone)] + list(ranges)
    return [_run(dataset, days, batches) for days in runs]


def _ready(
    dataset: Dataset, pending: Iterable[PendingFile], requests: Sequence[RunRequest], now: datetime
) -> dict[str, list[PendingFile]]:
    """Due files by file date, without the dates that have files under way."""
    ingests = [each for each in requests if each.run.kind is RequestKind.INGEST]
    carried = _carried(ingests)
    ready: dict[str, list[PendingFile]] = defaultdict(list)
    for file in pending:
        due = is_due(file.due_at, file.wait, now) and _version(file) not in carried
        day = date.fromisoformat(file.file_date)
        if due and has_partition(dataset, day, now.astimezone(UTC).date()):
            ready[file.file_date].append(file)
    busy = {day for day in ready for each in ingests if each.covers(day)}
    return {day: files for day, files in ready.items() if day not in busy}


def _carried(requests: Iterable[RunRequest]) -> set[tuple[str, int]]:
    """File id and epoch of what stands in a request."""
    return {_version(file) for each in requests for file in each.run.files}


def _version(file: PendingFile | RequestedFile) -> tuple[str, int]:
    return file.file_id, file.epoch


def _first_batch(files: list[PendingFile], limits: Limits) -> list[PendingFile]:
    """The oldest files of a date that may share a run, or the oldest that must go alone."""
    in_order = sorted(files, key=lambda file: (file.due_at, file.landed_at, file.file_id))
    if in_order[0].alone:
        return in_order[:1]
    together = [file for file in in_order if not file.alone]
    return together[: limits.max_files_per_run]


def _ranges(
    days: list[str], batches: dict[str, list[PendingFile]], limits: Limits
) -> Iterator[list[str]]:
    """Contiguous dates, cut where a run would carry too many dates or files."""
    for stretch in contiguous(days, limits.max_dates_per_run):
        run: list[str] = []
        files = 0
        for day in stretch:
            if run and files + len(batches[day]) > limits.max_files_per_run:
                yield run
                run, files = [], 0
            run.append(day)
            files += len(batches[day])
        yield run


def _run(dataset: Dataset, days: list[str], batches: dict[str, list[PendingFile]]) -> PlannedRun:
    return PlannedRun(
        dataset=dataset.name,
        kind=RequestKind.INGEST,
        first_date=days[0],
        last_date=days[-1],
        files=tuple(
            RequestedFile(file.file_id, file.epoch, file.attempts)
            for day in days
            for file in batches[day]
        ),
    )


def is_arriving(
    pending: Iterable[PendingFile], requests: Sequence[RunRequest], now: datetime, seconds: float
) -> bool:
    """Whether every file that waits for its first run came within so many seconds.

    While more of a backlog is coming in, planning those that are here would have their dates
    refreshed anew for each part of it. A file from the future was registered by another clock.
    """
    carried = _carried(requests)
    new = (file for file in pending if not file.attempts and _version(file) not in carried)
    first = min((datetime.fromisoformat(file.due_at) for file in new), default=now)
    return timedelta(0) <= now - first < timedelta(seconds=seconds)


def tick(
    landfall: Landfall,
    observer: Observer,
    is_queued: Callable[[RunRequest], bool] = lambda _: False,
    *,
    wait_seconds: int = 0,
) -> list[RunRequest]:
    """Settle what was notified, put right what died, and request runs for what is due.

    Args:
        landfall: the environment.
        observer: remembers heartbeats from tick to tick.
        is_queued: whether a run for a request still waits somewhere and will come.
        wait_seconds: how long a tick that finds the queue empty waits for a message.

    Returns:
        Every ingest request that waits for a run, older ones that none has claimed yet included.
    """
    is_drained = drain(landfall, wait_seconds=wait_seconds)
    waiting: list[RunRequest] = []
    holding: set[str] = set()
    for dataset in datasets():
        standing = landfall.ledger.requests.open(dataset.name)
        if standing.requests:
            holding |= clear_dead(landfall, standing.requests, observer, is_queued)
            standing = landfall.ledger.requests.open(dataset.name)
        pending, now = landfall.ledger.files.pending(dataset.name), utc_now()
        gather, limits = landfall.settings.gather_seconds, Limits.of(landfall.settings)
        runs: list[PlannedRun] = []
        if is_drained or not is_arriving(pending, standing.requests, now, gather):
            runs = plan(dataset, pending, standing.requests, now=now, limits=limits)
        added = landfall.ledger.requests.add(dataset.name, standing.plan, runs)
        waiting += [*queued(standing.requests, RequestKind.INGEST), *added]
    observer.forget_others(holding)
    send_letters(landfall)
    tell_hollow(landfall)
    landfall.ledger.ticks.note(LANDING)
    return waiting


def queued(requests: Iterable[RunRequest], kind: RequestKind) -> list[RunRequest]:
    """Requests of a kind that no run has claimed."""
    return [
        request
        for request in requests
        if request.state is RequestState.QUEUED and request.run.kind is kind
    ]


def clear_dead(
    landfall: Landfall,
    requests: Iterable[RunRequest],
    observer: Observer,
    is_queued: Callable[[RunRequest], bool],
) -> set[str]:
    """Take back what dead runs hold and what no run came for.

    Returns:
        Under which names the observer remembers the requests that stand.
    """
    holding = set()
    for request in requests:
        name = request.run_id or request.request_id
        holding.add(name)
        if request.run_id is None:
            waited = observer.is_standing(name, 0, landfall.settings.request_seconds)
            if waited and not is_queued(request):
                landfall.ledger.requests.withdraw(request)
            continue
        beat = landfall.ledger.runs.last_beat(request.run_id)
        if observer.is_standing(name, beat, landfall.settings.lease_seconds):
            give_up(landfall, request, request.run_id)
    return holding


def give_up(landfall: Landfall, request: RunRequest, dead_run: str) -> None:
    """Take files, dates and the request away from a run that is taken for dead."""
    ledger, name = landfall.ledger, request.run.dataset
    ledger.files.give_up(request.run.files, name, dead_run)
    for refresh in ledger.dates.leased(name, days_between(*request.dates), dead_run):
        died = RefreshDiedError(name, refresh.event_date, dead_run)
        contract = fingerprint(find_dataset(name))
        ledger.dates.give_up(refresh, dead_run, died, fingerprint=contract)
    ledger.requests.close(name, request.request_id, dead_run)
