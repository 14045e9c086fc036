"""Any interleaving of landings, ticks, runs, deaths and refreshes ends with every file accounted for.

The ledger is the real one, over the table in memory that ``test_ledger_memory`` holds to DynamoDB;
planning and settling are the sensors' own. Processes die before or after any single write, runs
that are taken for dead may go on working, and notifications come in any order and twice.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from ledger_crashes import CrashError, CrashPoint
from ledger_memory import MemoryTable
from ledger_scenario import DATASET, LedgerParts, corrupt, fragment

from pipeline_assets.errors import DateRefusedError, LeaseLostError
from pipeline_assets.registry import dataset
from resources.landfall import Landfall
from resources.landing_zone import EventKind, LandingBucket, Message, ObjectEvent, StoredObject
from resources.ledger.dates import Refresh
from resources.ledger.files import Claim
from resources.ledger.ledger import Ledger
from resources.ledger.model import (
    FileHead,
    FileState,
    LoadedFile,
    RequestKind,
    RunRequest,
    file_id,
    utc_now,
)
from resources.ledger.runs import Observer
from resources.settings import Settings
from sensors import landing, refresh

BUCKET = "landfall-landing"
LANDED_AT = datetime(2025, 3, 10, tzinfo=UTC)
DAYS = ("2025-03-01", "2025-03-02", "2025-03-03")
KEYS = tuple(f"events/dt={day}/{name}.csv" for day in DAYS[:2] for name in "ab")
CONTENTS = {"A": (DAYS[0],), "B": (DAYS[0], DAYS[1]), "C": (DAYS[2],), "bad": ()}
"""ETags of the objects, with the event dates that their rows belong to; ``bad`` is corrupt."""
LEASE, IDLE_ROUNDS = 60.0, 60
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


@dataclass
class Table:
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
    opened: dict[str, tuple[Refresh, Table]] = field(default_factory=dict)


class Pipeline(RuleBasedStateMachine):
    """Everything around the ledger, as far as the ledger can tell."""

    def __init__(self) -> None:
        super().__init__()
        self.table = MemoryTable()
        self.ledger = LedgerParts(self.table, SETTINGS)
        self.bucket = HeldBucket()
        self.landfall = Landfall()
        parts = Ledger.__new__(Ledger)
        parts.__dict__.update(
            files=self.ledger.files,
            dates=self.ledger.dates,
            requests=self.ledger.requests,
            runs=self.ledger.runs,
        )
        self.landfall.__dict__.update(ledger=parts, bucket=self.bucket, aws=_OnlySettings())
        self.now = 0.0
        self.observer = Observer(lambda: self.now)
        self.messages: list[Message] = []
        self.runs: list[Run] = []
        self.tables: dict[str, Table] = {day: Table() for day in DAYS}
        self.spoiled: set[str] = set()
        self.started = 0

    @contextmanager
    def _until(self, death: CrashPoint | None, run: Run | None = None) -> Iterator[None]:
        """Let the body's process die at one of its writes; a run that dies is not seen again."""
        self.table.crash = death
        try:
            yield
        except CrashError:
            if run is not None:
                self.runs.remove(run)
        finally:
            self.table.crash = None

    deaths = st.none() | st.builds(
        CrashPoint, call=st.integers(1, 8), takes_effect=st.booleans()
    )

    @rule(key=st.sampled_from(KEYS), etag=st.sampled_from(sorted(CONTENTS)))
    def upload(self, key: str, etag: str) -> None:
        self.bucket.etags[key] = etag
        self._notify(EventKind.CREATED, key, etag)

    @precondition(lambda self: self.bucket.etags)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.bucket.etags)))
        del self.bucket.etags[key]
        self._notify(EventKind.REMOVED, key, "")

    def _notify(self, kind: EventKind, key: str, etag: str) -> None:
        event = ObjectEvent(kind, BUCKET, key, etag, 1, LANDED_AT)
        self.messages.append(Message(f"receipt-{len(self.messages)}", (event,)))

    @precondition(lambda self: self.messages)
    @rule(data=st.data(), again=st.booleans(), death=deaths)
    def deliver(self, data: st.DataObject, death: CrashPoint | None, *, again: bool) -> None:
        some = data.draw(st.lists(st.sampled_from(self.messages), min_size=1, max_size=4))
        with self._until(death):
            landing.settle(self.landfall, some)
            if not again:
                self.messages = [each for each in self.messages if each not in some]

    @rule(death=deaths)
    def tick(self, death: CrashPoint | None = None) -> None:
        with self._until(death):
            self._tick()

    def _tick(self) -> None:
        standing = self.ledger.requests.open(DATASET)
        landing.clear_dead(self.landfall, standing.requests, self.observer)
        standing = self.ledger.requests.open(DATASET)
        pending = self.ledger.files.pending(DATASET)
        later = utc_now() + timedelta(hours=1)
        events = dataset(DATASET)
        runs = landing.plan(events, pending, standing.requests, now=later, limits=LIMITS)
        self.ledger.requests.add(DATASET, standing.plan, runs)
        standing = self.ledger.requests.open(DATASET)
        dirty = self.ledger.dates.dirty(DATASET)
        expected = {each.file_date for each in pending}
        dates = refresh.plan(
            events, dirty, standing.requests, expected=expected, now=later, max_dates=2
        )
        self.ledger.requests.add(DATASET, standing.plan, dates)

    @precondition(lambda self: self.ledger.requests.open(DATASET).requests)
    @rule(data=st.data(), death=deaths)
    def start(self, data: st.DataObject, death: CrashPoint | None) -> None:
        request = data.draw(st.sampled_from(self.ledger.requests.open(DATASET).requests))
        self._start(request, death)

    def _start(self, request: RunRequest, death: CrashPoint | None = None) -> None:
        self.started += 1
        run = Run(f"run-{self.started}", request)
        self.runs.append(run)
        with self._until(death, run):
            self.ledger.runs.beat(run.run_id)
            claimed = self.ledger.requests.claim(DATASET, request.request_id, run.run_id)
            if claimed is None:
                self.runs.remove(run)
                return
            run.request = claimed
            run.claims = self.ledger.files.claim(claimed.run.files, DATASET)

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def beat(self, data: st.DataObject) -> None:
        self.ledger.runs.beat(data.draw(st.sampled_from(self.runs)).run_id)

    @rule()
    def lease_passes(self) -> None:
        self.now += LEASE

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        self.runs.remove(data.draw(st.sampled_from(self.runs)))

    @precondition(lambda self: any(run.claims for run in self.runs))
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        self._read(data.draw(st.sampled_from([run for run in self.runs if run.claims])))

    def _read(self, run: Run) -> None:
        """Download and parse; ``None`` where the object is not the registered one or corrupt."""
        for claim in run.claims:
            same = self.bucket.etags.get(claim.head.key) == claim.head.etag
            good = claim.head.etag != "bad"
            run.outcomes.append((claim, _loaded(claim.head) if same and good else None))
        run.claims = []

    @precondition(lambda self: any(run.outcomes for run in self.runs))
    @rule(data=st.data(), death=deaths)
    def finish(self, data: st.DataObject, death: CrashPoint | None) -> None:
        self._finish(data.draw(st.sampled_from([r for r in self.runs if r.outcomes])), death)

    def _finish(self, run: Run, death: CrashPoint | None = None) -> None:
        outcomes, run.outcomes = run.outcomes, []
        with self._until(death, run):
            for claim, outcome in outcomes:
                if outcome is None:
                    self._fail(claim, run)
            loaded = [(claim, outcome) for claim, outcome in outcomes if outcome is not None]
            self.ledger.files.finish(loaded, run.run_id)
            if run.request.run.kind is RequestKind.INGEST:
                self.ledger.requests.drop_files(run.request, run.run_id)

    def _fail(self, claim: Claim, run: Run) -> None:
        """What bronze does with a file that could not be read."""
        now = landing_now(self.landfall, claim.head.key)
        if now is None:
            self.ledger.files.gone(claim.head.file_id)
        elif now.etag != claim.head.etag:
            self.ledger.files.overwritten(claim.head, now)
        else:
            self.ledger.files.fail(claim, corrupt(), run.run_id)

    @precondition(lambda self: any(not run.claims for run in self.runs))
    @rule(data=st.data(), death=deaths)
    def open(self, data: st.DataObject, death: CrashPoint | None) -> None:
        idle = [run for run in self.runs if not run.claims and not run.outcomes]
        if idle:
            self._open(data.draw(st.sampled_from(idle)), death)

    def _open(self, run: Run, death: CrashPoint | None = None) -> None:
        """Take the leases of the run's dirty dates, those of dead runs too, and read."""
        with self._until(death, run):
            for day in sorted(set(self.ledger.dirty()) - set(run.opened)):
                if not run.request.covers(day):
                    continue
                opened = self.ledger.dates.open(DATASET, day, run.run_id) or self._take(day, run)
                if opened is not None:
                    made_of = tuple(f.fragment_key for f in self.ledger.dates.manifest(DATASET, day))
                    run.opened[day] = opened, Table(made_of, self.tables[day].replaced)

    def _take(self, day: str, run: Run) -> Refresh | None:
        head = self.ledger.dates.head(DATASET, day)
        if head is None or head.lease_run is None:
            return None
        beat = self.ledger.runs.last_beat(head.lease_run)
        if not self.observer.is_standing(head.lease_run, beat, LEASE):
            return None
        return self.ledger.dates.take_over(
            DATASET, day, run_id=run.run_id, dead_run=head.lease_run
        )

    @precondition(lambda self: any(run.opened for run in self.runs))
    @rule(data=st.data())
    def replace(self, data: st.DataObject) -> None:
        self._replace(data.draw(st.sampled_from([run for run in self.runs if run.opened])))

    def _replace(self, run: Run) -> None:
        """Replace the tables, if they are still those that were there when the date was read."""
        for day, (_, made) in run.opened.items():
            if made.replaced == self.tables[day].replaced:
                self.tables[day] = Table(made.fragments, made.replaced + 1)
                made.replaced += 1

    @precondition(lambda self: any(run.opened for run in self.runs))
    @rule(data=st.data(), death=deaths, refused=st.booleans())
    def end(self, data: st.DataObject, death: CrashPoint | None, *, refused: bool) -> None:
        run = data.draw(st.sampled_from([run for run in self.runs if run.opened]))
        self._replace(run)
        self._end(run, death, refused=refused)

    def _end(self, run: Run, death: CrashPoint | None = None, *, refused: bool = False) -> None:
        """Give every date back: as refreshed, or refused when its tables are another's."""
        with self._until(death, run):
            for day, (opened, made) in run.opened.items():
                mine = self.tables[day] == made
                if refused or not mine:
                    error = DateRefusedError(DATASET, day, "spoiled")
                    contract = "mended" if mine else "other"
                    self.ledger.dates.refuse(opened, run.run_id, error, fingerprint=contract)
                    continue
                try:
                    self.ledger.dates.close(opened, run.run_id)
                except LeaseLostError:
                    continue
            self.ledger.requests.close(DATASET, run.request.request_id, run.run_id)
            self.ledger.runs.end(run.run_id)
            self.runs.remove(run)

    @rule(death=deaths)
    def replay(self, death: CrashPoint | None) -> None:
        heads = [self.ledger.head(each.key) for each in self._dead()]
        with self._until(death):
            self.ledger.files.put_back(heads, "replayed")

    def _dead(self) -> list[FileHead]:
        return [each for each in self.ledger.files.all() if each.state is FileState.DEAD]


class _OnlySettings:
    """What the landing sensor asks of the clients: nothing but their settings."""

    settings = SETTINGS
