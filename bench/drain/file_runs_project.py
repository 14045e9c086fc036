"""A plain Dagster project, one run for each landed file: what `bench.drain.file_runs` has run.

Everything is at Dagster's defaults but for the executor, which runs the three assets in the run's
own process: with the default one each asset would be a further process. What an asset makes is
passed on by S3, so that nothing of it weighs on Dagster's storage.
"""

import io
import os
from collections.abc import Iterator

import dagster as dg
import pandas as pd

from bench.drain.handler import client, distinct, read, valid

ENDPOINT, LANDING, OUTPUT, FILES = (
    f"BENCH_{name}" for name in ("ENDPOINT", "LANDING_BUCKET", "OUTPUT_BUCKET", "FILES")
)
"""Environment variables: the local AWS, its buckets, and how many files are loaded at most."""
SENSOR_SECONDS = 5


class LandedFile(dg.Config):
    """The file of a run."""

    key: str


def output_key(layer: str, key: str) -> str:
    """Where a layer keeps what it made of a file."""
    return f"stock/{layer}/{key}.parquet"


def _get(bucket: str, key: str) -> bytes:
    return (
        client(os.environ[ENDPOINT]).get_object(Bucket=os.environ[bucket], Key=key)["Body"].read()
    )


def _put(layer: str, key: str, frame: pd.DataFrame) -> dg.MaterializeResult[None]:
    packed = io.BytesIO()
    frame.to_parquet(packed, index=False)
    client(os.environ[ENDPOINT]).put_object(
        Bucket=os.environ[OUTPUT], Key=output_key(layer, key), Body=packed.getvalue()
    )
    return dg.MaterializeResult(metadata={"file": key, "rows": len(frame)})


def _made(layer: str, key: str) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(_get(OUTPUT, output_key(layer, key))))


@dg.asset
def bronze(config: LandedFile) -> dg.MaterializeResult[None]:
    """Records as received."""
    return _put("bronze", config.key, read(config.key, _get(LANDING, config.key)))


@dg.asset(deps=[bronze])
def silver(config: LandedFile) -> dg.MaterializeResult[None]:
    """Valid distinct events."""
    return _put("silver", config.key, distinct(valid(_made("bronze", config.key))))


@dg.asset(deps=[silver])
def gold(config: LandedFile) -> dg.MaterializeResult[None]:
    """Events and users by type."""
    events = _made("silver", config.key).groupby("eventType")
    summary = events.agg(event_count=("userId", "size"), unique_users=("userId", "nunique"))
    return _put("gold", config.key, summary.reset_index())


job = dg.define_asset_job("load_file", selection=[bronze, silver, gold])


@dg.sensor(
    job=job,
    minimum_interval_seconds=SENSOR_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def landed(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest]:
    """One run for each file that is new; the cursor is the last key that was seen."""
    if context.cursor:
        return
    listed = client(os.environ[ENDPOINT]).list_objects_v2(
        Bucket=os.environ[LANDING], MaxKeys=int(os.environ[FILES])
    )
    keys = [each["Key"] for each in listed["Contents"]]
    for key in keys:
        config = {"config": {"key": key}}
        ops = {asset.key.path[-1]: config for asset in (bronze, silver, gold)}
        yield dg.RunRequest(run_key=key, run_config={"ops": ops})
    context.update_cursor(keys[-1])


defs = dg.Definitions(
    assets=[bronze, silver, gold], jobs=[job], sensors=[landed], executor=dg.in_process_executor
)
