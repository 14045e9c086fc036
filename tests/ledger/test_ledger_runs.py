"""Heartbeats of runs: counted, and judged by the observer's own clock alone."""

import json
import time
from datetime import timedelta

from ledger_scenario import RUN, LedgerParts

from resources.ledger.runs import Observer
from resources.settings import Settings

LEASE = 60.0


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_a_heartbeat_counts_up_and_ends_with_its_run(ledger: LedgerParts) -> None:
    assert ledger.runs.last_beat(RUN) == 0
    assert [ledger.runs.beat(RUN) for _ in range(3)] == [1, 2, 3]
    assert ledger.runs.last_beat(RUN) == 3

    ledger.runs.end(RUN)

    assert ledger.runs.last_beat(RUN) == 0


def test_a_heartbeat_that_nobody_ends_expires_by_itself(ledger: LedgerParts) -> None:
    ledger.runs.beat(RUN)

    item = ledger.table.get(f"run#{RUN}", "head")

    assert item is not None
    week = timedelta(days=7).total_seconds()
    assert abs(int(str(item["expires_at"])) - time.time() - week) < 600


def test_a_working_run_keeps_beating_and_stops_with_its_work(ledger: LedgerParts) -> None:
    quick = Settings.model_construct(**{**ledger.settings.model_dump(), "lease_seconds": 0.2})
    beating = LedgerParts(ledger.table, quick).runs

    beating.start_beating(RUN)
    beating.start_beating(RUN)
    deadline = time.monotonic() + 20
    while beating.last_beat(RUN) < 3:
        assert time.monotonic() < deadline, "the heart stands still"

    beating.stop_beating(RUN)
    assert beating._beating == {}
    beating.stop_beating(RUN)


def test_a_run_is_dead_when_its_beat_stood_for_a_whole_lease_of_the_observers_clock() -> None:
    clock = Clock()
    observer = Observer(clock)

    assert not observer.is_standing(RUN, 7, LEASE)
    clock.now = LEASE - 0.001
    assert not observer.is_standing(RUN, 7, LEASE)
    clock.now = LEASE
    assert observer.is_standing(RUN, 7, LEASE)


def test_a_beat_starts_the_lease_anew() -> None:
    clock = Clock()
    observer = Observer(clock)
    observer.is_standing(RUN, 7, LEASE)
    clock.now = LEASE - 1
    assert not observer.is_standing(RUN, 8, LEASE)

    clock.now = 2 * LEASE - 2
    assert not observer.is_standing(RUN, 8, LEASE)
    clock.now = 2 * LEASE - 1
    assert observer.is_standing(RUN, 8, LEASE)


def test_clocks_that_differ_by_years_judge_alike() -> None:
    for start in (0.0, 1e9, -1e9):
        clock = Clock(start)
        observer = Observer(clock)
        observer.is_standing(RUN, 1, LEASE)
        clock.now += LEASE
        assert observer.is_standing(RUN, 1, LEASE)


def test_an_observer_that_was_away_takes_nobody_for_dead_at_first_sight() -> None:
    assert not Observer(Clock(1e9)).is_standing(RUN, 1, LEASE)


def test_an_observer_remembers_through_a_cursor_what_it_saw() -> None:
    clock = Clock(5.0)
    before = Observer(clock)
    before.is_standing(RUN, 3, LEASE)
    after = Observer(clock)

    after.load(json.loads(json.dumps(before.dump())))

    clock.now += LEASE
    assert after.is_standing(RUN, 3, LEASE)


def test_an_observer_forgets_runs_that_hold_nothing() -> None:
    observer = Observer(Clock())
    observer.is_standing(RUN, 1, LEASE)
    observer.is_standing("other", 1, LEASE)

    observer.forget_others({RUN})

    assert list(observer.dump()) == [RUN]
