"""Any interleaving of landings, ticks, runs, deaths and refreshes accounts for every file.

The ledger is the real one, over the table in memory that ``test_ledger_memory`` holds to DynamoDB.
Processes die before or after any single write, runs that are taken for dead may go on working, and
notifications come in any order and more than once.
"""

import itertools

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from ledger_crashes import CrashPoint
from ledger_pipeline import BUCKET, CONTENTS, DAYS, KEYS, LEASE, SETTINGS, Pipeline, Run, etag_of
from ledger_scenario import DATASET

from resources.ledger.model import UNFINISHED, FileHead, FileState, file_id

IDLE_ROUNDS = 60
"""More than any backlog of these few files takes, its waits for dead runs included."""

picks = st.integers(0, 99)
"""Which of the things there are: taken modulo their number."""


def dies(within: int) -> st.SearchStrategy[CrashPoint | None]:
    """At which write a process dies, more often than not at one."""
    points = st.builds(CrashPoint, call=st.integers(1, within), takes_effect=st.booleans())
    return st.one_of(points, points, st.none())


class Interleaving(RuleBasedStateMachine):
    """Steps in any order; what must always be true; and what must be true in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.pipeline = Pipeline()
        self.ledger = self.pipeline.ledger

    def _run(self, pick: int) -> Run:
        return self.pipeline.runs[pick % len(self.pipeline.runs)]

    @rule(key=st.sampled_from(KEYS), etag=st.sampled_from(sorted(CONTENTS)))
    def upload(self, key: str, etag: str) -> None:
        self.pipeline.upload(key, etag)

    @rule(key=st.sampled_from(KEYS))
    def delete(self, key: str) -> None:
        if key in self.pipeline.bucket.etags:
            self.pipeline.delete(key)

    @precondition(lambda self: self.pipeline.messages)
    @rule(some=st.lists(picks, min_size=1, max_size=3), death=dies(8), again=st.booleans())
    def deliver(self, some: list[int], death: CrashPoint | None, *, again: bool) -> None:
        messages = self.pipeline.messages
        delivered = [messages[pick % len(messages)] for pick in some]
        with self.pipeline.until(death):
            self.pipeline.settle(delivered)
            if not again:
                self.pipeline.messages = [each for each in messages if each not in delivered]

    @rule(death=dies(40))
    def work(self, death: CrashPoint | None) -> None:
        before = list(self.pipeline.runs)
        with self.pipeline.until(death):
            self.pipeline.work()
        if death is not None and death.crashed:
            self.pipeline.runs = before

    @rule(death=dies(8))
    def tick(self, death: CrashPoint | None) -> None:
        with self.pipeline.until(death):
            self.pipeline.tick()

    @precondition(lambda self: self.pipeline.standing())
    @rule(pick=picks, death=dies(4))
    def claim(self, pick: int, death: CrashPoint | None) -> None:
        standing = self.pipeline.standing()
        run = self.pipeline.new_run(standing[pick % len(standing)])
        with self.pipeline.until(death, run):
            self.pipeline.claim(run)
            self.pipeline.read(run)

    @precondition(lambda self: self.pipeline.runs)
    @rule(pick=picks, death=dies(12))
    def finish(self, pick: int, death: CrashPoint | None) -> None:
        run = self._run(pick)
        with self.pipeline.until(death, run):
            self.pipeline.finish(run)

    @precondition(lambda self: self.pipeline.runs)
    @rule(pick=picks, death=dies(4))
    def open(self, pick: int, death: CrashPoint | None) -> None:
        run = self._run(pick)
        with self.pipeline.until(death, run):
            self.pipeline.open(run)

    @precondition(lambda self: self.pipeline.runs)
    @rule(pick=picks)
    def replace(self, pick: int) -> None:
        self.pipeline.replace(self._run(pick))

    @precondition(lambda self: self.pipeline.runs)
    @rule(pick=picks, death=dies(8), refused=st.booleans())
    def end(self, pick: int, death: CrashPoint | None, *, refused: bool) -> None:
        run = self._run(pick)
        with self.pipeline.until(death, run):
            self.pipeline.replace(run)
            self.pipeline.end(run, refused=refused)

    @precondition(lambda self: self.pipeline.runs)
    @rule(pick=picks)
    def beat(self, pick: int) -> None:
        self.ledger.runs.beat(self._run(pick).run_id)

    @rule()
    def a_lease_passes(self) -> None:
        self.pipeline.now += LEASE

    @rule(death=dies(4))
    def replay(self, death: CrashPoint | None) -> None:
        ended = self._in(FileState.DEAD) or self._in(FileState.LOADED)[:1]
        with self.pipeline.until(death):
            self.ledger.files.put_back(ended, "replayed")

    def _in(self, *states: FileState) -> list[FileHead]:
        return [head for head in self.ledger.files.all() if head.state in states]

    @invariant()
    def an_entry_counts_if_and_only_if_its_file_was_loaded_with_its_epoch(self) -> None:
        loaded = [
            (head, self.pipeline.read_as[head.file_id, head.loaded_epoch])
            for head in self.ledger.files.all()
            if head.loaded_epoch
        ]
        for day in DAYS:
            expected = {
                (head.file_id, head.loaded_epoch, etag)
                for head, etag in loaded
                if day in CONTENTS[etag]
            }
            counting = self.ledger.dates.manifest(DATASET, day)
            found = {(each.file_id, each.epoch, etag_of(each.fragment_key)) for each in counting}
            assert found == expected

    @invariant()
    def a_date_with_a_counting_change_since_its_last_clean_version_is_dirty(self) -> None:
        pending = {(each.file_id, each.epoch) for each in self.ledger.pending()}
        unsettled = [
            head
            for head in self.ledger.files.all()
            if head.loaded_epoch and (head.file_id, head.loaded_epoch) in pending
        ]
        owed = {day for head in unsettled for day in head.dates + head.former_dates}
        for day in set(DAYS) - owed - set(self.ledger.dirty()):
            assert self.pipeline.tables[day].fragments == self.pipeline.manifest_of(day)

    @invariant()
    def no_attempt_at_a_file_is_requested_twice(self) -> None:
        files = [file for request in self.pipeline.standing() for file in request.run.files]
        assert len(set(files)) == len(files)

    @invariant()
    def every_file_moves_only_along_the_arrows(self) -> None:
        for head in self.ledger.files.all():
            assert head.attempts <= SETTINGS.max_attempts
            for before, after in itertools.pairwise(head.history):
                if after.epoch != before.epoch:
                    fresh = (before.epoch + 1, FileState.LANDED, 0)
                    assert (after.epoch, after.state, after.attempt) == fresh
                    continue
                assert before.state in UNFINISHED
                assert after.state is not FileState.LANDED
                tried = after.state != FileState.GONE
                assert after.attempt == before.attempt + tried

    def teardown(self) -> None:
        """Whatever happened: the pipeline left to itself comes to rest, and at the right end."""
        self.pipeline.runs.clear()
        self._work_until_idle()
        self._assert_at_rest()
        self.ledger.files.put_back(self._in(FileState.DEAD), "replayed")
        self._work_until_idle()
        self._assert_at_rest()
        for key, etag in self.pipeline.bucket.etags.items():
            assert self._head(key).state == ("DEAD" if etag == "bad" else "LOADED")

    def _work_until_idle(self) -> None:
        for _ in range(IDLE_ROUNDS):
            self.pipeline.work()
            waiting = self.pipeline.standing(), self.ledger.pending(), self.ledger.dirty()
            if not any(waiting):
                return
            self.pipeline.now += LEASE
        raise AssertionError(f"stuck: {waiting}")

    def _assert_at_rest(self) -> None:
        assert self._in(*UNFINISHED) == []
        dead = {each.file_id for each in self.ledger.files.dead(DATASET)}
        assert dead == {head.file_id for head in self._in(FileState.DEAD)}
        for key, etag in self.pipeline.bucket.etags.items():
            head = self._head(key)
            assert head.etag == etag
            assert head.state is FileState.DEAD or head.loaded_epoch == head.epoch
        for day in DAYS:
            assert self.pipeline.tables[day].fragments == self.pipeline.manifest_of(day)
            assert not (known := self.ledger.dates.head(DATASET, day)) or not known.dirty

    def _head(self, key: str) -> FileHead:
        head = self.ledger.files.head(file_id(BUCKET, key))
        assert head is not None, f"{key} landed and nobody knows it"
        return head


TestInterleaving = Interleaving.TestCase
TestInterleaving.settings = settings(
    max_examples=200,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
