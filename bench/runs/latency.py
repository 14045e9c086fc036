"""``latency``: from a landed file to its items, against a stock sensor that starts a no-op run."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles

import dagster as dg
from dagster._core.storage.dagster_run import RunRecord

from bench.measure import Bench, Condition, Measured, Turn, at_most
from bench.runs.dev import bytecode, dagster_dev, landfall_dev, ticking
from bench.runs.stock_project import ASSET, SENSOR, StockProject, write_project
from bench.stage import single_files
from bench.stage.home import open_home, plain_environment
from bench.stage.processes import wait_for
from bench.stage.run_phases import RUN_KEY_TAG, assert_succeeded, has_ended, phases, runs_of
from bench.stage.summary import in_gold, served_on
from pipeline_assets.jobs import job_name
from resources.landfall import Landfall
from resources.ledger.model import RequestKind
from sensors.definitions import TICK_SECONDS

SAMPLE_SECONDS = 180.0
SPREAD = 2.0
INGEST = job_name("events", RequestKind.INGEST)
PARTS = ("to run request", "in the queue", "start of the process", "the run until served")


@dataclass(frozen=True)
class Sample:
    """Seconds from a trigger until its result stood, and the parts that these are made of."""

    seconds: float
    parts: tuple[float, ...]


def measure(bench: Bench) -> Measured:
    """Ours and the peer's in turns; each side's first sample warms it up and is not counted.

    The trigger comes at the same random phases of the tick on both sides.
    """
    ours: list[Sample] = []
    turns = []
    for turn in range(bench.sizes.long_turns):
        folder = bench.folder / f"latency-{turn}"
        folder.mkdir()
        compiled = bytecode(bench.folder)
        own = _ours(folder / "ours", _rests(turn, bench.sizes.latency_files), compiled)
        peer = _stock(folder / "stock", _rests(turn, bench.sizes.latency_peer_files), compiled)
        turns.append(Turn(_median(own), _median(peer)))
        ours += own
    return _told(bench, turns, ours)


def _rests(turn: int, samples: int) -> list[float]:
    """Seconds of rest before each trigger, the warming one included; the same for fewer."""
    drawn = random.Random(turn)  # noqa: S311 - the same on both sides, no secret
    return [drawn.uniform(0, TICK_SECONDS) for _ in range(samples + 1)]


def _told(bench: Bench, turns: Sequence[Turn], ours: Sequence[Sample]) -> Measured:
    seconds = [each.seconds for each in ours]
    p95 = quantiles(seconds, n=20, method="inclusive")[-1]
    parts = zip(*(each.parts for each in ours), strict=True)
    facts: Mapping[str, float] = {
        "our p95, s": p95,
        "our longest, s": max(seconds),
        **{
            f"our median of {name}, s": median(part)
            for name, part in zip(PARTS, parts, strict=True)
        },
    }
    return Measured(
        turns=tuple(turns),
        sizes={
            "files": bench.sizes.latency_files,
            "files of the peer": bench.sizes.latency_peer_files,
            "tick s": TICK_SECONDS,
        },
        conditions=(Condition("our p95 by our median", p95 / median(seconds), at_most(SPREAD)),),
        facts=facts,
    )


def _median(samples: Sequence[Sample]) -> float:
    return median(each.seconds for each in samples)


def _ours(folder: Path, rests: Sequence[float], compiled: Mapping[str, str]) -> list[Sample]:
    with open_home(folder, settings=compiled) as home, landfall_dev(home) as instance:
        landfall = home.landfall()
        days = single_files.dates(len(rests))
        samples = [
            _sample_ours(landfall, instance, day, rest)
            for day, rest in zip(days, rests, strict=True)
        ]
        single_files.assert_served(landfall, days)
        records = runs_of(instance, INGEST)
        assert len(records) == len(days), len(records)  # noqa: S101 - one file, one run
    return samples[1:]


def _sample_ours(landfall: Landfall, instance: dg.DagsterInstance, day: str, rest: float) -> Sample:
    """Land one file, wait for its gold and items, then for the end of its run."""
    time.sleep(rest)
    runs = len(runs_of(instance, INGEST))
    expected = single_files.expected(day)
    begin = time.time()
    single_files.put(landfall, day)
    wait_for(lambda: served_on(landfall, day) == expected, SAMPLE_SECONDS, day)
    assert in_gold(landfall, [day]) == expected, day  # noqa: S101 - what is measured
    end = time.time()

    def ended() -> list[RunRecord]:
        return [each for each in runs_of(instance, INGEST)[runs:] if has_ended(each)]

    return _sample(instance, ended, begin, end)


def _stock(folder: Path, rests: Sequence[float], compiled: Mapping[str, str]) -> list[Sample]:
    project = write_project(folder, sensor_seconds=TICK_SECONDS)
    environment = plain_environment() | dict(compiled)
    server = dagster_dev(project.home, "-f", str(project.definitions), environment=environment)
    with (
        dg.DagsterInstance.from_config(str(project.home)) as instance,
        ticking(server, instance, sensor=SENSOR),
    ):
        samples = [
            _sample_stock(project, instance, f"file-{number}", rest)
            for number, rest in enumerate(rests)
        ]
    return samples[1:]


def _sample_stock(
    project: StockProject, instance: dg.DagsterInstance, name: str, rest: float
) -> Sample:
    """Let one file appear, and wait until its run has succeeded."""
    time.sleep(rest)

    def ended() -> list[RunRecord]:
        own = dg.RunsFilter(tags={RUN_KEY_TAG: name})
        return [each for each in instance.get_run_records(own) if has_ended(each)]

    begin = time.time()
    project.trigger(name)
    wait_for(lambda: bool(ended()), SAMPLE_SECONDS, name)
    end = time.time()
    run_id = ended()[0].dagster_run.run_id
    assert project.has_run(run_id), name  # noqa: S101 - what is measured
    made = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    assert len(made) == 1, (ASSET, name)  # noqa: S101 - what is measured
    return _sample(instance, ended, begin, end)


def _sample(
    instance: dg.DagsterInstance, ended: Callable[[], list[RunRecord]], begin: float, end: float
) -> Sample:
    """Wait until the one run has ended, and say what the time was made of."""
    wait_for(lambda: bool(ended()), SAMPLE_SECONDS, "the run ends")
    [record] = ended()
    assert_succeeded(record)
    passed = phases(instance, record)
    marks = (begin, passed.queued, passed.launched, passed.began, end)
    parts = tuple(after - before for before, after in pairwise(marks))
    return Sample(end - begin, parts)
