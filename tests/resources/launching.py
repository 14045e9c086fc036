"""An instance whose runs are forked, and what a test asks of it and of its processes."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import launched_jobs
import psutil
from dagster._core.code_pointer import CodePointer, FileCodePointer, ModuleCodePointer
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher import LaunchRunContext

from resources.run_launcher.launcher import ForkingRunLauncher
from resources.run_launcher.worker import TAG, Worker

WAIT_SECONDS = 120.0
POLL_SECONDS = 0.05
JOBS = Path(launched_jobs.__file__)
LAUNCHER = {
    "module": ForkingRunLauncher.__module__,
    "class": ForkingRunLauncher.__name__,
    "config": {},
}


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS:.0f} s: {what}"
        time.sleep(POLL_SECONDS)


class Launching:
    """An instance with the launcher, and what a test asks of it."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.launcher = instance.run_launcher

    @property
    def home(self) -> Path:
        return Path(self.instance.root_directory)

    def launch(
        self, job: str, config: Mapping[str, object] | None = None, at: Path | str = JOBS
    ) -> str:
        """Create a run of a job in a file or a module and launch it, as the queue does; its id."""
        origin = dg.reconstructable(getattr(launched_jobs, f"{job}_job")).get_python_origin()
        repository = origin.repository_origin._replace(code_pointer=pointer(at, f"{job}_job"))
        run = self.instance.create_run_for_job(
            getattr(launched_jobs, f"{job}_job"),
            run_config={"ops": {job: {"config": dict(config)}}} if config else {},
            status=dg.DagsterRunStatus.STARTING,
            job_code_origin=origin._replace(repository_origin=repository),
        )
        self.launcher.launch_run(LaunchRunContext(run, None))
        return run.run_id

    def run(self, run_id: str) -> dg.DagsterRun:
        found = self.instance.get_run_by_id(run_id)
        assert found is not None
        return found

    def worker(self, run_id: str) -> Worker:
        worker = Worker.parse(self.run(run_id).tags.get(TAG))
        assert worker is not None
        return worker

    def ended(self, run_id: str) -> dg.DagsterRunStatus:
        wait_for(lambda: self.run(run_id).is_finished, f"the run ends {self.log(run_id)}")
        return self.run(run_id).status

    def log(self, run_id: str) -> str:
        return "\n".join(entry.message for entry in self.instance.all_logs(run_id))


def servers(home: Path) -> list[psutil.Process]:
    """Run servers of a home that this process started."""
    return [
        child
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE and str(home) in child.cmdline()
    ]


def forker(home: Path) -> psutil.Process:
    """The process that a home's runs are forked from."""
    (server,) = servers(home)
    (forking,) = server.children()
    return forking


def pointer(at: Path | str, name: str) -> CodePointer:
    """Where a name is: in a file, or in a module."""
    if isinstance(at, Path):
        return FileCodePointer(str(at), name, str(at.parent))
    return ModuleCodePointer(at, name, None)


@contextmanager
def open_launching(home: Path, empty: Path, **config: object) -> Iterator[Launching]:
    """An instance in a new home whose launcher is configured like this; its servers end with it."""
    shutil.copytree(empty, home)
    (home / "dagster.yaml").unlink()
    overrides = {"run_launcher": LAUNCHER | {"config": config}}
    ref = InstanceRef.from_dir(str(home), overrides=overrides)
    with dg.DagsterInstance.from_ref(ref) as instance:
        try:
            yield Launching(instance)
        finally:
            for server in servers(home):
                server.terminate()
                server.wait(WAIT_SECONDS)
