"""The run launcher that the project's instance file names."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterLaunchFailedError
from dagster._core.launcher import LaunchRunContext, RunLauncher
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from resources.run_launcher.project import Project
from resources.run_launcher.server_address import RunServerError, RunServerSilentError
from resources.run_launcher.server_client import fork_run, start_server
from resources.run_launcher.worker import TAG, Worker, spawn

FIRST_ARGUMENT = "api"
"""Of what Dagster's command line is given to execute a run."""


class ForkingRunLauncher(RunLauncher[dg.DagsterInstance], ConfigurableClass):
    """Gives each run a process of its own, forked from one that has imported the libraries.

    A run that cannot be forked is started as a new process, with the same command, and its log
    says why. Which process a run has stands in its tags, so any process of the machine can tell
    whether it lives and stop it.
    """

    def __init__(
        self,
        inst_data: ConfigurableClassData | None = None,
        *,
        module: str | None = None,
        packages: Sequence[str] = (),
        prepare: str | None = None,
    ) -> None:
        self._inst_data = inst_data
        self._project = Project(module, tuple(packages), prepare) if module else None
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What the instance file says of it."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """What ``Project`` says; without a module, runs import the project themselves."""
        return {
            "module": dg.Field(str, is_required=False),
            "packages": dg.Field([str], is_required=False),
            "prepare": dg.Field(str, is_required=False),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "ForkingRunLauncher":
        """The launcher that a ``dagster.yaml`` describes."""
        return cls(inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Fork a process for the run, or start one.

        Raises:
            DagsterLaunchFailedError: the run does not say where its code is, or nobody knows
                whether its process was started.
        """
        run, origin = context.dagster_run, context.dagster_run.job_code_origin
        if origin is None:
            raise DagsterLaunchFailedError(  # type: ignore[no-untyped-call]
                f"run {run.run_id} does not say where its code is: launch it again."
            )
        arguments = ExecuteRunArgs(
            job_origin=origin, run_id=run.run_id, instance_ref=self._instance.get_ref()
        ).get_command_args()
        # Before that stands how the code's server was started, such as a bare `dagster`.
        command = arguments[arguments.index(FIRST_ARGUMENT) :]
        executable = origin.repository_origin.executable_path or sys.executable
        try:
            worker = self._fork(executable, command)
        except RunServerError as fault:
            message = f"The run starts in a new process instead of a forked one, since {fault}"
            self._instance.report_engine_event(message, run, cls=type(self))
            worker = Worker.of(spawn([executable, "-m", "dagster", *command]).pid)
        except RunServerSilentError as fault:
            # A second process for the same run would hold all that a first one may hold.
            raise DagsterLaunchFailedError(  # type: ignore[no-untyped-call]
                f"{fault}: what the run was to do is tried again by another run."
            ) from fault
        self._instance.add_run_tags(run.run_id, {TAG: worker.as_tag()})

    def _fork(self, executable: str, command: Sequence[str]) -> Worker:
        """Have the server do what the command line would do."""
        if Path(executable) != Path(sys.executable):
            raise RunServerError(f"its Python is {executable}, not {sys.executable}")
        return fork_run(Path(self._instance.root_directory), command, self._project)

    def start_server(self, environment: Mapping[str, str]) -> None:
        """Begin to start the run server, so that no run waits for it; it ends with this process.

        Args:
            environment: that of the runs.
        """
        start_server(Path(self._instance.root_directory), self._project, environment)

    def terminate(self, run_id: str) -> bool:
        """Tell the run's process to stop, from whichever process of the machine.

        Returns:
            Whether the run is going to end, or has: False when it was finished before, or its
            process is not of this machine.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        worker = Worker.parse(run.tags.get(TAG))
        if worker is None or not worker.is_here:
            where = "is on " + worker.host if worker else "is not known"
            message = f"The run was not told to stop: its process {where}."
            self._instance.report_engine_event(message, run, cls=type(self))
            return False
        if not worker.interrupt():
            self._instance.report_run_canceled(run, "Its process had ended before.")
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Run monitoring may ask for the process of a run."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the run's process lives; UNKNOWN is never said, for monitoring fails that run."""
        worker = Worker.parse(run.tags.get(TAG))
        if worker is None:
            # Tagged right after it was started: monitoring looked in between.
            return CheckRunHealthResult(WorkerStatus.RUNNING, "its process is not known yet")
        if not worker.is_here or worker.is_alive():
            return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=str(worker.pid))
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND,
            f"The process of the run ({worker.pid} on {worker.host}) is gone.",
            run_worker_id=str(worker.pid),
        )
