"""Everything around the ledger, as far as the ledger can tell, in one process and without waiting.

Landing, planning and settling are the sensors' own code, the ledger is the real one; a run is
what the assets do with the ledger, step by step, so that anything can happen between two steps.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from ledger_crashes import CrashError
from ledger_memory import Interruption, MemoryTable
from ledger_scenario import DATASET, LedgerParts, fragment
from ledger_surroundings import (
    BUCKET,
    CONTENTS,
    DAYS,
    KEYS,
    LANDED_AT,
    LEASE,
    LIMITS,
    SETTINGS,
    UNREADABLE,
    HeldBucket,
    OnlySettings,
)

from pipeline_assets.errors import (
    DateRefusedError,
    LandfallError,
    LeaseLostError,
    ObjectChangedError,
)
from pipeline_assets.landings import current
from pipeline_assets.registry import dataset
from resources.landfall import Landfall
from resources.landing_zone import EventKind, Message, ObjectEvent
from resources.ledger.dates import Refresh
from resources.ledger.files import Claim
from resources.ledger.model import FileHead, LoadedFile, RequestKind, RunRequest, utc_now
from resources.ledger.runs import Observer
from sensors import landing, notifications, refresh


@dataclass
class Tables:
    """A date's tables: which fragments they were made of, and how often they were replaced."""

    fragments: tuple[str, ...] = ()
    replaced: int = 0


@dataclass
class Run:
    """A run's own memory: what it claimed, and what it read of the dates that it holds."""

    run_id: str
    request: RunRequest
    claims: list[Claim] = field(default_factory=list)
    outcomes: list[tuple[Claim, LoadedFile | LandfallError]] = field(default_factory=list)
    opened: dict[str, tuple[Refresh, Tables]] = field(default_factory=dict)


