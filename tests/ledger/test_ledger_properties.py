"""Any interleaving of landings, ticks, runs, deaths and refreshes accounts for every file.

The ledger is the real one, over the table in memory that ``test_ledger_memory`` holds to DynamoDB.
Processes die before or after any single write, or another process does a whole step of its own
just then; runs that are taken for dead may go on working, and notifications come in any order,
more than once, or never.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import time_machine
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from ledger_crashes import CrashPoint
from ledger_invariants import INVARIANTS, assert_at_rest, head_of, in_state
from ledger_memory import Interruption, Meanwhile
from ledger_pipeline import Pipeline, Run
from ledger_surroundings import BUCKET, CONTENTS, FAULTS, KEYS, LEASE, UNREADABLE

from pipeline_assets.errors import OtherBytesError
from resources.ledger.model import FileHead, FileState, file_id

pytestmark = pytest.mark.timeout(600)
"""A failure is made small for up to five minutes before it is shown."""

START = datetime(2025, 3, 10, 12, tzinfo=UTC)
"""What the clock shows at first. It stands unless a step moves it: which of two files is due first
would otherwise hang on whether a millisecond passed between them, and no failure came twice."""

IDLE_ROUNDS = 60
"""More than any backlog of these few files takes, its waits for dead runs included."""

keys = st.sampled_from(KEYS)
etags = st.sampled_from(sorted(CONTENTS))
picks = st.integers(0, 99)
"""Which of the things there are: taken modulo their number."""


@dataclass(frozen=True)
class Other:
    """A step of another process, and at which write of this one it comes."""

    call: int
    takes_effect: bool
    step: str
    key: str


Cut = CrashPoint | Other | None
OTHERS = ("deliver", "list", "forget", "replay", "tick", "expire", "send", "overwrite")


def cuts(within: int) -> st.SearchStrategy[Cut]:
    """At which write a process dies, or another one does what; more often than not one."""
    calls, effects = st.integers(1, within), st.booleans()
    deaths = st.builds(CrashPoint, call=calls, takes_effect=effects)
    others = st.builds(Other, calls, effects, st.sampled_from(OTHERS), keys)
    return st.one_of(deaths, others, st.none())


class Interleaving(RuleBasedStateMachine):
    """Steps in any order; what must always be true; and what must be true in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = time_machine.travel(START, tick=False)
        self.moment = self.clock.start()
        self.pipeline = Pipeline()
        self.ledger = self.pipeline.ledger
        self.forgotten: set[str] = set()
        self.dead: set[tuple[str, int]] = set()
        self.unlisted: set[tuple[str, int]] = set()
        """Deaths whose process died before it listed them: if such a file is overwritten, replayed
        or deleted before a run comes to it, it is dead no more and no letter tells of it."""

    def _run(self, pick: int) -> Run:
        return self.pipeline.runs[pick % len(self.pipeline.runs)]

    def _doing(self, cut: Cut) -> Interruption | None:
        if not isinstance(cut, Other):
            return cut
        act = partial(self._do, cut.step, cut.key)
        return Meanwhile(self.pipeline.table, cut.call, cut.takes_effect, act)

    def _do(self, step: str, key: str) -> None:
        """A whole step of another process, which nothing interrupts."""
        pipeline = self.pipeline
        match step:
            case "deliver":
                pipeline.settle(pipeline.messages)
            case "list":
                pipeline.list_bucket()
            case "forget":
                self._forget(key, None)
            case "replay":
                self._replay([key], None)
            case "tick":
                pipeline.tick()
            case "expire":
                for request in pipeline.standing():
                    pipeline.expire(request)
            case "send":
                pipeline.send_letters()
            case "overwrite":
                self._upload(key, "B", notified=True)
                pipeline.settle(pipeline.messages)

    @rule(key=keys, etag=etags, notified=st.booleans())
    def upload(self, key: str, etag: str, *, notified: bool) -> None:
        self._upload(key, etag, notified=notified)

    def _upload(self, key: str, etag: str, *, notified: bool) -> None:
        head = self._known(key)
        if head is not None and head.etag != etag:
            self.forgotten.discard(key)
        self.pipeline.upload(key, etag, notified=notified)

    def _known(self, key: str) -> FileHead | None:
        return self.ledger.files.head(file_id(BUCKET, key))

    @rule(key=keys)
    def delete(self, key: str) -> None:
        if key in self.pipeline.bucket.etags:
            self.pipeline.delete(key)

    @precondition(lambda self: self.pipeline.messages)
    @rule(some=st.lists(picks, min_size=1, max_size=3), cut=cuts(8), again=st.booleans())
    def deliver(self, some: list[int], cut: Cut, *, again: bool) -> None:
        messages = self.pipeline.messages
        delivered = [messages[pick % len(messages)] for pick in some]
        with self.pipeline.until(self._doing(cut)):
            self.pipeline.settle(delivered)
            if not again:
                now = self.pipeline.messages
                self.pipeline.messages = [each for each in now if each not in delivered]

    @rule(cut=cuts(8))
    def list_bucket(self, cut: Cut) -> None:
        with self.pipeline.until(self._doing(cut)):
            self.pipeline.list_bucket()

    @rule(cut=cuts(40))
    def work(self, cut: Cut) -> None:
        before = list(self.pipeline.runs)
        with self.pipeline.until(self._doing(cut)):
            self.pipeline.work()
        if isinstance(cut, CrashPoint) and cut.crashed:
            self.pipeline.runs = before

    @rule(cut=cuts(8))
    def tick(self, cut: Cut) -> None:
        with self.pipeline.until(self._doing(cut)):
            self.pipeline.tick()

    @precondition(lambda self: self.pipeline.standing())
    @rule(
        pick=picks,
        cut=cuts(4),
        fault=st.sampled_from(sorted(FAULTS)),
        overwritten=st.none() | etags,
    )
    def claim(self, pick: int, cut: Cut, fault: str, overwritten: str | None) -> None:
        standing = self.pipeline.standing()
        run = self.pipeline.new_run(standing[pick % len(standing)])
        with self.pipeline.until(self._doing(cut), run):
            self.pipeline.claim(run)
            if overwritten and run.claims:
                self._upload(run.claims[0].head.key, overwritten, notified=True)
            self.pipeline.read(run, FAULTS[fault])

    @precondition(lambda self: self.pipeline.standing())
    @rule(pick=picks, cut=cuts(8))
    def expire(self, pick: int, cut: Cut) -> None:
        standing = self.pipeline.standing()
        with self.pipeline.until(self._doing(cut)):
            self.pipeline.expire(standing[pick % len(standing)])

    @precondition(lambda self: self.pipeline.runs)
    @rule(pick=picks, cut=cuts(12))
    def finish(self, pick: int, cut: Cut) -> None:
        run = self._run(pick)
        with self.pipeline.until(self._doing(cut), run):
            self.pipeline.finish(run)

    @precondition(lambda self: self.pipeline.runs)
    @rule(pick=picks, cut=cuts(4))
    def open(self, pick: int, cut: Cut) -> None:
        run = self._run(pick)
        with self.pipeline.until(self._doing(cut), run):
            self.pipeline.open(run)

    @precondition(lambda self: self.pipeline.runs)
    @rule(pick=picks)
    def replace(self, pick: int) -> None:
        self.pipeline.replace(self._run(pick))

    @precondition(lambda self: self.pipeline.runs)
    @rule(pick=picks, cut=cuts(8), refused=st.booleans())
    def end(self, pick: int, cut: Cut, *, refused: bool) -> None:
        run = self._run(pick)
        with self.pipeline.until(self._doing(cut), run):
            self.pipeline.replace(run)
            self.pipeline.end(run, refused=refused)

    @precondition(lambda self: self.pipeline.runs)
    @rule(pick=picks)
    def beat(self, pick: int) -> None:
        self.ledger.runs.beat(self._run(pick).run_id)

    @rule()
    def a_millisecond_passes(self) -> None:
        self.moment.shift(timedelta(milliseconds=1))

    @rule()
    def a_lease_passes(self) -> None:
        self.pipeline.now += LEASE

    @rule(some=st.lists(keys, min_size=1, unique=True), cut=cuts(6))
    def replay(self, some: list[str], cut: Cut) -> None:
        self._replay(some, cut)

    def _replay(self, some: list[str], cut: Cut) -> None:
        heads = [head for key in some if (head := self._known(key))]
        with self.pipeline.until(self._doing(cut)):
            self.ledger.files.put_back(heads, "replayed")
        self.forgotten -= {head.key for head in heads}

    @rule(key=keys, cut=cuts(10))
    def forget(self, key: str, cut: Cut) -> None:
        self._forget(key, cut)

    def _forget(self, key: str, cut: Cut) -> None:
        head = self._known(key)
        if head is None:
            return
        if not isinstance(cut, Other) and self.pipeline.bucket.etags.get(key) == head.etag:
            self.forgotten.add(key)
        # Other bytes may land between: then it refuses, and everything must hold all the same.
        with self.pipeline.until(self._doing(cut)), suppress(OtherBytesError):
            self.pipeline.forget(head)
        if isinstance(cut, CrashPoint) and cut.crashed:
            self.forgotten.discard(key)

    @rule(cut=cuts(3))
    def send_letters(self, cut: Cut) -> None:
        with self.pipeline.until(self._doing(cut)):
            self.pipeline.send_letters()

    @invariant()
    def everything_that_is_always_true(self) -> None:
        for holds in INVARIANTS:
            holds(self.pipeline)
        heard = self.pipeline.letters | {
            (each.file_id, each.epoch) for each in self.ledger.files.unreported()
        }
        for head in self.ledger.files.all():
            died = [each.epoch for each in head.history if each.state == FileState.DEAD]
            self.dead |= {(head.file_id, epoch) for epoch in died}
            if head.state is FileState.DEAD and (head.file_id, head.epoch) not in heard:
                self.unlisted.add((head.file_id, head.epoch))

    def teardown(self) -> None:
        try:
            self._end_rightly()
        finally:
            self.clock.stop()

    def _end_rightly(self) -> None:
        """Whatever happened: the pipeline left to itself comes to rest, and at the right end."""
        self.pipeline.runs.clear()
        self._come_to_rest()
        assert self.dead - self.unlisted <= self.pipeline.letters
        for key in self.forgotten:
            assert head_of(self.pipeline, key).state is FileState.FORGOTTEN
        self.ledger.files.put_back(in_state(self.pipeline, FileState.DEAD), "replayed")
        self._come_to_rest()
        for key, etag in self.pipeline.bucket.etags.items():
            loaded = FileState.DEAD if etag in UNREADABLE else FileState.LOADED
            assert head_of(self.pipeline, key).state in {loaded, FileState.FORGOTTEN}

    def _come_to_rest(self) -> None:
        self.pipeline.settle(self.pipeline.messages)
        self.pipeline.list_bucket(self.pipeline.unnotified)
        for _ in range(IDLE_ROUNDS):
            self.pipeline.work()
            waiting = self.pipeline.standing(), self.ledger.pending(), self.ledger.dirty()
            if not any(waiting):
                self.pipeline.send_letters()
                self.everything_that_is_always_true()
                assert_at_rest(self.pipeline)
                return
            self.pipeline.now += LEASE
        raise AssertionError(f"stuck: {waiting}")


TestInterleaving = Interleaving.TestCase
TestInterleaving.settings = settings(
    max_examples=400,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
