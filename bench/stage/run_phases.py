"""When a run of Dagster was asked for, dequeued, begun and ended, by its own records."""

from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg
from dagster._core.storage.dagster_run import RunRecord

RUN_KEY_TAG = "dagster/run_key"
QUEUED, LAUNCHED = dg.DagsterEventType.RUN_ENQUEUED, dg.DagsterEventType.RUN_STARTING
ENDED = frozenset(
    {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
)


@dataclass(frozen=True)
class Phases:
    """Seconds of the epoch at which a run was enqueued, launched, began and ended."""

    queued: float
    launched: float
    began: float
    ended: float


def runs_of(instance: dg.DagsterInstance, job: str) -> list[RunRecord]:
    """Every run of a job, the oldest first."""
    return list(instance.get_run_records(dg.RunsFilter(job_name=job), ascending=True))


def has_ended(record: RunRecord) -> bool:
    """Whether nothing more comes of a run."""
    return record.dagster_run.status in ENDED and record.end_time is not None


def assert_succeeded(record: RunRecord) -> None:
    """Raise AssertionError unless the run succeeded."""
    run = record.dagster_run
    assert run.status is dg.DagsterRunStatus.SUCCESS, (run.run_id, run.status)  # noqa: S101 - as said


def phases(instance: dg.DagsterInstance, record: RunRecord) -> Phases:
    """When a run that has ended passed from one hand to the next."""
    began, ended = record.start_time, record.end_time
    assert began is not None  # noqa: S101 - it has ended
    assert ended is not None  # noqa: S101 - as above
    run_id = record.dagster_run.run_id
    return Phases(_at(instance, run_id, QUEUED), _at(instance, run_id, LAUNCHED), began, ended)


def seconds_of(instance: dg.DagsterInstance, records: Iterable[RunRecord]) -> float:
    """Seconds from the launch of the first of some runs to the end of the last; all have ended."""
    each = [phases(instance, record) for record in records]
    return max(run.ended for run in each) - min(run.launched for run in each)


def _at(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> float:
    return min(entry.timestamp for entry in instance.all_logs(run_id, of_type=kind))
