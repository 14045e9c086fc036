"""Real readings, read by the parsers: every record is accounted for, whatever its date."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.contract import validate
from pipeline_assets.dataset import event_dates
from pipeline_assets.datasets.readings import DATASET
from pipeline_assets.parsing.reader import open_records
from pipeline_assets.parsing.records import Layout
from pipeline_assets.partitions import file_date
from pipeline_assets.refine import RefinedDate, refine

DATA = Path(__file__).parents[3] / "shared/data"
READINGS = DATA / "landing/readings"
LANDED_AT = datetime(2024, 5, 28, 12, tzinfo=UTC)

pytestmark = pytest.mark.skipif(
    not READINGS.is_dir(), reason="needs the real input data, shared/data beside the project"
)

Reading = tuple[str, str, str]


def paths() -> list[Path]:
    """Real files in the order of their landing keys."""
    return sorted(READINGS.rglob("*.csv"), key=key_of)


def key_of(path: Path) -> str:
    return path.relative_to(DATA / "landing").as_posix()


def bronze_of(path: Path) -> pl.DataFrame:
    """Records of a landed file with their event dates; its key stands for its file id."""
    key = key_of(path)
    layout = Layout(DATASET.fields, writing=DATASET.writing)
    with open_records(path, key=key, formats=DATASET.formats, layout=layout) as reader:
        records = pl.concat([pl.DataFrame(batch) for batch in reader])
        assert reader.counted == records.height
    day = file_date(key, LANDED_AT, DATASET)
    dates = event_dates(records, DATASET, file_date=day, landed_date=LANDED_AT.date())
    return records.with_columns(dates, _file_id=pl.lit(key))


def refined_days(bronze: pl.DataFrame) -> Iterator[RefinedDate]:
    keys = {key_of(path): key_of(path) for path in paths()}
    for (day,), rows in bronze.group_by("event_date"):
        assert isinstance(day, date)
        yield refine(rows.drop("event_date"), DATASET, event_date=day, landing_keys=keys)


def last_values() -> dict[Reading, float]:
    """What the files say of each device, metric and time in the end, read by Python's csv."""
    found = {}
    for path in paths():
        with path.open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                found[row["deviceId"], row["metric"], row["timestamp"]] = float(row["value"])
    return found


def test_every_real_reading_is_accounted_for_and_the_last_value_of_a_time_stays() -> None:
    bronze = pl.concat(map(bronze_of, paths()))
    days = list(refined_days(bronze))
    silver = pl.concat(each.silver for each in days)

    records = json.loads((DATA / "expected/readings.json").read_text())["rows"]
    assert records == bronze.height == sum(each.bronze_rows for each in days) == 55_316
    assert all(each.conserved for each in days)
    assert sum(each.quarantined for each in days) == 0
    assert sum(each.duplicates for each in days) == records - silver.height
    time = pl.col("timestamp").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    kept = silver.select("device_id", "metric", time, "value").rows()
    assert {(device, metric, at): value for device, metric, at, value in kept} == last_values()
    assert len(kept) == len(last_values())
    table = DATASET.gold[0]
    hourly = pl.concat(table.build(each.silver.lazy()).collect() for each in days)
    validate(hourly, table.contract(), table=table.name)
    assert hourly["count"].sum() == silver.height


def test_one_real_file_has_the_dates_of_its_rows_and_none_of_its_landing() -> None:
    path = READINGS / "nyc_taxi/2014-11.csv"
    by_day: dict[str, int] = defaultdict(int)
    for line in path.read_text().splitlines()[1:]:
        by_day[line.split(",")[1][:10]] += 1

    filed = bronze_of(path)["event_date"].value_counts()

    assert {day.isoformat(): rows for day, rows in filed.iter_rows()} == by_day
    assert len(by_day) == 30
