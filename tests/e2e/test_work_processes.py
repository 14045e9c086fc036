"""Runs of `landfall work` side by side: each in its own process, whoever of them dies."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest
from scenario import DAYS, LANDFALL, Pipeline, command, events, json_lines, open_pipeline

ROWS = 20_000
SECONDS = 60.0
ABORTED = 1
DATES = DAYS[:3]

pytestmark = pytest.mark.usefixtures("local_aws")


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    monkeypatch.setenv("LANDFALL_WORK_RUNS", "2")
    with open_pipeline() as opened:
        for day in DATES:
            opened.land(f"events/dt={day}/a.jsonl", json_lines(events(day, range(ROWS))))
        yield opened


@pytest.fixture
def worker(pipeline: Pipeline) -> Iterator[psutil.Process]:
    """`landfall work` with two runs that have begun and not ended."""
    command = [str(LANDFALL), "work", "--until-idle"]
    process = subprocess.Popen(command, start_new_session=True)  # noqa: S603 - our own command
    try:
        await_until(lambda: sum(bool(pids_of(pipeline, run)) for run in under_way(pipeline)) == 2)
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def await_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.01)


def under_way(pipeline: Pipeline) -> list[dg.DagsterRun]:
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    return list(pipeline.instance.get_runs(started))


def pids_of(pipeline: Pipeline, run: dg.DagsterRun) -> set[int]:
    """The process that a run's log names; none before it has begun its first step."""
    logged = pipeline.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    facts = [entry.get_dagster_event().engine_event_data.metadata for entry in logged]
    return {int(str(each["pid"].value)) for each in facts if "pid" in each}


def process_of(pipeline: Pipeline, run: dg.DagsterRun) -> int:
    (pid,) = pids_of(pipeline, run)
    return pid


def assert_complete(pipeline: Pipeline) -> None:
    """Every row is in silver, once."""
    assert {day: len(pipeline.silver(day)) for day in DATES} == dict.fromkeys(DATES, ROWS)
    assert not pipeline.dirty()


def test_every_run_has_a_process_and_the_tables_are_complete(pipeline: Pipeline) -> None:
    ended = command("work", "--until-idle")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "3 runs" in ended.stdout
    pids = {process_of(pipeline, run) for run in pipeline.runs()}
    assert len(pids) == len(DATES)
    assert {run.status for run in pipeline.runs()} == {dg.DagsterRunStatus.SUCCESS}
    assert_complete(pipeline)


def test_where_no_process_starts_the_runs_are_executed_one_after_the_other(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("longer than the path of a socket may be " * 3)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))

    ended = command("work", "--until-idle")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = "is executed in this process, since none starts: AF_UNIX path too long"
    assert ended.stderr.count(told) == len(DATES)
    assert_complete(pipeline)


def test_a_run_whose_process_is_killed_fails_and_the_others_go_on(
    pipeline: Pipeline, worker: psutil.Process
) -> None:
    killed = under_way(pipeline)[0]
    os.kill(process_of(pipeline, killed), signal.SIGKILL)
    worker.wait(SECONDS)

    failed = pipeline.runs()
    by_status = {run.run_id: run.status for run in failed}
    assert by_status.pop(killed.run_id) is dg.DagsterRunStatus.FAILURE
    assert set(by_status.values()) == {dg.DagsterRunStatus.SUCCESS}
    messages = [entry.message for entry in pipeline.instance.all_logs(killed.run_id)]
    assert any("ended with signal SIGKILL" in message for message in messages)
    assert_complete(pipeline)


def test_when_the_worker_is_killed_no_run_goes_on(
    pipeline: Pipeline, worker: psutil.Process
) -> None:
    runs = [psutil.Process(process_of(pipeline, run)) for run in under_way(pipeline)]
    worker.kill()

    _, alive = psutil.wait_procs(runs, SECONDS)
    assert not alive
    assert not under_way(pipeline)
    assert command("work", "--until-idle").returncode == 0
    assert_complete(pipeline)


def test_ctrl_c_stops_every_run_and_what_they_held_is_free_at_once(
    pipeline: Pipeline, worker: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.send_signal(signal.SIGINT)
    assert worker.wait(SECONDS) == ABORTED

    assert not under_way(pipeline)
    monkeypatch.setenv("LANDFALL_LEASE_SECONDS", "3600")
    assert command("work", "--until-idle", "--timeout", "60").returncode == 0
    assert_complete(pipeline)
