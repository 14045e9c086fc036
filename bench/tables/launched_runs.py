"""Refresh runs by Dagster's default launcher, one for each date of its arguments.

The environment names the home and the instance (``DAGSTER_HOME``). As under ``dagster dev``, a code
server stands that starts a process for each run; all are launched at once. Among the lines printed
is one of the seconds from the first launch to the last end.
"""

import sys
import time
from collections.abc import Collection

import dagster as dg
from dagster._core.remote_representation.external import RemoteRepository
from dagster._core.storage.dagster_run import RunRecord
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import ModuleTarget

from bench.stage.processes import wait_for
from bench.stage.run_phases import assert_succeeded, has_ended
from pipeline_assets.jobs import job_name
from resources.ledger.model import RequestKind

DEFINITIONS = "pipeline_assets.definitions"
REFRESH = job_name("events", RequestKind.REFRESH)
PARTITION_TAG = "dagster/partition"
SECONDS = "seconds of the runs: "
MOST_SECONDS = 1200.0


def main() -> None:
    """Launch a run for each date of the command line and wait for all.

    Raises:
        AssertionError: a run did not succeed.
    """
    target = ModuleTarget(DEFINITIONS, None, None, None)
    with (
        dg.DagsterInstance.get() as instance,
        WorkspaceProcessContext(instance, target) as process,
    ):
        workspace = process.create_request_context()
        begin = time.perf_counter()
        run_ids = [_launch(instance, workspace, day) for day in sys.argv[1:]]
        ended = _wait(instance, run_ids)
        seconds = time.perf_counter() - begin
    for record in ended:
        assert_succeeded(record)
    print(f"{SECONDS}{seconds}")


def _launch(instance: dg.DagsterInstance, workspace: WorkspaceRequestContext, day: str) -> str:
    (location,) = workspace.code_locations
    (repository,) = location.get_repositories().values()
    run = _create(instance, repository, day)
    return instance.launch_run(run.run_id, workspace).run_id


def _create(instance: dg.DagsterInstance, repository: RemoteRepository, day: str) -> dg.DagsterRun:
    """A run of one partition, as Dagster's own commands create it."""
    job = repository.get_full_job(REFRESH)
    return instance.create_run(
        job_name=REFRESH,
        run_id=None,
        run_config={},
        status=None,
        tags={PARTITION_TAG: day},
        root_run_id=None,
        parent_run_id=None,
        step_keys_to_execute=None,
        execution_plan_snapshot=None,
        job_snapshot=job.job_snapshot,
        parent_job_snapshot=job.parent_job_snapshot,
        asset_selection=None,
        asset_check_selection=None,
        resolved_op_selection=None,
        op_selection=None,
        remote_job_origin=job.get_remote_origin(),
        job_code_origin=job.get_python_origin(),
        asset_graph=repository.asset_graph,
    )


def _wait(instance: dg.DagsterInstance, run_ids: Collection[str]) -> list[RunRecord]:
    """The runs, ended.

    Raises:
        TimeoutError: they did not end.
    """
    own = dg.RunsFilter(run_ids=list(run_ids))
    wait_for(
        lambda: all(map(has_ended, instance.get_run_records(own))),
        MOST_SECONDS,
        f"{len(run_ids)} runs end",
    )
    return list(instance.get_run_records(own))


if __name__ == "__main__":
    main()
