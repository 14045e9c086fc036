"""The peer that starts a run for each file: a stock Dagster instance and its daemon.

Storage, launcher, run queue and run monitoring are those of Dagster's defaults. The daemon runs
without the web server, which `dagster dev` would add to its load.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil

from bench import file_runs_project as project

INSTANCE_FILE = "telemetry:\n  enabled: false\n"
STORAGE = ("history", "schedules", "storage")
PROJECT_ROOT = Path(__file__).resolve().parents[1]
LONGEST_SECONDS = 1800.0
STOP_SECONDS = 30.0
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class FileRuns:
    """What loading files by a run each came to.

    Attributes:
        files: how many there were, a run each.
        seconds: from the launch of the first run to the end of the last.
        stored_bytes: by how much Dagster's storage grew.
    """

    files: int
    seconds: float
    stored_bytes: int


def stored_bytes(dagster_home: Path) -> int:
    """Bytes of everything that Dagster keeps in a home: runs, events, ticks, logs."""
    folders = [dagster_home / each for each in STORAGE]
    return sum(
        path.stat().st_size for each in folders for path in each.rglob("*") if path.is_file()
    )


def run_files(folder: Path, environment: Mapping[str, str], files: int) -> FileRuns:
    """Have so many landed files loaded, the first of the landing bucket.

    Args:
        folder: of the instance; is made.
        environment: the project's variables.
        files: how many.

    Raises:
        AssertionError: a run failed.
        RuntimeError: the runs did not end in time, or the daemon died.
    """
    folder.mkdir(parents=True)
    (folder / "dagster.yaml").write_text(INSTANCE_FILE, encoding="utf-8")
    settings = {**os.environ, **environment, "DAGSTER_HOME": str(folder)}
    settings |= {project.FILES: str(files)}
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        # A home with no run in it is no growth.
        instance.get_runs_count()
        instance.all_instigator_state()
        before = stored_bytes(folder)
        with _daemon(folder, settings) as daemon:
            _wait(instance, daemon, files)
        seconds = _seconds(instance)
    return FileRuns(files, seconds, stored_bytes(folder) - before)


@contextmanager
def _daemon(folder: Path, environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "dagster._daemon", "run", "-m", project.__name__]
    with (folder / "daemon.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - Dagster's own command
            command, env=dict(environment), cwd=PROJECT_ROOT, stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            _end(process.pid)
            process.wait(STOP_SECONDS)


def _end(pid: int) -> None:
    """End the daemon and what it started: its code server would outlive it for a while."""
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for each in family:
        each.terminate()
    _, alive = psutil.wait_procs(family, STOP_SECONDS)
    for each in alive:
        each.kill()


def _wait(instance: dg.DagsterInstance, daemon: "subprocess.Popen[bytes]", files: int) -> None:
    """Wait until so many runs ended, and see that they ended well."""
    deadline = time.monotonic() + LONGEST_SECONDS
    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
    while instance.get_runs_count(dg.RunsFilter(statuses=ended)) < files:
        if daemon.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the runs of the stock instance did not end, see its daemon.log")
        time.sleep(POLL_SECONDS)
    failed = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    assert failed == 0, f"{failed} runs of the stock instance failed"  # noqa: S101 - both sides' output


def _seconds(instance: dg.DagsterInstance) -> float:
    stats = [instance.get_run_stats(run.run_id) for run in instance.get_runs()]
    launched = [each.launch_time for each in stats if each.launch_time is not None]
    ended = [each.end_time for each in stats if each.end_time is not None]
    return max(ended) - min(launched)
