"""What ticks do about runs that died and requests that nobody came for, over moto."""

from landing_scenario import DAY, RUN, Clock, claimed, eventually, head, loaded, put, standing, tick

from resources.landfall import Landfall
from resources.ledger.model import (
    FileState,
    RequestState,
)
from resources.ledger.runs import Observer
from sensors import landing, refresh


def test_a_dead_runs_files_are_given_back_when_its_heart_stood_for_a_lease(
    landfall: Landfall,
) -> None:
    clock = Clock()
    observer = Observer(clock)
    put(landfall)
    (request,) = tick(landfall, observer)
    claimed(landfall, request)
    lease = landfall.settings.lease_seconds

    tick(landfall, observer)
    clock.now = lease / 2
    tick(landfall, observer)
    assert standing(landfall)[0].state is RequestState.LOADING, "it may be alive"
    clock.now = lease
    tick(landfall, observer)

    assert head(landfall).state is FileState.FAILED
    assert head(landfall).error is not None
    (again,) = eventually(landfall, bool)
    assert [each.attempts for each in again.run.files] == [1]


def test_a_run_whose_heart_beats_keeps_its_files(landfall: Landfall) -> None:
    clock = Clock()
    observer = Observer(clock)
    put(landfall)
    (request,) = tick(landfall, observer)
    claimed(landfall, request)

    for _ in range(4):
        tick(landfall, observer)
        clock.now += landfall.settings.lease_seconds
        landfall.ledger.runs.beat(RUN)
    tick(landfall, observer)

    assert standing(landfall)[0].run_id == RUN
    assert head(landfall).state is FileState.LANDED


def test_a_request_that_nobody_claims_is_withdrawn_and_made_anew(landfall: Landfall) -> None:
    clock = Clock()
    observer = Observer(clock)
    put(landfall)
    (request,) = tick(landfall, observer)
    assert tick(landfall, observer) == [request]

    clock.now = landfall.settings.request_seconds
    (anew,) = tick(landfall, observer)

    assert anew.run == request.run
    assert anew.request_id != request.request_id, "Dagster drops a run key that it knows"
    assert standing(landfall) == (anew,)
    assert head(landfall).attempts == 0, "it was no attempt"


def test_an_observer_forgets_the_requests_that_have_ended(landfall: Landfall) -> None:
    observer = Observer(Clock())
    put(landfall)
    (request,) = tick(landfall, observer)
    tick(landfall, observer)
    assert list(observer.dump()) == [request.request_id]
    loaded(landfall, request)

    tick(landfall, observer)

    assert observer.dump() == {}


def test_a_request_whose_run_still_waits_in_a_queue_is_not_withdrawn(landfall: Landfall) -> None:
    clock = Clock()
    observer = Observer(clock)
    put(landfall)
    (request,) = landing.tick(landfall, observer, lambda _: True)
    landing.tick(landfall, observer, lambda _: True)

    clock.now = landfall.settings.request_seconds

    assert landing.tick(landfall, observer, lambda _: True) == [request]


def test_a_dead_refresh_counts_as_an_attempt_and_its_late_write_is_repaired(
    landfall: Landfall,
) -> None:
    clock = Clock()
    observer = Observer(clock)
    landfall.ledger.dates.raise_versions([("events", DAY)])
    (request,) = refresh.tick(landfall)
    claimed(landfall, request)
    assert landfall.ledger.dates.open("events", DAY, RUN) is not None

    tick(landfall, observer)
    clock.now = landfall.settings.lease_seconds
    tick(landfall, observer)

    assert standing(landfall) == ()
    (dirty,) = landfall.ledger.dates.dirty("events")
    assert (dirty.attempts, dirty.alone, dirty.held) == (1, True, None)
    opened = landfall.ledger.dates.open("events", DAY, "run-2")
    assert opened is not None
    assert not landfall.ledger.dates.close(opened, "run-2")
    assert [each.version for each in landfall.ledger.dates.dirty("events")] == [2]
