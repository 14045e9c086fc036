"""The sensors as Dagster runs them: a few lines around each tick."""

import json
from collections.abc import Iterator, Sequence

import dagster as dg

from pipeline_assets.dataset import fingerprint_on_disk
from pipeline_assets.errors import AwsUnreachableError
from pipeline_assets.jobs import REQUEST_TAG, AssetJob, dagster_request
from resources.landfall import Landfall
from resources.ledger.model import RunRequest
from resources.ledger.runs import Observer
from sensors import landing, refresh

TICK_SECONDS = 5
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
                landfall, observer, lambda each: is_queued(context.instance, each)
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
