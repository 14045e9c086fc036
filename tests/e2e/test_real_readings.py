"""Real readings through the whole pipeline: nine series, a month a file, no date in the keys."""

import csv
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TypeAlias

import polars as pl
import pytest
from real_data import (
    EXPECTED,
    Worker,
    assert_nothing_is_left,
    file_ids,
    heads,
    key_of,
    land,
    ledger_account,
    real_files,
    table,
    tables_account,
    total,
    work,
)
from scenario import NEEDS_REAL_DATA, Content, Pipeline, forget_tables, open_pipeline

from pipeline_assets.jobs import job_name
from pipeline_assets.partitions import contiguous
from pipeline_assets.work import WorkReport
from resources.lake import TableName
from resources.ledger.model import DateCounts, FileState, RequestKind
from resources.local_aws.control import LocalAwsStatus

pytestmark = [
    NEEDS_REAL_DATA,
    pytest.mark.real,
    pytest.mark.timeout(1800),
    # Two processes would each load the whole set.
    pytest.mark.xdist_group("real-readings"),
]

RECORDS = 55_316
CORRECTED = 25
"""Records whose device, metric and time another record has, further down in the same file."""
SHARED_MONTHS = ("2015-08", "2015-09")
"""Files of five devices share dates of these months, and no other file has any of them."""
HOURLY = ("count", "min", "mean", "max", "last")

Reading: TypeAlias = tuple[str, str, datetime]
Hour: TypeAlias = tuple[str, str, datetime]


@dataclass(frozen=True)
class Row:
    """A line of a real file, read by Python's csv: its landing key, its number from 1, fields."""

    key: str
    number: int
    reading: Reading
    value: float

    @property
    def day(self) -> str:
        """Its event date."""
        return self.reading[2].date().isoformat()


@dataclass(frozen=True)
class Loaded:
    """The whole set, landed and worked, and what a part of it gave in another order before."""

    pipeline: Pipeline
    report: WorkReport
    refreshes: int
    backwards: Content


@cache
def rows() -> list[Row]:
    """Every line of every file, in the order of landing keys and lines."""
    return [row for path in real_files("readings") for row in rows_of(path)]


def rows_of(path: Path) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8") as lines:
        for number, row in enumerate(csv.DictReader(lines), 1):
            at = datetime.fromisoformat(row["timestamp"])
            reading = (row["deviceId"], row["metric"], at)
            yield Row(key_of(path), number, reading, float(row["value"]))


def last_rows() -> dict[Reading, Row]:
    """Of several values of a reading the one of the last row."""
    return {row.reading: row for row in rows()}


def land_backwards(pipeline: Pipeline) -> Content:
    """Land the files of the shared months in two parts, the second when the first has worked."""
    shared = [path for path in real_files("readings") if path.stem in SHARED_MONTHS]
    half = len(shared) // 2
    for part in (shared[half:], shared[:half]):
        land(pipeline, reversed(part))
        assert work(pipeline).failed_runs == []
    return pipeline.content()


def refreshes(pipeline: Pipeline) -> int:
    """Refresh runs of the instance."""
    return len(pipeline.runs(job_name("readings", RequestKind.REFRESH)))


@pytest.fixture(scope="module")
def loaded(
    local_aws_server: LocalAwsStatus,
    empty_instance: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Loaded]:
    worker = Worker(local_aws_server, empty_instance)
    with worker.environment(tmp_path_factory.mktemp("readings") / "home") as environment:
        with open_pipeline() as pipeline:
            backwards = land_backwards(pipeline)
        forget_tables(environment)
        with open_pipeline() as pipeline:
            before = refreshes(pipeline)
            land(pipeline, real_files("readings"))
            report = work(pipeline)
            yield Loaded(pipeline, report, refreshes(pipeline) - before, backwards)


def test_every_record_is_in_silver_or_counted_as_corrected_by_another(loaded: Loaded) -> None:
    landed = Counter(row.day for row in rows())
    kept = Counter(row.day for row in last_rows().values())
    expected = {
        day: DateCounts(count, kept[day], 0, count - kept[day]) for day, count in landed.items()
    }

    account = tables_account(loaded.pipeline, "readings")

    assert account == expected
    assert account == ledger_account(loaded.pipeline, "readings")
    records = json.loads((EXPECTED / "readings.json").read_text())["rows"]
    assert records == RECORDS
    assert total(account.values()) == DateCounts(records, records - CORRECTED, 0, CORRECTED)


