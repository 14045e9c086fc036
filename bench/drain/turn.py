"""One turn of the drain: many files that landed at once become complete gold.

``landfall work`` drains them, and each peer then does its share of the same objects on the same
local AWS. A turn is measured once and shared by all the rows here.
"""

# ruff: noqa: S101 - both sides' output is asserted

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from bench.drain import file_runs_project as project
from bench.drain.drained import assert_drained
from bench.drain.file_runs import FileRuns, run_files, stored_bytes
from bench.drain.floor import Floor
from bench.drain.handler import Handler, pool
from bench.drain.samples import Plan, Sample, drain_plan, samples
from bench.measure import Bench, once, timed
from bench.stage import counted_aws
from bench.stage.counted_aws import Calls, calls
from bench.stage.home import Home, open_home
from resources.landfall import Landfall

PEERS_BUCKET = "landfall-bench-peers"
HANDLERS = 2
WARMING_FILES = 10
"""Every format is among them."""
LANDING_THREADS = 8
WORK = ("work", "--until-idle")


@dataclass(frozen=True)
class Drain:
    """One turn: ours, then each peer.

    Attributes:
        files: how many landed.
        seconds: ours, from the start of the worker to the end of its last run.
        calls: what ours asked of AWS.
        stored_bytes: what ours left in Dagster's storage.
        floor_seconds: the least that must be done.
        handler_seconds: the warm handlers.
        stock: a run for each of some files.
    """

    files: int
    seconds: float
    calls: Calls
    stored_bytes: int
    floor_seconds: float
    handler_seconds: float
    stock: FileRuns


@once
def drains(bench: Bench) -> tuple[Drain, ...]:
    """Every turn, measured when the first row asks for it."""
    return tuple(
        _drain(bench, bench.folder / f"drain-{turn}") for turn in range(bench.sizes.long_turns)
    )


def _drain(bench: Bench, folder: Path) -> Drain:
    plan = drain_plan(bench.sizes)
    with open_home(folder / "home", server=counted_aws.MODULE) as home:
        landfall = home.landfall()
        landed = land(landfall, plan)
        before = calls(home)
        seconds, _ = timed(lambda: home.command(*WORK))
        asked = calls(home).since(before)
        assert_drained(landfall, plan)
        landfall.aws.s3.create_bucket(Bucket=PEERS_BUCKET)
        return Drain(
            files=plan.files,
            seconds=seconds,
            calls=asked,
            stored_bytes=stored_bytes(home.folder / "dagster"),
            floor_seconds=_floor(landfall, landed, folder / "floor"),
            handler_seconds=_handlers(home, landfall, landed),
            stock=_stock(bench, home, landfall, landed, folder / "stock"),
        )


def land(landfall: Landfall, plan: Plan) -> list[Sample]:
    """Put the plan's files into the landing bucket; what they are, without their bytes."""

    def put(sample: Sample) -> Sample:
        landfall.aws.s3.put_object(Bucket=landfall.bucket.name, Key=sample.key, Body=sample.content)
        return replace(sample, content=b"")

    with ThreadPoolExecutor(LANDING_THREADS) as threads:
        return sorted(threads.map(put, samples(plan)), key=lambda sample: sample.key)


def _floor(landfall: Landfall, landed: Sequence[Sample], folder: Path) -> float:
    folder.mkdir()
    fragments = list(landfall.lake.etags_below("bronze/"))
    assert len(fragments) == sum(len(sample.days) for sample in landed), "fragments are missing"
    keys = [sample.key for sample in landed]
    floor = Floor(landfall.aws, keys, fragments, PEERS_BUCKET, folder)
    seconds, valid = timed(floor.run)
    assert valid == sum(sample.valid for sample in landed), f"the floor read {valid} valid rows"
    return seconds


def _handlers(home: Home, landfall: Landfall, landed: Sequence[Sample]) -> float:
    handler = Handler(home.endpoint, landfall.bucket.name, PEERS_BUCKET, "handler")
    keys = [sample.key for sample in landed]
    with pool(handler, HANDLERS, keys[:WARMING_FILES]) as workers:
        seconds, kept = timed(lambda: workers.map(handler.handle, keys, chunksize=1))
    assert kept == [sample.kept for sample in landed], "the handlers kept other rows"
    _assert_stored(landfall, landed, handler.output_key)
    return seconds


def _stock(
    bench: Bench, home: Home, landfall: Landfall, landed: Sequence[Sample], folder: Path
) -> FileRuns:
    files = min(bench.sizes.drain_peer_files, len(landed))
    environment = {
        **home.environment,
        project.ENDPOINT: home.endpoint,
        project.LANDING: landfall.bucket.name,
        project.OUTPUT: PEERS_BUCKET,
    }
    stock = run_files(folder, environment, files)
    _assert_stored(landfall, landed[:files], lambda key: project.output_key("silver", key))
    return stock


def _assert_stored(
    landfall: Landfall, landed: Sequence[Sample], output_key: Callable[[str], str]
) -> None:
    """A peer stored, for each file, as many rows as it has valid distinct ones."""

    def rows(sample: Sample) -> int:
        key = output_key(sample.key)
        body = landfall.aws.s3.get_object(Bucket=PEERS_BUCKET, Key=key)["Body"].read()
        return int(pq.read_metadata(io.BytesIO(body)).num_rows)

    with ThreadPoolExecutor(LANDING_THREADS) as threads:
        stored = list(threads.map(rows, landed))
    assert stored == [sample.kept for sample in landed], "a peer stored other rows"
