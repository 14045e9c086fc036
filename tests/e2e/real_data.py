"""Real files in a pipeline of their own, and what the tables then say of every record."""

import os
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

import polars as pl
import pytest
from scenario import REAL_DATA, Pipeline, open_pipeline

from pipeline_assets.work import WorkReport
from resources.lake import TableName
from resources.ledger.model import DateCounts, FileHead, file_id
from resources.local_aws.control import LocalAwsStatus
from resources.local_aws.record import RECORD_FILE

LANDING = REAL_DATA / "landing"
EXPECTED = REAL_DATA / "expected"
REAL_SECONDS = 900.0
"""Longest work on one dataset: readings take some 100 seconds of CPU, and share their cores."""
OWN_NAMES = (
    "LANDING_BUCKET",
    "LAKE_BUCKET",
    "LANDING_QUEUE",
    "LANDING_DEAD_LETTER_QUEUE",
    "DEAD_LETTER_QUEUE",
    "ALERTS_TOPIC",
    "LEDGER_TABLE",
)


@dataclass(frozen=True)
class Worker:
    """What the pipelines of one test process share: its server, and an instance without runs."""

    server: LocalAwsStatus
    empty_instance: Path

    @contextmanager
    def environment(self, home: Path) -> Iterator[pytest.MonkeyPatch]:
        """An environment that lasts as long as it is open, so that a module's tests share it."""
        home.mkdir()
        shutil.copy(self.server.home / RECORD_FILE, home / RECORD_FILE)
        shutil.copytree(self.empty_instance, home / self.empty_instance.name)
        suffix = uuid.uuid4().hex[:12]
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(("LANDFALL_", "AWS_"))]:
                patch.delenv(name)
            patch.setenv("AWS_CONFIG_FILE", str(home / "no-aws-config"))
            patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "no-aws-credentials"))
            patch.setenv("LANDFALL_HOME", str(home))
            patch.setenv("LANDFALL_LOCAL_PORT", str(self.server.port))
            patch.setenv("LANDFALL_SERVING_PREFIX", f"serving-{suffix}-")
            patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            for name in OWN_NAMES:
                patch.setenv(f"LANDFALL_{name}", f"{name.lower().replace('_', '-')}-{suffix}")
            yield patch

    @contextmanager
    def pipeline(self, home: Path) -> Iterator[Pipeline]:
        """A provisioned pipeline in an environment of its own."""
        with self.environment(home), open_pipeline() as opened:
            yield opened


def real_files(dataset: str) -> list[Path]:
    """The dataset's files in the order of their landing keys."""
    paths = (path for path in (LANDING / dataset).rglob("*") if path.is_file())
    return sorted(paths, key=key_of)


def key_of(path: Path) -> str:
    """Where a real file lands."""
    return path.relative_to(LANDING).as_posix()


def land(pipeline: Pipeline, paths: Iterable[Path]) -> None:
    """Land real files under their keys, in the order given."""
    for path in paths:
        pipeline.land(key_of(path), path.read_bytes())


def work(pipeline: Pipeline) -> WorkReport:
    """Work until nothing is pending or dirty."""
    report = pipeline.worker().work(until_idle=True, timeout=REAL_SECONDS)
    assert not report.timed_out, f"still waiting: {report.backlog}"
    return report


def table(pipeline: Pipeline, layer: str, name: str) -> pl.DataFrame:
    """All rows of a table of the lake, whatever their date, as they are stored."""
    lake, named = pipeline.landfall.lake, TableName(layer, name)
    dates = [pl.DataFrame(lake.read(named, day)) for day in lake.dates(named)]
    return pl.concat(dates) if dates else pl.DataFrame(schema={"event_date": pl.Date})


def by_date(rows: pl.DataFrame) -> dict[str, int]:
    """How many rows each event date has."""
    return {day.isoformat(): count for day, count in rows["event_date"].value_counts().iter_rows()}


def bronze_rows(pipeline: Pipeline, dataset: str) -> Counter[str]:
    """How many records the fragments of each event date hold, without asking the ledger.

    Every fragment counts: those that the overwritten content of a file left behind as well.
    """
    rows: Counter[str] = Counter()
    for key in pipeline.stored(f"bronze/{dataset}/"):
        day = key.split("/event_date=")[1].partition("/")[0]
        rows[day] += pipeline.landfall.lake.read_fragment(key).num_rows
    return rows


def tables_account(pipeline: Pipeline, dataset: str) -> dict[str, DateCounts]:
    """What the tables hold of each date; duplicates are what is then missing from bronze."""
    bronze = bronze_rows(pipeline, dataset)
    silver = by_date(table(pipeline, "silver", dataset))
    quarantined = by_date(table(pipeline, "quarantine", dataset))
    found = {}
    for day in {*bronze, *silver, *quarantined}:
        kept = (silver.get(day, 0), quarantined.get(day, 0))
        found[day] = DateCounts(bronze[day], *kept, bronze[day] - sum(kept))
    return found


def ledger_account(pipeline: Pipeline, dataset: str) -> dict[str, DateCounts]:
    """What the ledger says of each date."""
    return {head.event_date: head.counts for head in pipeline.landfall.ledger.dates.all(dataset)}


def total(account: Iterable[DateCounts]) -> DateCounts:
    """The sum of the dates' counts."""
    return DateCounts(*map(sum, zip(*map(astuple, account), strict=True)))


def heads(pipeline: Pipeline, paths: Iterable[Path]) -> dict[str, FileHead]:
    """What the ledger knows of the files, by landing key."""
    return {key_of(path): pipeline.file(key_of(path)) for path in paths}


def file_ids(pipeline: Pipeline, paths: Iterable[Path]) -> dict[str, str]:
    """Landing key by file id."""
    bucket = pipeline.landfall.bucket.name
    return {file_id(bucket, key): key for key in map(key_of, paths)}


def assert_nothing_is_left(pipeline: Pipeline, dataset: str) -> None:
    """No date is dirty or held, no file is dead or waits, no request stands."""
    ledger = pipeline.landfall.ledger
    assert ledger.dates.dirty(dataset) == []
    assert ledger.files.dead(dataset) == []
    assert ledger.files.pending(dataset) == []
    assert list(ledger.requests.open(dataset).requests) == []
