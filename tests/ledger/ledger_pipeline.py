"""Everything around the ledger, as far as the ledger can tell, in one process and without waiting.

Landing, planning and settling are the sensors' own code, the ledger is the real one; a run is
what the assets do with the ledger, step by step, so that anything can happen between two steps.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ledger_crashes import CrashError, CrashPoint
from ledger_memory import MemoryTable
from ledger_scenario import DATASET, LedgerParts, corrupt, fragment

from pipeline_assets.errors import DateRefusedError, LeaseLostError
from pipeline_assets.landings import current
from pipeline_assets.registry import dataset
from resources.landfall import Landfall
from resources.landing_zone import EventKind, LandingBucket, Message, ObjectEvent, StoredObject
from resources.ledger.dates import Refresh
from resources.ledger.files import Claim
from resources.ledger.model import FileHead, LoadedFile, RequestKind, RunRequest, utc_now
from resources.ledger.runs import Observer
from resources.settings import Settings
from sensors import landing, refresh

BUCKET = "landfall-landing"
LANDED_AT = datetime(2025, 3, 10, tzinfo=UTC)
DAYS = ("2025-03-01", "2025-03-02", "2025-03-03")
KEYS = (f"events/dt={DAYS[0]}/a.csv", f"events/dt={DAYS[0]}/b.csv", f"events/dt={DAYS[1]}/c.csv")
CONTENTS = {"A": (DAYS[0],), "B": (DAYS[0], DAYS[1]), "C": (DAYS[2],), "bad": ()}
"""ETags of the objects, with the event dates that their rows belong to; ``bad`` is corrupt."""
LEASE = 60.0
SETTINGS = Settings.model_construct(
    backoff_seconds=0.0,
    backoff_max_seconds=0.0,
    max_attempts=3,
    lease_seconds=LEASE,
    request_seconds=10 * LEASE,
    landing_bucket=BUCKET,
)
LIMITS = landing.Limits(max_files_per_run=2, max_dates_per_run=2, quiet_runs_per_tick=1)


class HeldBucket(LandingBucket):
    """The landing bucket as HEAD sees it: ETags by key."""

    def __init__(self) -> None:
        self.etags: dict[str, str] = {}

    @property
    def name(self) -> str:
        return BUCKET

    def stat(self, key: str) -> StoredObject | None:
        etag = self.etags.get(key)
        return StoredObject(etag, 1, LANDED_AT) if etag else None


class OnlySettings:
    """What the sensors ask of the clients: nothing but their settings."""

    settings = SETTINGS


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
    outcomes: list[tuple[Claim, LoadedFile | None]] = field(default_factory=list)
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
        self.started = self.sent = 0

    @contextmanager
    def until(self, death: CrashPoint | None, *runs: Run) -> Iterator[None]:
        """Let the body's process die at one of its writes, and its runs with it."""
        self.table.crash = death
        try:
            yield
        except CrashError:
            self.runs = [run for run in self.runs if run not in runs]
        finally:
            self.table.crash = None

    def upload(self, key: str, etag: str) -> None:
        self.bucket.etags[key] = etag
        self._notify(EventKind.CREATED, key, etag)

    def delete(self, key: str) -> None:
        del self.bucket.etags[key]
        self._notify(EventKind.REMOVED, key, "")

    def _notify(self, kind: EventKind, key: str, etag: str) -> None:
        self.sent += 1
        event = ObjectEvent(kind, BUCKET, key, etag, 1, LANDED_AT)
        self.messages.append(Message(f"receipt-{self.sent}", (event,)))

    def settle(self, messages: Sequence[Message]) -> None:
        landing.settle(self.landfall, messages)

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

    def read(self, run: Run) -> None:
        """Download and parse; ``None`` where the object is not the registered one, or corrupt."""
        for claim in run.claims:
            same = self.bucket.etags.get(claim.head.key) == claim.head.etag
            good = claim.head.etag != "bad"
            self.read_as[claim.head.file_id, claim.head.epoch] = claim.head.etag
            run.outcomes.append((claim, _loaded(claim.head) if same and good else None))
        run.claims = []

    def finish(self, run: Run) -> None:
        """What bronze does with what it read."""
        outcomes, run.outcomes = run.outcomes, []
        for claim, outcome in outcomes:
            if outcome is None:
                self._fail(claim, run)
        loaded = [(claim, outcome) for claim, outcome in outcomes if outcome is not None]
        self.ledger.files.finish(loaded, run.run_id)
        if run.request.run.kind is RequestKind.INGEST:
            self.ledger.requests.drop_files(run.request, run.run_id)

    def _fail(self, claim: Claim, run: Run) -> None:
        now = current(self.landfall, dataset(DATASET), claim.head.key)
        if now is None:
            self.ledger.files.gone(claim.head.file_id)
        elif now.etag != claim.head.etag:
            self.ledger.files.overwritten(claim.head, now)
        else:
            self.ledger.files.fail(claim, corrupt(), run.run_id)

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
