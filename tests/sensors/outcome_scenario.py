"""Real runs that end badly, and Dagster's daemon that sees them."""

import json
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
from landing_scenario import DAY

from pipeline_assets.definitions import build_defs
from pipeline_assets.jobs import job_name, partition_key, run_tags
from resources.dynamodb import DynamoDBIOManager
from resources.landfall import Landfall
from resources.ledger.model import DirtyDate, RunRequest
from resources.s3_parquet import S3ParquetIOManager
from sensors.definitions import outcome_sensors

SCRIPT = Path(__file__).with_name("stuck_run.py")
ENOUGH_SECONDS = 60
EVENT = {
    "eventType": "click",
    "userId": "6f1c2a5e-3b7d-4c1a-9d55-0a7f5e1b2c3d",
    "timestamp": f"{DAY}T09:00:00Z",
}
BODY = json.dumps(EVENT).encode() + b"\n"


@dataclass
class Daemon:
    """Evaluates the outcome sensors as Dagster's daemon does, with a cursor for each."""

    landfall: Landfall
    instance: dg.DagsterInstance
    cursors: dict[str, str | None] = field(default_factory=dict)

    def evaluate(self) -> list[dg.DagsterRun]:
        """Let each sensor tick once; the runs that it dealt with, each without an error."""
        seen = []
        for sensor in outcome_sensors():
            with dg.build_sensor_context(
                instance=self.instance,
                cursor=self.cursors.get(sensor.name),
                resources={"landfall": self.landfall},
            ) as context:
                ticked = sensor.evaluate_tick(context)
            self.cursors[sensor.name] = ticked.cursor
            for reaction in ticked.dagster_run_reactions or ():
                assert reaction.error is None, reaction.error
                assert reaction.dagster_run is not None
                seen.append(reaction.dagster_run)
        return seen


@dataclass
class Stuck:
    """A run that is stuck, in a process of its own."""

    run_id: str
    process: subprocess.Popen[str]

    def end(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        self.process.wait(ENOUGH_SECONDS)


def run_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run


def dirty(landfall: Landfall) -> DirtyDate:
    (found,) = landfall.ledger.dates.dirty("events")
    return found


def lease(landfall: Landfall) -> str | None:
    date = landfall.ledger.dates.head("events", DAY)
    assert date is not None
    return date.lease_run


def execute(
    landfall: Landfall,
    instance: dg.DagsterInstance,
    request: RunRequest,
    lake: object | None = None,
) -> dg.ExecuteInProcessResult:
    """Run a request here, to its end, over a lake that may be out of order."""
    definitions = build_defs(
        {
            "landfall": landfall,
            "lake": lake or S3ParquetIOManager(lambda: landfall.lake),
            "serving": DynamoDBIOManager(lambda: landfall.serving),
        }
    )
    return definitions.resolve_job_def(job_name("events", request.run.kind)).execute_in_process(
        instance=instance,
        partition_key=partition_key(request),
        tags=run_tags(request),
        raise_on_error=False,
    )


class FullLake(dg.IOManager):
    """Takes nothing."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        raise OSError("no space left", context, obj)

    def load_input(self, context: dg.InputContext) -> object:
        raise NotImplementedError(context)


def fail_once() -> Callable[..., None]:
    """An unforeseen fault at the first call."""
    calls = iter([True])

    def fail(**_: object) -> None:
        if next(calls, False):
            raise ValueError("nobody foresaw this")

    return fail


@dg.io_manager
def out_of_order(_: dg.InitResourceContext) -> dg.IOManager:
    raise OSError("it does not start")
