"""What runs that ended badly give back: real runs, killed, stopped and failing, seen by Dagster."""

import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator

import dagster as dg
import pytest
from landing_scenario import DAY, KEY, eventually, head, put, standing, tick
from outcome_scenario import (
    BODY,
    ENOUGH_SECONDS,
    SCRIPT,
    Daemon,
    FullLake,
    Stuck,
    dirty,
    execute,
    fail_once,
    lease,
    out_of_order,
    run_of,
)
from stuck_run import STUCK

from pipeline_assets.environment import start
from resources.dagster_instance import open_instance
from resources.landfall import Landfall
from resources.ledger.model import (
    FileState,
    PlannedRun,
    RequestKind,
    RequestState,
    RunRequest,
)
from sensors import refresh
from sensors.outcome import EndedRun, Outcome, plan

LONG = 600.0  # what comes back within a test came by the outcome sensor

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def long_leases(local_aws: object, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - first
    monkeypatch.setenv("LANDFALL_LEASE_SECONDS", str(LONG))
    monkeypatch.setenv("LANDFALL_DEAD_LETTER_QUEUE", f"letters-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def instance(landfall: Landfall) -> Iterator[dg.DagsterInstance]:
    start(landfall)
    with open_instance(landfall.settings) as opened:
        yield opened


@pytest.fixture
def daemon(landfall: Landfall, instance: dg.DagsterInstance) -> Daemon:
    made = Daemon(landfall, instance)
    assert made.evaluate() == []
    return made


@pytest.fixture
def stuck_run() -> Iterator[Callable[[str, str], Stuck]]:
    started: list[Stuck] = []

    def start(request_id: str, where: str) -> Stuck:
        run_id = str(uuid.uuid4())
        process = subprocess.Popen(  # noqa: S603  # our own script
            [sys.executable, SCRIPT, run_id, request_id, where],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started.append(Stuck(run_id, process))
        assert process.stdout is not None
        assert any(line.strip() == STUCK for line in iter(process.stdout.readline, ""))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate(timeout=ENOUGH_SECONDS)


def test_a_killed_runs_files_are_given_back_alone_with_one_attempt_counted(
    landfall: Landfall,
    instance: dg.DagsterInstance,
    daemon: Daemon,
    stuck_run: Callable[[str, str], Stuck],
) -> None:
    put(landfall, body=BODY)
    (request,) = tick(landfall)
    stuck = stuck_run(request.request_id, "loading")
    stuck.end(signal.SIGKILL)
    assert standing(landfall)[0].run_id == stuck.run_id
    instance.report_run_failed(run_of(instance, stuck.run_id))

    assert [run.run_id for run in daemon.evaluate()] == [stuck.run_id]

    given_back = head(landfall)
    assert (given_back.state, given_back.attempts, given_back.alone) == (FileState.FAILED, 1, True)
    assert given_back.error is not None
    assert given_back.error.kind == "RunDiedError"
    assert standing(landfall) == ()
    assert landfall.ledger.runs.last_beat(stuck.run_id) == 0
    (again,) = eventually(landfall, bool)
    assert [file.attempts for file in again.run.files] == [1]


def test_a_canceled_runs_files_are_given_back_and_no_attempt_is_counted(
    landfall: Landfall,
    instance: dg.DagsterInstance,
    daemon: Daemon,
    stuck_run: Callable[[str, str], Stuck],
) -> None:
    put(landfall, body=BODY)
    (request,) = tick(landfall)
    stuck = stuck_run(request.request_id, "loading")
    stuck.end(signal.SIGKILL)
    instance.report_run_canceled(run_of(instance, stuck.run_id))

    assert [run.run_id for run in daemon.evaluate()] == [stuck.run_id]

    given_back = head(landfall)
    assert (given_back.attempts, given_back.alone) == (0, False)
    assert given_back.error is not None
    assert given_back.error.kind == "RunCanceledError"
    assert standing(landfall) == ()
    (again,) = eventually(landfall, bool)
    assert [file.attempts for file in again.run.files] == [0]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_a_signal_interrupts_gives_its_dates_back_and_no_attempt_is_counted(
    landfall: Landfall,
    daemon: Daemon,
    stuck_run: Callable[[str, str], Stuck],
    how: signal.Signals,
) -> None:
    put(landfall, body=BODY)
    (request,) = tick(landfall)
    stuck = stuck_run(request.request_id, "writing")
    assert lease(landfall) == stuck.run_id

    stuck.end(how)
    assert [run.run_id for run in daemon.evaluate()] == [stuck.run_id]

    assert (lease(landfall), standing(landfall)) == (None, ())
    assert head(landfall).state is FileState.LOADED
    assert (dirty(landfall).attempts, dirty(landfall).held) == (0, None)


def test_a_killed_run_by_hand_gives_its_leases_back_and_its_late_write_is_repaired(
    landfall: Landfall,
    instance: dg.DagsterInstance,
    daemon: Daemon,
    stuck_run: Callable[[str, str], Stuck],
) -> None:
    put(landfall, body=BODY)
    (request,) = tick(landfall)
    assert execute(landfall, instance, request).success
    stuck = stuck_run("-", "writing")
    stuck.end(signal.SIGKILL)
    assert lease(landfall) == stuck.run_id
    instance.report_run_failed(run_of(instance, stuck.run_id))

    daemon.evaluate()

    assert lease(landfall) is None
    assert dirty(landfall).attempts == 1
    opened = landfall.ledger.dates.open("events", DAY, "later")
    assert opened is not None
    assert opened.taken_over


def test_a_failing_refresh_counts_one_attempt_not_one_each_by_hook_and_sensor(
    landfall: Landfall, instance: dg.DagsterInstance, daemon: Daemon
) -> None:
    put(landfall, body=BODY)
    (request,) = tick(landfall)

    assert not execute(landfall, instance, request, lake=FullLake()).success
    assert dirty(landfall).attempts == 1
    before = dirty(landfall)
    assert len(daemon.evaluate()) == 1

    assert dirty(landfall) == before
    assert (lease(landfall), standing(landfall)) == (None, ())


def test_a_failing_load_counts_one_attempt_not_one_each_by_hook_and_sensor(
    landfall: Landfall, instance: dg.DagsterInstance, daemon: Daemon
) -> None:
    put(landfall, body=BODY)
    (request,) = tick(landfall)
    events = landfall.aws.dynamodb.meta.events
    events.register_first("before-call.dynamodb.BatchWriteItem", fail_once(), "once")
    try:
        assert not execute(landfall, instance, request).success
    finally:
        events.unregister("before-call.dynamodb.BatchWriteItem", unique_id="once")
    failed = head(landfall)
    assert (failed.state, failed.attempts) == (FileState.FAILED, 1)

    assert len(daemon.evaluate()) == 1

    assert head(landfall) == failed
    assert standing(landfall) == ()


def test_a_request_whose_run_never_began_is_withdrawn_and_planned_again_after_a_wait(
    landfall: Landfall, instance: dg.DagsterInstance, daemon: Daemon
) -> None:
    put(landfall, body=BODY)
    (request,) = tick(landfall)
    assert not execute(landfall, instance, request, lake=out_of_order).success
    assert standing(landfall)[0].state is RequestState.QUEUED
    daemon.evaluate()

    assert standing(landfall) == ()
    waiting = head(landfall)
    assert (waiting.state, waiting.attempts, waiting.alone) == (FileState.FAILED, 0, False)
    assert waiting.error is not None
    assert waiting.error.kind == "RunNotStartedError"
    assert waiting.due_at > waiting.error.at
    (again,) = eventually(landfall, bool)
    assert again.request_id != request.request_id
    assert execute(landfall, instance, again).success
    assert head(landfall).state is FileState.LOADED


def test_dates_whose_refresh_never_began_wait_before_they_are_requested_again(
    landfall: Landfall,
    instance: dg.DagsterInstance,
    daemon: Daemon,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LANDFALL_BACKOFF_SECONDS", str(LONG))
    patient = Landfall()
    landfall.ledger.dates.raise_versions([("events", DAY)])
    (request,) = refresh.tick(landfall)
    assert not execute(landfall, instance, request, lake=out_of_order).success
    daemon.landfall = patient

    daemon.evaluate()

    assert standing(landfall) == ()
    assert (dirty(landfall).attempts, dirty(landfall).alone) == (0, False)
    assert refresh.tick(landfall) == []


def test_a_run_that_succeeded_is_left_alone(
    landfall: Landfall, instance: dg.DagsterInstance, daemon: Daemon
) -> None:
    put(landfall, body=BODY)
    (request,) = tick(landfall)
    assert execute(landfall, instance, request).success

    assert daemon.evaluate() == []


def test_a_run_is_seen_once(
    landfall: Landfall, instance: dg.DagsterInstance, daemon: Daemon
) -> None:
    put(landfall, KEY, BODY)
    (request,) = tick(landfall)
    execute(landfall, instance, request, lake=out_of_order)

    assert [len(daemon.evaluate()) for _ in range(2)] == [1, 0]


def standing_request(
    request_id: str, run_id: str | None = None, state: RequestState = RequestState.LOADING
) -> RunRequest:
    run = PlannedRun("events", RequestKind.INGEST, DAY, DAY)
    return RunRequest(request_id, run, state, run_id)


def test_only_what_was_the_runs_is_given_back() -> None:
    mine = standing_request("mine", "run")
    by_hand = standing_request("by-hand", "run")
    not_begun = standing_request("asked", None, RequestState.QUEUED)
    anothers = standing_request("asked-too", "another")
    waits = standing_request("waits", None, RequestState.QUEUED)
    ended = EndedRun("run", "asked", (DAY,), stopped=False)

    assert plan(ended, [mine, by_hand, not_begun, anothers, waits]) == Outcome(
        claimed=(mine, by_hand), not_begun=(not_begun,)
    )


def test_a_request_that_another_run_took_up_stays_with_it() -> None:
    anothers = standing_request("asked", "another")
    ended = EndedRun("run", "asked", (DAY,), stopped=False)

    assert plan(ended, [anothers]) == Outcome((), ())
