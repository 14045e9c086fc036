"""The sensors as Dagster runs them: a few lines around each tick."""

import json
from collections.abc import Iterator, Sequence

import dagster as dg

from pipeline_assets.jobs import AssetJob, dagster_request
from resources.landfall import Landfall
from resources.ledger.runs import Observer
from sensors import landing, refresh

TICK_SECONDS = 5


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
        waiting = landing.tick(landfall, observer)
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
        waiting = refresh.tick(landfall)
        yield from map(dagster_request, waiting)
        if not waiting:
            yield dg.SkipReason("No date is due.")

    return sensor
