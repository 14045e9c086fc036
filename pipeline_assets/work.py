"""The pipeline without the Dagster daemon: ticks, queue and runs in this process.

The ticks are those of the sensors and the runs are the same jobs on the same instance, so what
`landfall work` did is all there in the UI. A single run is executed in this process, several are
side by side in processes of their own.
"""

import time
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace

import dagster as dg

from pipeline_assets import show
from pipeline_assets.fingerprint import fingerprint
from pipeline_assets.landing_asset import tell
from pipeline_assets.operations.dead_letters import send_letters
from pipeline_assets.operations.hollow_files import tell_hollow
from pipeline_assets.partitions import days_between
from pipeline_assets.registry import datasets
from pipeline_assets.run_execution import Ending, execute
from pipeline_assets.run_processes import side_by_side
from resources.landfall import Landfall
from resources.ledger.model import RunRequest
from resources.ledger.runs import Observer
from sensors import landing, refresh
from sensors.notifications import drain
from sensors.outcome import EndedRun, give_back
from sensors.reconcile import Walker

REST_SECONDS = 0.2


@dataclass(frozen=True)
class Backlog:
    """What is not finished: messages, files, requests and dates that wait for something.

    ``letters`` counts dead files that nobody was told of yet, up to ``max_letters_per_tick``. They
    are sent at every tick, and what AWS refuses to take must not keep anyone waiting, so they alone
    are no work.
    """

    messages: int
    files: int
    requests: int
    dates: int
    letters: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits for a tick or a run."""
        return not (self.messages or self.files or self.requests or self.dates)


@dataclass
class WorkReport:
    """What a stretch of work came to."""

    runs: int = 0
    failed_runs: list[str] = field(default_factory=list)
    timed_out: bool = False
    backlog: Backlog | None = None
    unsent: str | None = None
    """Why dead files could not be reported."""


Progress = Callable[[str], None]


class Worker:
    """Does what the sensors and the run queue do.

    Args:
        landfall: the environment.
        instance: where runs are kept.
        definitions: the project, for runs in this process.
        progress: is told what goes on.
        runs_at_once: 1 executes every run in this process.
    """

    def __init__(
        self,
        landfall: Landfall,
        instance: dg.DagsterInstance,
        definitions: dg.Definitions,
        progress: Progress,
        *,
        runs_at_once: int = 1,
    ) -> None:
        self._landfall = landfall
        self._instance = instance
        self._definitions = definitions
        self._progress = progress
        self._runs_at_once = runs_at_once
        self._observer = Observer(clock=time.monotonic)
        self._begun: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._walker = Walker(landfall, lambda: tell(landfall, instance))
        self.report = WorkReport()

    def work(self, *, until_idle: bool, timeout: float | None = None) -> WorkReport:
        """Tick and run until nothing is left, time is up, or (without ``until_idle``) for ever.

        Args:
            until_idle: stop once nothing is pending or dirty and no walk through the landing
                bucket is due; held dates and dead files wait for a person and count as neither.
            timeout: seconds after which no further run is started; ``None`` for no limit.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            asked = self._tick()
            self._run_all(asked, deadline)
            left = backlog(self._landfall)
            if until_idle and left.is_empty and self._walker.is_done():
                left = self._send_letters(left)
                tell_hollow(self._landfall)
                break
            if _is_past(deadline):
                self.report.timed_out = True
                break
            self._progress(f"{self.report.runs} runs done; waiting: {show.backlog(left)}")
            if not self._walker.walk(busy=bool(asked)) and not asked:
                time.sleep(REST_SECONDS)
        self.report.backlog = left
        return self.report

    def _send_letters(self, left: Backlog) -> Backlog:
        """Report what the last runs buried; give up at the first refusal, which the log tells."""
        while left.letters:
            sending = send_letters(self._landfall)
            left = replace(left, letters=sending.left)
            if sending.refusal is not None:
                self.report.unsent = sending.refusal
                break
        return left

    def _tick(self) -> list[RunRequest]:
        until = time.monotonic() + self._landfall.settings.gather_seconds
        while not drain(self._landfall) and not _is_past(until):
            self._progress("registering what has landed")
        waiting = self._new(landing.tick(self._landfall, self._observer))
        return waiting or self._new(refresh.tick(self._landfall))

    def _new(self, waiting: list[RunRequest]) -> list[RunRequest]:
        """Requests that had no run here: as Dagster does by run key, a second is never started.

        One whose run ended before it could claim the request is withdrawn and planned again.
        """
        return [request for request in waiting if request.request_id not in self._begun]

    def _run_all(self, requests: list[RunRequest], deadline: float | None) -> None:
        def begin(request: RunRequest) -> str | None:
            return None if _is_past(deadline) else self._begin(request)

        if len(requests) > 1 and self._runs_at_once > 1:
            limit = self._runs_at_once
            runs = side_by_side(requests, begin, self._execute_here, self._instance, limit=limit)
            with closing(runs):
                for request, run_id, ending in runs:
                    self._note(request, run_id, ending)
            return
        for each in requests:
            own_id = begin(each)
            if own_id is None:
                break
            self._note(each, own_id, self._execute(each, own_id))

    def _execute_here(self, request: RunRequest, run_id: str, fault: Exception) -> Ending:
        number, cause = self._numbers[run_id], str(fault) or type(fault).__name__
        self._progress(f"run {number} is executed in this process, since none starts: {cause}")
        return self._execute(request, run_id)

    def _execute(self, request: RunRequest, run_id: str) -> Ending:
        ending = execute(request, run_id, self._instance, self._definitions)
        if ending.interrupted:
            raise KeyboardInterrupt
        return ending

    def _begin(self, request: RunRequest) -> str:
        self._begun.add(request.request_id)
        run_id = str(uuid.uuid4())
        self._numbers[run_id] = len(self._numbers) + 1
        files = f", {show.number(len(request.run.files), 'file')}" if request.run.files else ""
        self._progress(f"run {self._numbers[run_id]}: {_what(request)}{files}")
        return run_id

    def _note(self, request: RunRequest, run_id: str, ending: Ending) -> None:
        self.report.runs += 1
        if ending.died:
            days = tuple(days_between(*request.dates))
            run = EndedRun(run_id, request.request_id, days, stopped=False)
            give_back(self._landfall, run)
        if not ending.success:
            self._progress(f"run {self._numbers[run_id]} failed: {ending.cause}")
            self.report.failed_runs.append(f"{run_id} ({_what(request)})")


def _what(request: RunRequest) -> str:
    first, last = request.dates
    span = first if first == last else f"{first} to {last}"
    return f"{request.run.kind} {request.run.dataset} {span}"


def backlog(landfall: Landfall) -> Backlog:
    """What waits now, read consistently (the queue's own numbers are approximate)."""
    files = requests = dates = 0
    for dataset in datasets():
        contract = fingerprint(dataset)
        files += len(landfall.ledger.files.pending(dataset.name))
        requests += len(landfall.ledger.requests.open(dataset.name).requests)
        dirty = landfall.ledger.dates.dirty(dataset.name)
        dates += sum(not (each.held and each.fingerprint == contract) for each in dirty)
    letters = len(landfall.ledger.files.unreported(landfall.settings.max_letters_per_tick))
    return Backlog(sum(landfall.queue.depth()), files, requests, dates, letters)


def _is_past(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline
