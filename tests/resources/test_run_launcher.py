"""Runs in forked processes: real instances, real servers, real kills."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.errors import DagsterLaunchFailedError
from dagster._core.launcher.base import WorkerStatus
from launching import JOBS, WAIT_SECONDS, Launching, forker, open_launching, servers, wait_for

from resources.run_launcher.preload import LIBRARIES
from resources.run_launcher.server_address import RunServerError, server_address
from resources.run_launcher.server_client import start_server
from resources.run_launcher.worker import TAG, Worker, how_ended


@pytest.fixture
def launching(tmp_path: Path, empty_instance: Path) -> Iterator[Launching]:
    with open_launching(tmp_path / "home", empty_instance) as opened:
        yield opened


def test_a_run_is_a_process_forked_from_the_server(launching: Launching) -> None:
    run_id = launching.launch("succeeding")

    assert launching.ended(run_id) is dg.DagsterRunStatus.SUCCESS
    server = forker(launching.home)
    assert f"parent {server.pid}, session {os.getsid(0)}" in launching.log(run_id)
    assert launching.worker(run_id).pid not in {server.pid, os.getpid()}


def test_many_runs_share_one_server_and_each_has_a_process(launching: Launching) -> None:
    runs = [launching.launch("computing") for _ in range(6)]

    assert {launching.ended(run_id) for run_id in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert len(servers(launching.home)) == 1
    assert len({launching.worker(run_id).pid for run_id in runs}) == len(runs)


def test_the_server_has_executed_nothing_before_it_forks(launching: Launching) -> None:
    launching.ended(launching.launch("computing"))

    server = forker(launching.home)
    names = {(thread / "comm").read_text() for thread in Path(f"/proc/{server.pid}/task").iterdir()}
    assert not [name for name in names if re.match(r"polars-\d", name)]


@pytest.mark.parametrize(
    ("job", "says"),
    [
        ("killed", "signal SIGKILL before the run did"),
        ("leaving", "exit code 7 before the run did"),
    ],
)
def test_a_run_whose_process_dies_fails_at_once_and_says_how(
    launching: Launching, job: str, says: str
) -> None:
    run_id = launching.launch(job)

    assert launching.ended(run_id) is dg.DagsterRunStatus.FAILURE
    assert says in launching.log(run_id)


def test_a_run_that_fails_by_itself_is_told_of_once(launching: Launching) -> None:
    run_id = launching.launch("raising")

    assert launching.ended(run_id) is dg.DagsterRunStatus.FAILURE
    assert "before the run did" not in launching.log(run_id)


def test_a_run_is_stopped_from_another_process_than_its_launcher(
    launching: Launching, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    run_id = launching.launch("lasting", {"started": str(started)})
    wait_for(started.exists, "the run has begun")

    with dg.DagsterInstance.from_ref(launching.instance.get_ref()) as other:
        assert other.run_launcher.terminate(run_id)

    assert launching.ended(run_id) is dg.DagsterRunStatus.CANCELED
    assert not launching.launcher.terminate(run_id)


def test_a_run_that_is_stopped_before_it_has_begun_ends(launching: Launching) -> None:
    launching.ended(launching.launch("succeeding"))  # so that the server stands
    run_id = launching.launch("lasting", {"started": "/nowhere/at/all"})
    launching.launcher.terminate(run_id)

    # Dagster itself calls it a failure where it was making the run's resources.
    ended = {dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE}
    assert launching.ended(run_id) in ended, launching.log(run_id)
    assert "STEP_SUCCESS" not in launching.log(run_id)


def test_monitoring_sees_whether_the_process_of_a_run_lives(
    launching: Launching, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    run_id = launching.launch("lasting", {"started": str(started)})
    wait_for(started.exists, "the run has begun")
    living = launching.launcher.check_run_worker_health(launching.run(run_id))
    server = forker(launching.home)
    server.kill()  # so that nobody reports the run
    server.wait(WAIT_SECONDS)
    os.kill(launching.worker(run_id).pid, signal.SIGKILL)
    wait_for(lambda: not launching.worker(run_id).is_alive(), "the process is gone")
    dead = launching.launcher.check_run_worker_health(launching.run(run_id))

    assert launching.launcher.supports_check_run_worker_health
    assert (living.status, dead.status) == (WorkerStatus.RUNNING, WorkerStatus.NOT_FOUND)
    assert launching.launcher.terminate(run_id)
    assert launching.run(run_id).status is dg.DagsterRunStatus.CANCELED


def test_a_server_that_was_killed_is_replaced_and_its_runs_go_on(
    launching: Launching, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    lasting = launching.launch("lasting", {"started": str(started)})
    wait_for(started.exists, "the run has begun")
    (first,) = servers(launching.home)
    first.kill()
    first.wait(WAIT_SECONDS)
    socket_file = server_address(launching.home).socket
    wait_for(lambda: not socket_file.exists(), "what it had forked takes no more runs")

    assert launching.ended(launching.launch("succeeding")) is dg.DagsterRunStatus.SUCCESS
    (second,) = servers(launching.home)
    assert second.pid != first.pid
    assert launching.worker(lasting).is_alive()
    assert launching.launcher.terminate(lasting)
    assert launching.ended(lasting) is dg.DagsterRunStatus.CANCELED


def test_a_run_executes_the_code_as_it_is_then(launching: Launching, tmp_path: Path) -> None:
    code = tmp_path / "changing_jobs.py"
    code.write_text(JOBS.read_text())
    first = launching.launch("succeeding", at=code)
    launching.ended(first)
    code.write_text(JOBS.read_text().replace('"parent ', '"the new code, parent '))
    second = launching.launch("succeeding", at=code)
    launching.ended(second)

    assert "the new code" not in launching.log(first)
    assert "the new code" in launching.log(second)


def test_a_run_is_spawned_where_it_cannot_be_forked_and_its_log_says_why(
    launching: Launching, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A folder that others can reach is no place for the socket.
    folder = tmp_path / f"landfall-runs-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o755)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run_id = launching.launch("succeeding")

    assert launching.ended(run_id) is dg.DagsterRunStatus.SUCCESS
    assert f"new process instead of a forked one, since {folder} is not" in launching.log(run_id)
    assert f"parent {os.getpid()}" in launching.log(run_id)
    assert servers(launching.home) == []


def test_a_server_that_says_nothing_is_given_no_second_process(
    launching: Launching, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = server_address(launching.home)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(address.socket))
        silent.listen()
        monkeypatch.setattr("resources.run_launcher.server_client.ANSWER_SECONDS", 0.2)
        with pytest.raises(DagsterLaunchFailedError, match="did not answer"):
            launching.launch("succeeding")
    (run,) = launching.instance.get_runs()

    assert TAG not in run.tags
    assert "Started process" not in launching.log(run.run_id)
    address.socket.unlink()


def test_the_server_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import time; from pathlib import Path\n"
        "from resources.run_launcher.server_client import start_server\n"
        f"server = start_server(Path({str(tmp_path)!r})); print(server.pid, flush=True)\n"
        "time.sleep(120)\n"
    )
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", program], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        address = server_address(tmp_path)
        wait_for(address.socket.exists, "the server listens")
        parent.kill()
        parent.wait(WAIT_SECONDS)
        wait_for(lambda: not address.socket.exists(), "the server takes no more runs")
        wait_for(lambda: not server.is_running(), "the server has ended")


def test_a_second_server_of_a_home_leaves_it_to_the_first(launching: Launching) -> None:
    launching.ended(launching.launch("succeeding"))

    second = start_server(launching.home)

    assert second.wait(WAIT_SECONDS) == 0
    assert len(servers(launching.home)) == 1


def test_the_socket_is_its_owners_alone_whatever_the_length_of_the_home(tmp_path: Path) -> None:
    deep = tmp_path / ("h" * 200)
    deep.mkdir()
    address = server_address(deep)

    assert address.socket.parent.stat().st_mode & 0o077 == 0
    with socket.socket(socket.AF_UNIX) as probe, pytest.raises(FileNotFoundError):
        probe.connect(str(address.socket))  # too long a path would be an OSError
    with pytest.raises(RunServerError):
        server_address_in(tmp_path / "link", deep)


def server_address_in(link: Path, target: Path) -> None:
    """An address in a folder of temporary files whose place somebody else's link has taken."""
    link.mkdir()
    (link / f"landfall-runs-{os.getuid()}").symlink_to(target)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(link))
        server_address(target)


def test_what_dagster_is_expected_to_do(launching: Launching, tmp_path: Path) -> None:
    """What the launcher rests on inside Dagster.

    When an upgrade breaks this: `run_server._execute` runs Dagster's command line in a forked
    child, with what `ExecuteRunArgs.get_command_args` gives (dagster._grpc.types; the launcher for
    ECS uses it too). Look there for what a launched process is to be given now, and list what
    a run imports (below) in `preload.LIBRARIES`.
    """
    told = tmp_path / "imported"
    run_id = launching.launch("telling", {"imported": str(told)})

    assert launching.ended(run_id) is dg.DagsterRunStatus.SUCCESS
    program = (
        "import sys; from resources.run_launcher.preload import preload\n"
        "missing = preload()\nassert not missing, missing\nprint(*sys.modules, sep='\\n')"
    )
    known = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    late = {name for name in set(told.read_text().split()) - set(known) if "." not in name}
    own = {"launched_jobs", "__main__"}
    libraries = late - own - set(sys.stdlib_module_names)
    assert not libraries, f"a run imports these itself: {libraries}; preloaded: {LIBRARIES}"


def test_a_clock_that_is_set_anew_makes_no_process_look_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = Worker.of(os.getpid())
    began = psutil.boot_time()

    monkeypatch.setattr("psutil._psplatform.boot_time", lambda: began + 3600)

    assert worker.is_alive()


def test_a_process_of_the_same_number_is_not_the_one_that_was_meant() -> None:
    worker = Worker.of(os.getpid())

    assert not replace(worker, created=worker.created - 60).is_alive()


@pytest.mark.parametrize(
    ("code", "told"), [(3, "exit code 3"), (-9, "signal SIGKILL"), (-40, "signal 40")]
)
def test_every_exit_code_is_told_in_words(code: int, told: str) -> None:
    assert how_ended(code) == told
