"""The peer that starts a run for each file: a stock Dagster instance and its daemon.

Storage, launcher, run queue and run monitoring are those of Dagster's defaults. The daemon runs
without the web server, which `dagster dev` would add to its load.
"""

import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from bench.drain import file_runs_project as project
from bench.stage.processes import Command, running
from bench.stage.stock_instance import write_instance

STORAGE = ("history", "schedules", "storage")
LONGEST_SECONDS = 1800.0


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
        RuntimeError: the daemon died.
        TimeoutError: the runs did not end in time.
    """
    settings = {**environment, "DAGSTER_HOME": str(write_instance(folder))}
    settings |= {project.FILES: str(files)}
    arguments = (sys.executable, "-m", "dagster._daemon", "run", "-m", project.__name__)
    daemon = Command(arguments, settings, folder / "daemon.log")
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        # A home with no run in it is no growth.
        instance.get_runs_count()
        instance.all_instigator_state()
        before = stored_bytes(folder)
        with running(
            daemon,
            ready=lambda: _ended(instance) >= files,
            seconds=LONGEST_SECONDS,
            end=signal.SIGTERM,
        ):
            _assert_succeeded(instance)
        seconds = _seconds(instance)
    return FileRuns(files, seconds, stored_bytes(folder) - before)


def _ended(instance: dg.DagsterInstance) -> int:
    """How many runs ended, well or not."""
    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
    return instance.get_runs_count(dg.RunsFilter(statuses=ended))


def _assert_succeeded(instance: dg.DagsterInstance) -> None:
    failed = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    assert failed == 0, f"{failed} runs of the stock instance failed"  # noqa: S101 - both sides' output


def _seconds(instance: dg.DagsterInstance) -> float:
    stats = [instance.get_run_stats(run.run_id) for run in instance.get_runs()]
    launched = [each.launch_time for each in stats if each.launch_time is not None]
    ended = [each.end_time for each in stats if each.end_time is not None]
    return max(ended) - min(launched)
