"""Rows of one large file, and of one large frame."""

import shutil
from typing import Final

from bench.large import duckdb_copy
from bench.large.frame import measure_frame
from bench.large.large_run import large_csv, large_run
from bench.measure import Bench, Condition, Measured, Row, Turn, at_least, at_most, timed
from bench.stage.expectation import expect

GIB: Final = 1024**3
MOST_GIB: Final = 2.0


def measure_large_file(bench: Bench) -> Measured:
    """A landed CSV until its tables are complete, against one ``COPY`` of DuckDB."""
    size = bench.sizes.large_bytes
    turns, runs = [], []
    for turn in range(bench.sizes.long_turns):
        runs.append(large_run(bench.folder, size, turn))
        turns.append(Turn(runs[-1].watched.seconds, _copy_seconds(bench, size)))
    file = large_csv(bench.folder, size)
    facts = {
        "peak GiB of our worker": max(run.watched.peak_bytes for run in runs) / GIB,
        "seconds of the local AWS to hand the object over once": runs[0].fetch_seconds,
        "seconds of the local AWS at work besides": runs[0].busy_seconds,
    }
    return Measured(tuple(turns), {"bytes": file.size, "rows": file.rows}, facts=facts)


def _copy_seconds(bench: Bench, size: int) -> float:
    file, target = large_csv(bench.folder, size), bench.folder / "copied"
    took, _ = timed(lambda: duckdb_copy.copy_events(file.path, target))
    expect("what DuckDB wrote", duckdb_copy.summary(target), file.summary)
    shutil.rmtree(target)
    return took


def measure_memory(bench: Bench) -> Measured:
    """The worker's peak over three sizes of the file: it must not follow the size."""
    sizes = bench.sizes
    each = (sizes.memory_small_bytes, sizes.large_bytes, sizes.memory_large_bytes)
    small, middle, large = (large_run(bench.folder, size, 0) for size in each)
    peaks = [run.watched.peak_bytes / GIB for run in (small, middle, large)]
    return Measured(
        (Turn(peaks[-1], peaks[0]),),
        {"smallest bytes": small.bytes, "largest bytes": large.bytes},
        (Condition("GiB at the largest size", peaks[-1], at_most(MOST_GIB)),),
        {
            f"GiB at {middle.bytes / GIB:.2f} GiB": peaks[1],
            "GiB of the largest process at the smallest size": small.watched.largest_bytes / GIB,
            "GiB of the largest process at the largest size": large.watched.largest_bytes / GIB,
            "seconds at the smallest size": small.watched.seconds,
            "seconds at the largest size": large.watched.seconds,
        },
    )


ROWS: tuple[Row, ...] = (
    Row(
        name="large-file",
        ours="one landed CSV to bronze, silver with all checks, quarantine, gold and serving",
        peer="DuckDB: parse, filter, deduplicate, Parquet in one COPY from a local file",
        unit="s",
        bound=at_most(3),
        measure=measure_large_file,
    ),
    Row(
        name="memory",
        ours="peak memory of the worker over the largest file",
        peer="the same over the smallest",
        unit="GiB",
        bound=at_most(1.3),
        measure=measure_memory,
    ),
    Row(
        name="frame",
        ours="bronze rows in memory to silver and quarantine, in Polars",
        peer="the same transform and contract in pandas and pandera.pandas",
        unit="s",
        bound=at_least(4),
        measure=measure_frame,
    ),
)
