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
from dagster._core.storage.dagster_run import RunRecord

from bench.drain import file_runs_project as project
from bench.stage.processes import Command, running
from bench.stage.run_phases import assert_succeeded, has_ended, seconds_of
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
            ready=lambda: sum(map(has_ended, _records(instance))) >= files,
            seconds=LONGEST_SECONDS,
            end=signal.SIGTERM,
        ):
            records = _records(instance)
        seconds = seconds_of(instance, records)
    for record in records:
        assert_succeeded(record)
    return FileRuns(files, seconds, stored_bytes(folder) - before)


def _records(instance: dg.DagsterInstance) -> list[RunRecord]:
    return list(instance.get_run_records())
