"""The pipeline with every part real: what end-to-end tests land, run and compare."""

import gzip
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TypeAlias

import dagster as dg
import pyarrow as pa
import pytest

from pipeline_assets.definitions import build_defs
from pipeline_assets.environment import start
from pipeline_assets.registry import datasets
from pipeline_assets.serving import serving_table
from pipeline_assets.work import Worker, WorkReport
from resources.dagster_instance import open_instance
from resources.dynamodb import DynamoDBIOManager
from resources.lake import TableName
from resources.landfall import Landfall
from resources.ledger.model import DateHead, DirtyDate, FileHead, file_id
from resources.s3_parquet import S3ParquetIOManager

REAL_DATA = Path(__file__).parents[3] / "shared/data"
NEEDS_REAL_DATA = pytest.mark.skipif(
    not REAL_DATA.is_dir(), reason="needs the real input data, shared/data beside the project"
)
LANDFALL = Path(sys.executable).with_name("landfall")
WORK_SECONDS = 240.0
DAYS = tuple((date(2025, 3, 10) + timedelta(days=number)).isoformat() for number in range(5))
LAYERS = (
    ("bronze", "events"),
    ("silver", "events"),
    ("gold", "daily_event_summary"),
    ("serving", "daily_event_summary"),
)
REFRESHED = (
    *LAYERS[1:],
    ("quarantine", "events"),
    ("gold", "hourly_activity"),
    ("gold", "new_users"),
)
"""All that a refresh of a date makes."""
DERIVED = ("silver/", "quarantine/", "gold/")

Event: TypeAlias = dict[str, object]
Stored: TypeAlias = tuple[str, str, str]
Items: TypeAlias = tuple[str, ...]


def event(day: str, number: int, *, kind: str = "click", hour: int = 9) -> Event:
    """A valid event; its number tells it from the others of its date."""
    return {
        "eventId": f"{day}-{number}",
        "eventType": kind,
        "userId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"user/{number % 3}")),
        "timestamp": f"{day}T{hour:02}:{number % 60:02}:00Z",
        "properties": {"number": number},
    }


def events(day: str, numbers: Iterable[int]) -> list[Event]:
    """Valid events of one date."""
    return [event(day, number) for number in numbers]