class Pipeline:
    """The landing bucket, its notifications, the ledger, runs and the tables of each date."""

    def __init__(self) -> None:
        self.table = MemoryTable()
        self.ledger = LedgerParts(self.table, SETTINGS)
        self.bucket = HeldBucket()
        self.landfall = Landfall()
        self.landfall.__dict__.update(ledger=self.ledger, bucket=self.bucket, aws=OnlySettings())
        self.now = 0.0
        self.observer = Observer(lambda: self.now)
        self.messages: list[Message] = []
        self.runs: list[Run] = []
        self.tables = {day: Tables() for day in DAYS}
        self.read_as: dict[tuple[str, int], str] = {}
        self.unnotified: set[str] = set()
        self.letters: set[tuple[str, int]] = set()
        self.started = self.sent = 0

    @contextmanager
    def until(self, interruption: Interruption | None, *runs: Run) -> Iterator[None]:
        """Let something happen at one of the body's writes; if its process dies, its runs do."""
        self.table.interruption = interruption
        try:
            yield
        except CrashError:
            self.runs = [run for run in self.runs if run not in runs]
        finally:
            self.table.interruption = None

    def upload(self, key: str, etag: str, *, notified: bool = True) -> None:
        self.bucket.etags[key] = etag
        self.unnotified.add(key)
        if notified:
            self.unnotified.remove(key)
            self._notify(EventKind.CREATED, key, etag)

    def delete(self, key: str) -> None:
        del self.bucket.etags[key]
        self._notify(EventKind.REMOVED, key, "")

    def list_bucket(self, only: Collection[str] = KEYS) -> None:
        """Register what a listing shows."""
        events = dataset(DATASET)
        seen = [current(self.landfall, events, key) for key in only]
        self.ledger.files.register(
            [each for each in seen if each is not None],
            lambda each: current(self.landfall, events, each.key),
        )

    def forget(self, head: FileHead) -> None:
        """Let a file's rows count no more, and remove what led to them."""
        forgotten = self.ledger.files.forget(head, "forgotten")
        for day in forgotten.former_dates:
            entries = self.ledger.dates.entries_of(DATASET, day, head.file_id)
            self.ledger.dates.remove_entries(entries)

    def send_letters(self) -> None:
        """Send what was not reported, then say so."""
        unreported = self.ledger.files.unreported()
        self.letters |= {(each.file_id, each.epoch) for each in unreported}
        self.ledger.files.reported(unreported)

    def _notify(self, kind: EventKind, key: str, etag: str) -> None:
        self.sent += 1
        record = json.dumps({"eventName": f"{kind.value}:Any"})
        event = ObjectEvent(kind, BUCKET, key, etag, 1, LANDED_AT, record)
        self.messages.append(Message(f"receipt-{self.sent}", (event,)))

    def settle(self, messages: Sequence[Message]) -> None:
        notifications.settle(self.landfall, messages)

    def tick(self) -> None:
        """Both sensors' ticks without their queue, an hour ahead and under a mended contract.

        So that nothing rests or stays held.
        """
        standing = self.ledger.requests.open(DATASET)
        landing.clear_dead(self.landfall, standing.requests, self.observer, lambda _: False)
        standing = self.ledger.requests.open(DATASET)
        pending = self.ledger.files.pending(DATASET)
        later, events = utc_now() + timedelta(hours=1), dataset(DATASET)
        runs = landing.plan(events, pending, standing.requests, now=later, limits=LIMITS)
        self.ledger.requests.add(DATASET, standing.plan, runs)
        standing = self.ledger.requests.open(DATASET)
        dirty = self.ledger.dates.dirty(DATASET)
        dates = refresh.plan(
            events,
            dirty,
            standing.requests,
            expected={each.file_date for each in pending},
            now=later,
            max_dates=2,
            contract="mended",
        )
        self.ledger.requests.add(DATASET, standing.plan, dates)

    def new_run(self, request: RunRequest) -> Run:
        self.started += 1
        run = Run(f"run-{self.started}", request)
        self.runs.append(run)
        return run

    def claim(self, run: Run) -> None:
        """Take the request and its files; a run that comes too late ends."""
        self.ledger.runs.beat(run.run_id)
        claimed = self.ledger.requests.claim(DATASET, run.request.request_id, run.run_id)
        if claimed is None:
            self.runs.remove(run)
            return
        run.request = claimed
        run.claims = self.ledger.files.claim(claimed.run.files, DATASET)

    def read(self, run: Run, fault: LandfallError | None = None) -> None:
        """Download and parse, as far as the objects and the fault let it."""
        for claim in run.claims:
            head = claim.head
            self.read_as[head.file_id, head.epoch] = head.etag
            outcome: LoadedFile | LandfallError
            if self.bucket.etags.get(head.key) != head.etag:
                outcome = ObjectChangedError(head.key, "it holds other bytes.")
            else:
                outcome = fault or UNREADABLE.get(head.etag) or _loaded(head)
            run.outcomes.append((claim, outcome))
        run.claims = []

    def finish(self, run: Run) -> None:
        """What bronze does with what it read."""
        outcomes, run.outcomes = run.outcomes, []
        loaded = []
        for claim, outcome in outcomes:
            if isinstance(outcome, LoadedFile):
                loaded.append((claim, outcome))
            else:
                self._fail(claim, outcome, run)
        self.ledger.files.finish(loaded, run.run_id)
        if run.request.run.kind is RequestKind.INGEST:
            self.ledger.requests.drop_files(run.request, run.run_id)

    def _fail(self, claim: Claim, error: LandfallError, run: Run) -> None:
        now = current(self.landfall, dataset(DATASET), claim.head.key)
        moved = isinstance(error, ObjectChangedError)
        if moved and now is None:
            self.ledger.files.gone(claim.head)
        elif moved and now is not None and now.etag != claim.head.etag:
            self.ledger.files.overwritten(claim.head, now)
        else:
            self.ledger.files.fail(claim, error, run.run_id)

    def expire(self, request: RunRequest) -> None:
        """What an observer does about a request whose run it takes for dead, or that none took."""
        if request.run_id is None:
            self.ledger.requests.withdraw(request)
        else:
            landing.give_up(self.landfall, request, request.run_id)

    def open(self, run: Run) -> None:
        """Take the leases of the run's dirty dates, those of dead runs too, and read."""
        for day in sorted(set(self.ledger.dirty()) - set(run.opened)):
            if run.request.covers(day):
                opened = self.ledger.dates.open(DATASET, day, run.run_id) or self._take(day, run)
                if opened is not None:
                    replaced = self.tables[day].replaced
                    run.opened[day] = opened, Tables(self.manifest_of(day), replaced)

    def _take(self, day: str, run: Run) -> Refresh | None:
        head = self.ledger.dates.head(DATASET, day)
        if head is None or head.lease_run is None:
            return None
        beat = self.ledger.runs.last_beat(head.lease_run)
        if not self.observer.is_standing(head.lease_run, beat, LEASE):
            return None
        return self.ledger.dates.take_over(DATASET, day, run_id=run.run_id, dead_run=head.lease_run)

    def replace(self, run: Run) -> None:
        """Replace the tables, if they are still those that were there when the date was read."""
        for day, (_, made) in run.opened.items():
            if made.replaced == self.tables[day].replaced:
                made.replaced += 1
                self.tables[day] = Tables(made.fragments, made.replaced)

    def end(self, run: Run, *, refused: bool = False) -> None:
        """Give every date back: as refreshed, or refused when its tables are another's."""
        for day, (opened, made) in run.opened.items():
            if refused or self.tables[day] != made:
                error = DateRefusedError(DATASET, day, "spoiled")
                self.ledger.dates.refuse(opened, run.run_id, error, fingerprint="of then")
            else:
                with suppress(LeaseLostError):
                    self.ledger.dates.close(opened, run.run_id)
        self.ledger.requests.close(DATASET, run.request.request_id, run.run_id)
        self.ledger.runs.end(run.run_id)
        self.runs.remove(run)

    def whole_run(self, request: RunRequest) -> None:
        """A run from its start to its end."""
        run = self.new_run(request)
        self.claim(run)
        if run in self.runs:
            self.read(run)
            self.finish(run)
            self.open(run)
            self.replace(run)
            self.end(run)

    def work(self) -> None:
        """A round of everything: deliver what was notified, tick, and run what is requested."""
        self.settle(self.messages)
        self.messages = []
        self.tick()
        for request in self.standing():
            self.whole_run(request)

    def standing(self) -> tuple[RunRequest, ...]:
        return self.ledger.requests.open(DATASET).requests

    def manifest_of(self, day: str) -> tuple[str, ...]:
        return tuple(each.fragment_key for each in self.ledger.dates.manifest(DATASET, day))


def _loaded(head: FileHead) -> LoadedFile:
    days = CONTENTS[head.etag]
    return LoadedFile(tuple(fragment(head, day) for day in days), len(days), 0)


def etag_of(fragment_key: str) -> str:
    """The ETag in a fragment's key."""
    return fragment_key.rsplit("-", 1)[1].removesuffix(".parquet")
