"""``run-rate``: small ingest runs a second, against Dagster's default launcher."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.storage.dagster_run import RunRecord
from dagster_shared.yaml_utils import safe_load_yaml

from bench.measure import Bench, Measured, Turn
from bench.runs.dev import bytecode, dagster_dev, landfall_dev, ticking
from bench.stage import single_files
from bench.stage.home import Home, open_home
from bench.stage.processes import wait_for
from bench.stage.run_phases import assert_succeeded, has_ended, phases, runs_of, seconds_of
from pipeline_assets.jobs import job_name
from resources.dagster_instance import INSTANCE_FILE, PROJECT, instance_home
from resources.ledger.model import RequestKind

RUN_SECONDS = 60.0
INGEST = job_name("events", RequestKind.INGEST)
DEQUEUING = {"dequeue_use_threads": True, "dequeue_num_workers": 4}
ONE_EACH = {"LANDFALL_MAX_FILES_PER_RUN": "1"}


@dataclass(frozen=True)
class Rate:
    """Seconds for each run.

    Attributes:
        per_run: from the launch of the first to the end of the last, by the number of runs.
        per_begun_run: the same from the moment at which the first one's process had begun.
        queueing: from the first run request to the last, within that time or before it.
    """

    per_run: float
    per_begun_run: float
    queueing: float


def measure(bench: Bench) -> Measured:
    """Ours and the peer's in turns; every file lies there before the sensor's first tick."""
    sizes = bench.sizes
    rates = []
    for turn in range(sizes.long_turns):
        folder = bench.folder / f"run-rate-{turn}"
        folder.mkdir()
        settings = ONE_EACH | bytecode(bench.folder)
        ours = _rate(folder / "ours", sizes.rate_runs, settings, stock=False)
        rates.append((ours, _rate(folder / "stock", sizes.rate_peer_runs, settings, stock=True)))
    ours, peer = rates[-1]
    return Measured(
        turns=tuple(Turn(each.per_begun_run, other.per_begun_run) for each, other in rates),
        sizes={"runs": sizes.rate_runs, "runs of the peer": sizes.rate_peer_runs},
        facts={
            "our runs a second": 1 / ours.per_begun_run,
            "the peer's runs a second": 1 / peer.per_begun_run,
            "ours from the launch of the first, s a run": ours.per_run,
            "the peer's from there, s a run": peer.per_run,
            "all of ours were queued after s": ours.queueing,
            "all of the peer's were queued after s": peer.queueing,
        },
    )


def _rate(folder: Path, runs: int, settings: Mapping[str, str], *, stock: bool) -> Rate:
    """Run the files of so many dates, one run each, and prove what came of them."""
    days = single_files.dates(runs)
    with open_home(folder, settings=settings) as home:
        landfall = home.landfall()
        single_files.put_all(landfall, days)
        with _default_launcher(home) if stock else landfall_dev(home) as instance:
            wait_for(lambda: _all_ended(instance, runs), RUN_SECONDS * runs, f"{runs} runs end")
            records = list(instance.get_run_records())
            rate = _rate_of(instance, records)
        single_files.assert_served(landfall, days)
    for record in records:
        assert_succeeded(record)
        assert record.dagster_run.job_name == INGEST, record.dagster_run.job_name  # noqa: S101
    assert len(records) == runs, len(records)  # noqa: S101 - one run for each file
    return rate


def _all_ended(instance: dg.DagsterInstance, runs: int) -> bool:
    return sum(has_ended(each) for each in runs_of(instance, INGEST)) >= runs


def _rate_of(instance: dg.DagsterInstance, records: Sequence[RunRecord]) -> Rate:
    each = [phases(instance, record) for record in records]
    end = max(run.ended for run in each)
    return Rate(
        per_run=seconds_of(instance, records) / len(each),
        per_begun_run=(end - min(run.began for run in each)) / len(each),
        queueing=max(run.queued for run in each) - min(run.queued for run in each),
    )


@contextmanager
def _default_launcher(home: Home) -> Iterator[dg.DagsterInstance]:
    """What ``landfall dev`` starts, with Dagster's own launcher and dequeuing by threads."""
    folder = instance_home(home.settings)
    written = folder / INSTANCE_FILE
    instance_file = safe_load_yaml(written.read_text("utf-8"))
    instance_file.pop("run_launcher", None)
    instance_file["run_queue"] |= DEQUEUING
    written.write_text(json.dumps(instance_file), "utf-8")
    workspace = str(PROJECT / "workspace.yaml")
    server = dagster_dev(folder, "-w", workspace, environment=home.environment)
    with (
        dg.DagsterInstance.from_config(str(folder)) as instance,
        ticking(server, instance, sensor="landing"),
    ):
        yield instance
