"""The classic serverless handler: a landed file in, its valid distinct rows out as Parquet.

Got, read with pandas, held to a pandera contract, deduplicated and put: no ledger, no retries, no
account of what was dropped. ``pool`` keeps warm processes of it.
"""

import gzip
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from typing import TYPE_CHECKING

import boto3
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

if TYPE_CHECKING:
    from multiprocessing.pool import Pool
    from multiprocessing.synchronize import Barrier

    from mypy_boto3_s3 import S3Client

FIELDS = ("eventType", "userId", "timestamp", "eventId", "sessionId", "properties")
EVENT_TYPES = ("page_view", "click", "purchase", "signup")
WARM_SECONDS = 120.0
UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
CONTRACT = pa.DataFrameSchema(
    {
        "eventType": pa.Column(str, pa.Check.isin(EVENT_TYPES)),
        "userId": pa.Column(str, pa.Check.str_matches(UUID)),
        "timestamp": pa.Column(pd.DatetimeTZDtype("us", "UTC")),
        "eventId": pa.Column(str, nullable=True),
        "sessionId": pa.Column(str, nullable=True),
        "properties": pa.Column(str, nullable=True),
    },
    strict=True,
)


@dataclass(frozen=True)
class Handler:
    """Where files are taken from and where they are put."""

    endpoint: str
    landing_bucket: str
    output_bucket: str
    prefix: str

    def handle(self, key: str) -> int:
        """Do one file; the rows that were kept."""
        s3 = client(self.endpoint)
        body = s3.get_object(Bucket=self.landing_bucket, Key=key)["Body"].read()
        kept = distinct(valid(read(key, body)))
        packed = io.BytesIO()
        kept.to_parquet(packed, index=False)
        s3.put_object(Bucket=self.output_bucket, Key=self.output_key(key), Body=packed.getvalue())
        return len(kept)

    def output_key(self, key: str) -> str:
        """Where the rows of a file are put."""
        return f"{self.prefix}/{key}.parquet"


@cache
def client(endpoint: str) -> "S3Client":
    """One client for each process."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="handler",
        aws_secret_access_key="handler",  # noqa: S106 - the local AWS takes any
        region_name="us-east-1",
    )


def read(key: str, body: bytes) -> pd.DataFrame:
    """The file's records as text, the time as a time; what cannot be parsed is left out."""
    if key.endswith(".parquet"):
        frame = pd.read_parquet(io.BytesIO(body))
    elif ".csv" in key:
        frame = pd.read_csv(io.BytesIO(_plain(key, body)), dtype=str, on_bad_lines="skip")
    else:
        lines = _plain(key, body).splitlines()
        frame = pd.DataFrame.from_records(list(_objects(lines)), columns=list(FIELDS))
        frame["properties"] = frame["properties"].map(json.dumps)
    frame["timestamp"] = pd.to_datetime(
        frame["timestamp"], utc=True, format="ISO8601", errors="coerce"
    ).astype(pd.DatetimeTZDtype("us", "UTC"))
    return frame


def _plain(key: str, body: bytes) -> bytes:
    return gzip.decompress(body) if key.endswith(".gz") else body


def _objects(lines: Sequence[bytes]) -> Iterator[dict[str, object]]:
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue


def valid(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that keep the contract."""
    try:
        return CONTRACT.validate(frame, lazy=True)
    except SchemaErrors as broken:
        rows = broken.failure_cases["index"].dropna().unique()
        return CONTRACT.validate(frame.drop(index=rows), lazy=True)


def distinct(frame: pd.DataFrame) -> pd.DataFrame:
    """The first of rows that have one event id, or one everything else."""
    named = frame["eventId"].notna()
    others = [name for name in FIELDS if name != "eventId"]
    repeated = (named & frame.duplicated("eventId")) | (~named & frame.duplicated(others))
    return frame[~repeated]


@contextmanager
def pool(handler: Handler, size: int, warming: Sequence[str]) -> "Iterator[Pool]":
    """Processes that have imported everything and done some files before."""
    context = get_context("spawn")
    ready = context.Barrier(size + 1)
    with context.Pool(size, _warm, (handler, tuple(warming), ready)) as workers:
        ready.wait(WARM_SECONDS)
        yield workers


def _warm(handler: Handler, keys: Sequence[str], ready: "Barrier") -> None:
    for key in keys:
        handler.handle(key)
    ready.wait(WARM_SECONDS)