def test_each_file_is_loaded_with_all_its_records_and_dates(loaded: Loaded) -> None:
    paths = real_files("readings")
    dates: dict[str, set[str]] = defaultdict(set)
    for row in rows():
        dates[row.key].add(row.day)

    found = heads(loaded.pipeline, paths)

    assert {head.state for head in found.values()} == {FileState.LOADED}
    assert {head.attempts for head in found.values()} == {1}
    assert {key: head.records for key, head in found.items()} == Counter(row.key for row in rows())
    assert {key: list(head.dates) for key, head in found.items()} == {
        key: sorted(days) for key, days in dates.items()
    }
    assert sum(head.malformed for head in found.values()) == 0


def test_all_dates_are_refreshed_in_as_few_runs_as_the_settings_promise(loaded: Loaded) -> None:
    days = {row.day for row in rows()}
    most = loaded.pipeline.landfall.settings.max_dates_per_run
    gaps = len(list(contiguous(days, len(days)))) - 1

    assert most == 31
    assert loaded.refreshes == len(list(contiguous(days, most)))
    assert loaded.refreshes <= math.ceil(len(days) / most) + gaps
    assert loaded.report.failed_runs == []
    # Files that land around midnight have two dates of their own.
    assert loaded.report.runs - loaded.refreshes in {1, 2}


def test_no_date_is_left_behind(loaded: Loaded) -> None:
    days = {row.day for row in rows()}

    assert_nothing_is_left(loaded.pipeline, "readings")
    for asset in (("silver", "readings"), ("gold", "hourly_readings")):
        assert days <= loaded.pipeline.materialized(asset)


def test_silver_holds_of_each_time_the_last_row_and_says_whose_it_is(loaded: Loaded) -> None:
    silver = table(loaded.pipeline, "silver", "readings")
    keys = file_ids(loaded.pipeline, real_files("readings"))

    columns = ("device_id", "metric", "timestamp", "_file_id", "_row", "value")
    kept = {
        (device, metric, at): Row(keys[file], number, (device, metric, at), value)
        for device, metric, at, file, number, value in silver.select(columns).iter_rows()
    }

    assert len(kept) == silver.height
    assert kept == last_rows()


def hourly() -> dict[Hour, dict[str, float]]:
    """Gold as plain Python computes it from the files."""
    values: dict[Hour, list[tuple[datetime, float]]] = defaultdict(list)
    for (device, metric, at), row in last_rows().items():
        hour = at.replace(minute=0, second=0)
        values[device, metric, hour].append((at, row.value))
    return {key: summary([value for _, value in sorted(of)]) for key, of in values.items()}


def summary(in_time: list[float]) -> dict[str, float]:
    mean = math.fsum(in_time) / len(in_time)
    return dict(
        zip(HOURLY, (len(in_time), min(in_time), mean, max(in_time), in_time[-1]), strict=True)
    )


def test_gold_equals_what_plain_python_computes_of_every_hour(loaded: Loaded) -> None:
    gold = table(loaded.pipeline, "gold", "hourly_readings")

    found = {
        (row["device_id"], row["metric"], row["hour"]): {name: row[name] for name in HOURLY}
        for row in gold.iter_rows(named=True)
    }

    expected = hourly()
    assert gold.height == len(found)
    assert found.keys() == expected.keys()
    differing = {each for each in found if found[each] != pytest.approx(expected[each], rel=1e-12)}
    assert differing == set()
    assert gold.select((pl.col("event_date") == pl.col("hour").dt.date()).all()).item()


def test_files_that_land_backwards_and_in_two_parts_leave_equal_tables(loaded: Loaded) -> None:
    lake = loaded.pipeline.landfall.lake
    shared = {row.day for row in rows() if row.day.startswith(SHARED_MONTHS)}
    tables = (TableName("silver", "readings"), TableName("gold", "hourly_readings"))

    before = {key: content for key, (_, content) in loaded.backwards.partitions.items()}

    assert before.keys() == {lake.key(name, day) for name in tables for day in shared}
    again = {key: lake.read_key(key) for key in before}
    assert [key for key in before if before[key] != again[key]] == []
