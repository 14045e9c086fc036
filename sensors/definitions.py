"""The sensors as Dagster runs them: a few lines around each tick."""

import json
from collections.abc import Iterator, Sequence

import dagster as dg

from pipeline_assets.errors import AwsUnreachableError
from pipeline_assets.fingerprint import fingerprint_on_disk
from pipeline_assets.jobs import (
    FIRST_DATE_TAG,
    LAST_DATE_TAG,
    REQUEST_TAG,
    AssetJob,
    dagster_request,
)
from pipeline_assets.landing_asset import tell
from pipeline_assets.partitions import days_between
from resources.landfall import Landfall
from resources.ledger.model import RunRequest
from resources.ledger.runs import Observer
from sensors import landing, outcome, reconcile, refresh

TICK_SECONDS = 4
"""Dagster looks every five seconds which sensors are due: one of five would miss every other look
by a hair."""
RECONCILE_TICK_SECONDS = 30
PARTITION_TAG = "dagster/partition"
INTERRUPT = "INTERRUPT"
"""Name of the source of an error that a signal raised (Dagster's ``ErrorSource``)."""
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def is_queued(instance: dg.DagsterInstance, request: RunRequest) -> bool:
    """Whether Dagster holds a run for the request that has not ended."""
    unfinished = dg.RunsFilter(tags={REQUEST_TAG: request.request_id}, statuses=UNFINISHED)
    return bool(instance.get_runs(unfinished, limit=1))


def landing_sensor(jobs: Sequence[AssetJob]) -> dg.SensorDefinition:
    """Starts a run for every landed file, or for a few that wait together."""

    @dg.sensor(
        name="landing",
        jobs=jobs,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Registers what landed and starts its runs: one per file, fewer in a backlog.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, landfall: dg.ResourceParam[Landfall]
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        observer = Observer()
        observer.load(json.loads(context.cursor or "{}"))
        try:
            waiting = landing.tick(
                landfall,
                observer,
                lambda each: is_queued(context.instance, each),
                wait_seconds=landfall.settings.landing_wait_seconds,
            )
        except AwsUnreachableError as error:
            yield dg.SkipReason(str(error))
            return
        context.update_cursor(json.dumps(observer.dump()))
        yield from map(dagster_request, waiting)
        if not waiting:
            yield dg.SkipReason("No file is due.")

    return sensor


def refresh_sensor(jobs: Sequence[AssetJob]) -> dg.SensorDefinition:
    """Starts runs for dates that files of other dates, or failures, left dirty."""

    @dg.sensor(
        name="refresh",
        jobs=jobs,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Refreshes dirty event dates, contiguous ones together.",
    )
    def sensor(landfall: dg.ResourceParam[Landfall]) -> Iterator[dg.RunRequest | dg.SkipReason]:
        try:
            waiting = refresh.tick(landfall, fingerprint_on_disk)
        except AwsUnreachableError as error:
            yield dg.SkipReason(str(error))
            return
        yield from map(dagster_request, waiting)
        if not waiting:
            yield dg.SkipReason("No date is due.")

    return sensor


def reconcile_sensor() -> dg.SensorDefinition:
    """Finds what no notification told; starts no run itself."""

    @dg.sensor(
        name="reconcile",
        minimum_interval_seconds=RECONCILE_TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Walks through the landing bucket from time to time, registers what no notification "
            "told, and evaluates the check `complete` of the landing assets."
        ),
    )
    def sensor(
        context: dg.SensorEvaluationContext, landfall: dg.ResourceParam[Landfall]
    ) -> dg.SkipReason:
        try:
            walk = reconcile.tick(landfall)
            tell(landfall, context.instance)
        except AwsUnreachableError as error:
            return dg.SkipReason(str(error))
        if walk.is_under_way:
            return dg.SkipReason(f"Walk {walk.number} of the landing bucket: behind {walk.after}.")
        return dg.SkipReason(f"Walk {walk.number} of the landing bucket is finished.")

    return sensor


def outcome_sensors() -> list[dg.SensorDefinition]:
    """Give back what runs of this project that failed or were canceled still hold."""
    return [
        _outcome_sensor("failed_runs", dg.DagsterRunStatus.FAILURE),
        _outcome_sensor("canceled_runs", dg.DagsterRunStatus.CANCELED),
    ]


def _outcome_sensor(name: str, status: dg.DagsterRunStatus) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        name=name,
        run_status=status,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Gives back the files and dates that such a run still holds.",
    )
    def sensor(
        context: dg.RunStatusSensorContext, landfall: dg.ResourceParam[Landfall]
    ) -> dg.SkipReason | None:
        run_id = context.dagster_run.run_id
        try:
            done = outcome.give_back(landfall, ended_run(context))
        except AwsUnreachableError as error:
            # Dagster shows a run to such a sensor once only, whether it fails or not.
            return dg.SkipReason(f"{error} What run {run_id} holds comes back after its lease.")
        context.log.info("Run %s: %s", run_id, done)
        return None

    return sensor


def ended_run(context: dg.RunStatusSensorContext) -> outcome.EndedRun:
    """What the outcome sensor needs to know of a run that failed or was canceled."""
    run = context.dagster_run
    first = run.tags.get(FIRST_DATE_TAG) or run.tags.get(PARTITION_TAG)
    last = run.tags.get(LAST_DATE_TAG) or first
    return outcome.EndedRun(
        run_id=run.run_id,
        request_id=run.tags.get(REQUEST_TAG),
        days=tuple(days_between(first, last)) if first and last else (),
        stopped=run.status is dg.DagsterRunStatus.CANCELED or _was_interrupted(context),
    )


def _was_interrupted(context: dg.RunStatusSensorContext) -> bool:
    """Whether a signal ended one of the run's steps: Dagster lets such a run fail."""
    steps = context.for_run_failure().get_step_failure_events()
    sources = [step.step_failure_data.error_source for step in steps]
    return any(source is not None and source.name == INTERRUPT for source in sources)
