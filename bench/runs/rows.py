"""Rows of runs: how soon one begins and ends, how many a second, and what a process start costs."""

from bench.measure import Row, at_least, at_most
from bench.runs import imports, latency, run_rate

ROWS: tuple[Row, ...] = (
    Row(
        name="latency",
        ours="a landed file until its gold row and DynamoDB items stand, under `landfall dev`",
        peer="a stock `dagster dev`, a polled file until its no-op run has succeeded",
        unit="s",
        bound=at_least(2),
        measure=latency.measure,
    ),
    Row(
        name="run-rate",
        ours="queued ingest runs of one small file each, under `landfall dev`",
        peer="the same with Dagster's default launcher and four threads that dequeue",
        unit="s a run",
        bound=at_least(3),
        measure=run_rate.measure,
    ),
    Row(
        name="start",
        ours="import of `pipeline_assets.definitions` in a fresh interpreter",
        peer="import of dagster, polars and boto3 there",
        unit="s",
        bound=at_most(1.3),
        measure=imports.measure,
    ),
)