def json_lines(records: Iterable[Event]) -> bytes:
    """The records as a JSON lines file."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def packed(records: Iterable[Event], *, between: bytes = b"\n") -> bytes:
    """The records as gzipped JSON, the same bytes whenever it is called."""
    return gzip.compress(json_lines(records).replace(b"\n", between), mtime=0)


def cut_gzip(records: Iterable[Event]) -> bytes:
    """A gzip stream that ends before its trailer."""
    return packed(records)[:-20]


def small_tree() -> dict[str, bytes]:
    """Ten files over four file dates, with late rows, duplicates and a few invalid rows.

    The late rows of the last date reach a date that has no file of its own.
    """
    first, second, third, fourth, _ = DAYS
    broken = event(second, 90, kind="refund")
    return {
        f"events/dt={first}/a.jsonl": json_lines(events(first, range(20))),
        f"events/dt={first}/b.jsonl": json_lines(events(first, range(15, 30))),
        f"events/dt={first}/c.jsonl.gz": packed(events(first, range(30, 40))),
        f"events/dt={second}/a.jsonl": json_lines([*events(second, range(20)), broken]),
        f"events/dt={second}/b.jsonl": json_lines(events(first, [40, 41]) + events(second, [20])),
        f"events/dt={second}/c.jsonl": json_lines(events(second, range(21, 25))) + b'{"cut": \n',
        f"events/dt={fourth}/a.jsonl": json_lines(events(fourth, range(9))),
        f"events/dt={fourth}/b.jsonl": json_lines(events(third, range(6)) + events(fourth, [8, 9])),
        f"events/{fourth.replace('-', '/')}/08/d.gz": packed(events(third, [5, 6]), between=b""),
        f"events/dt={DAYS[4]}/a.jsonl": json_lines(events(DAYS[4], range(5))),
    }


@dataclass(frozen=True)
class Content:
    """What every table holds: digest and rows in their order by object, items by table."""

    partitions: dict[str, tuple[str, pa.Table]]
    items: dict[str, Items]


@dataclass(frozen=True)
class Pipeline:
    """A provisioned environment, a Dagster instance, and the definitions that use them."""

    landfall: Landfall
    instance: dg.DagsterInstance
    definitions: dg.Definitions

    def land(self, key: str, content: bytes) -> None:
        """Put bytes at a key of the landing bucket."""
        bucket = self.landfall.bucket.name
        self.landfall.aws.s3.put_object(Bucket=bucket, Key=key, Body=content)

    def worker(self) -> Worker:
        """What `landfall work` runs."""
        return Worker(self.landfall, self.instance, self.definitions, lambda _: None)

    def work(self) -> WorkReport:
        """Work until nothing is pending or dirty."""
        report = self.worker().work(until_idle=True, timeout=WORK_SECONDS)
        assert not report.timed_out, f"still waiting: {report.backlog}"
        return report

    def step(self) -> None:
        """One tick, and the runs that it asks for."""
        worker = self.worker()
        worker._run_all(worker._tick(), None)

    def materialize(
        self,
        assets: Sequence[tuple[str, str]],
        day: str,
        config: dict[str, object] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Materialize assets for one partition by hand, as the UI does."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            partition_key=day,
            run_config={"ops": {"bronze__events": {"config": config}}} if config else None,
            raise_on_error=False,
        )

    def runs(self, job: str | None = None) -> list[dg.DagsterRun]:
        """Every run of the instance, or of one job."""
        return list(self.instance.get_runs(dg.RunsFilter(job_name=job)))

    def file(self, key: str) -> FileHead:
        """What the ledger knows of a key."""
        head = self.landfall.ledger.files.head(file_id(self.landfall.bucket.name, key))
        assert head is not None, f"{key} is not registered"
        return head

    def date(self, day: str) -> DateHead:
        """What the ledger knows of an event date."""
        head = self.landfall.ledger.dates.head("events", day)
        assert head is not None, f"{day} never had rows"
        return head

    def dirty(self) -> dict[str, DirtyDate]:
        """Dates that wait or are held."""
        return {each.event_date: each for each in self.landfall.ledger.dates.dirty("events")}

    def materialized(self, asset: tuple[str, str]) -> set[str]:
        """Partitions that Dagster shows as materialized."""
        return set(self.instance.get_materialized_partitions(dg.AssetKey(asset)))

    def checks(self, run_id: str) -> list[dg.AssetCheckEvaluation]:
        """Check results of a run, in their order."""
        logged = self.instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        return [entry.get_dagster_event().asset_check_evaluation_data for entry in logged]

    def silver(self, day: str) -> list[dict[str, object]]:
        """Rows of silver of a date."""
        rows: list[dict[str, object]] = self.landfall.lake.read(
            TableName("silver", "events"), day
        ).to_pylist()
        return rows

    def items(self) -> dict[str, Items]:
        """Every item of every serving table, as sorted JSON."""
        return items(self.landfall)

    def stored(self, *prefixes: str) -> dict[str, Stored]:
        """ETag, version and time of every current object of the lake below the prefixes."""
        return stored(self.landfall, prefixes or DERIVED)

    def content(self) -> Content:
        """What every derived table holds, whatever the time and order of its making."""
        return content(self.landfall)


def items(landfall: Landfall) -> dict[str, Items]:
    """Every item of every serving table, as sorted JSON."""
    views = [serving_table(view) for dataset in datasets() for view in dataset.serving]
    found = {}
    for view in views:
        name = landfall.serving.table_name(view)
        pages = landfall.aws.dynamodb.get_paginator("scan").paginate(TableName=name)
        every = [json.dumps(item, sort_keys=True) for page in pages for item in page["Items"]]
        found[view.name] = tuple(sorted(every))
    return found


def stored(landfall: Landfall, prefixes: Iterable[str] = DERIVED) -> dict[str, Stored]:
    """ETag, version and time of every current object of the lake below the prefixes."""
    pages = landfall.aws.s3.get_paginator("list_object_versions")
    return {
        version["Key"]: (version["ETag"], version["VersionId"], str(version["LastModified"]))
        for prefix in prefixes
        for page in pages.paginate(Bucket=landfall.settings.lake_bucket, Prefix=prefix)
        for version in page.get("Versions", [])
        if version["IsLatest"]
    }


def content(landfall: Landfall) -> Content:
    """What every derived table holds, whatever the time and order of its making."""
    partitions = {}
    for key in stored(landfall):
        layer, name, partition, _ = key.split("/")
        table, day = TableName(layer, name), partition.removeprefix("event_date=")
        found = landfall.lake.stat(table, day)
        assert found is not None
        partitions[key] = (found.digest, landfall.lake.read(table, day))
    return Content(partitions, items(landfall))


@contextmanager
def open_pipeline() -> Iterator[Pipeline]:
    """The pipeline of the environment variables as they stand now, provisioned."""
    landfall = Landfall()
    start(landfall)
    definitions = build_defs(
        {
            "landfall": landfall,
            "lake": S3ParquetIOManager(lambda: landfall.lake),
            "serving": DynamoDBIOManager(lambda: landfall.serving),
        }
    )
    with open_instance(landfall.settings) as instance:
        yield Pipeline(landfall, instance, definitions)


def forget_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Go on with an empty ledger, lake and serving tables below the same landing bucket.

    File ids are made of bucket and key: only the same landing bucket gives the same rows.
    """
    suffix = uuid.uuid4().hex[:12]
    queues = ("LANDING_QUEUE", "LANDING_DEAD_LETTER_QUEUE", "DEAD_LETTER_QUEUE")
    for name in ("LAKE_BUCKET", "LEDGER_TABLE", *queues):
        monkeypatch.setenv(f"LANDFALL_{name}", f"{name.lower().replace('_', '-')}-{suffix}")
    monkeypatch.setenv("LANDFALL_SERVING_PREFIX", f"serving-{suffix}-")


def command(
    *arguments: str, timeout: float = WORK_SECONDS, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `landfall` in a process of its own, in the environment as it stands now."""
    return subprocess.run(  # noqa: S603  # our own command
        [LANDFALL, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env={**os.environ, **(environment or {})},
    )
