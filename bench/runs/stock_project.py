"""A stock Dagster project: a sensor that polls a folder, and an asset that does nothing.

Everything is at the defaults of Dagster's documentation: storage, launcher, executor, run
queue. Only the sensor's interval is named, and telemetry is off.
"""

from dataclasses import dataclass
from pathlib import Path

from bench.stage.stock_instance import write_instance

SENSOR = "inbox"
ASSET = "nothing"
DEFINITIONS = f"""import json
from pathlib import Path

import dagster as dg

INBOX = Path(__file__).with_name("inbox")
DONE = Path(__file__).with_name("done")


@dg.asset(name="{ASSET}")
def nothing(context: dg.AssetExecutionContext) -> None:
    (DONE / context.run_id).touch()


job = dg.define_asset_job("run_{ASSET}", selection=[nothing])


@dg.sensor(
    name="{SENSOR}",
    job=job,
    minimum_interval_seconds={{seconds}},
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def inbox(context: dg.SensorEvaluationContext):
    seen = set(json.loads(context.cursor or "[]"))
    found = sorted(each.name for each in INBOX.iterdir())
    for name in found:
        if name not in seen:
            yield dg.RunRequest(run_key=name)
    context.update_cursor(json.dumps(found))


defs = dg.Definitions(assets=[nothing], jobs=[job], sensors=[inbox])
"""


@dataclass(frozen=True)
class StockProject:
    """Where the project lies; a file that appears in its inbox starts a run of its name."""

    folder: Path

    @property
    def definitions(self) -> Path:
        """The file that ``dagster dev -f`` serves."""
        return self.folder / "definitions.py"

    @property
    def home(self) -> Path:
        """Folder of its instance."""
        return self.folder / "home"

    def trigger(self, name: str) -> None:
        """Let a file appear."""
        (self.folder / "inbox" / name).touch()

    def has_run(self, run_id: str) -> bool:
        """Whether the asset's function ran in a run."""
        return (self.folder / "done" / run_id).exists()


def write_project(folder: Path, *, sensor_seconds: int) -> StockProject:
    """Write the project into a folder, which is made."""
    project = StockProject(folder)
    write_instance(project.home)
    for name in ("inbox", "done"):
        (folder / name).mkdir()
    text = DEFINITIONS.replace("{seconds}", str(sensor_seconds))
    project.definitions.write_text(text, "utf-8")
    return project
