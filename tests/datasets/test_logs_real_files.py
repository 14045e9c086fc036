"""Real log files, read by the parsers, against counts that were worked out independently."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.contract import validate
from pipeline_assets.dataset import event_dates
from pipeline_assets.datasets.logs import DATASET
from pipeline_assets.parsing.detection import refuse_other_suffixes
from pipeline_assets.parsing.reader import open_records
from pipeline_assets.parsing.records import Layout
from pipeline_assets.partitions import file_date
from pipeline_assets.refine import RefinedDate, refine
from pipeline_assets.refusal import refusal

DATA = Path(__file__).parents[3] / "shared/data"
EXPECTED = DATA / "expected/logs.json"
LANDED_AT = datetime(2024, 5, 28, 12, tzinfo=UTC)

pytestmark = pytest.mark.skipif(
    not EXPECTED.is_file(), reason="needs the real input data, shared/data beside the project"
)

Account = Mapping[str, int | Mapping[str, int]]


@cache
def expected() -> Mapping[str, Account]:
    accounts: dict[str, Account] = json.loads(EXPECTED.read_text())
    return accounts


def bronze_of(key: str) -> pl.DataFrame:
    """Records of a landed file with their event dates; its key stands for its file id."""
    refuse_other_suffixes(key, DATASET.suffixes)
    layout = Layout(DATASET.fields, writing=DATASET.writing)
    path = DATA / "landing" / key
    with open_records(path, key=key, formats=DATASET.formats, layout=layout) as reader:
        batches = [pl.DataFrame(batch) for batch in reader]
        records = pl.concat(batches)
        assert reader.counted == records.height
    day = file_date(key, LANDED_AT, DATASET)
    dates = event_dates(records, DATASET, file_date=day, landed_date=LANDED_AT.date())
    return records.with_columns(dates, _file_id=pl.lit(key))


@cache
def days() -> Mapping[date, RefinedDate]:
    """Every event date of the real files, refined."""
    bronze = pl.concat(map(bronze_of, expected()))
    keys = {key: key for key in expected()}
    return {
        day: refine(
            bronze.filter(event_date=day).drop("event_date"),
            DATASET,
            event_date=day,
            landing_keys=keys,
        )
        for day in bronze["event_date"].unique()
    }


def accounts() -> dict[str, Account]:
    """What the expected account says of each file, of what became of its rows."""
    silver = pl.concat(each.silver for each in days().values())
    rejected = pl.concat(each.quarantine for each in days().values())
    return {
        key: {
            "valid_rows": silver.filter(_file_id=key).height,
            "malformed_rows": rejected.filter(landing_key=key).height,
            "levels": dict(silver.filter(_file_id=key)["level"].value_counts().iter_rows()),
        }
        for key in expected()
    }


def test_each_real_file_gives_the_counts_worked_out_independently() -> None:
    landed = {
        str(path.relative_to(DATA / "landing")) for path in (DATA / "landing/logs").rglob("*.log")
    }

    assert landed == set(expected())
    assert accounts() == expected()


def test_what_is_quarantined_are_raw_lines_each_with_its_line_number() -> None:
    rejected = pl.concat(each.quarantine for each in days().values())

    found = {
        key: [
            (int(numbered[0]), record)
            for reasons, record in rejected.filter(landing_key=key)["reasons", "record"].rows()
            if (numbered := re.findall(r"^malformed: .*\bline ([0-9]+)\b", reasons))
        ]
        for key in expected()
    }

    assert found == {key: raw_lines(DATA / "landing" / key) for key in expected()}


def raw_lines(path: Path) -> list[tuple[int, str]]:
    lines = enumerate(path.read_text(encoding="utf-8").split("\n"), 1)
    return [(number, line) for number, line in lines if line.strip() and line[0] != "{"]


def test_no_real_date_is_refused_and_every_row_is_accounted_for() -> None:
    for day, refined in days().items():
        assert refined.conserved
        assert refusal(DATASET, day.isoformat(), refined) is None


def test_gold_has_every_line_in_its_hour() -> None:
    table = DATASET.gold[0]
    built = pl.concat(table.build(each.silver.lazy()).collect() for each in days().values())

    validate(built, table.contract(), table=table.name)
    totals = built.group_by("event_date").agg(pl.sum("lines", "warnings", "errors"))
    assert sorted(totals.rows()) == [
        (date(2016, 12, 19), 6411, 57, 119),
        (date(2016, 12, 20), 60, 0, 0),
    ]
    evening = built.filter(hour=datetime(2016, 12, 19, 20, tzinfo=UTC))
    assert evening.select("service", "lines", "warnings", "errors", "error_rate").rows() == [
        ("kafka", 706, 1, 5, 5 / 706)
    ]
