"""Real input data against counts that were worked out independently."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest
from scenario import (
    NEEDS_REAL_DATA,
    REAL_DATA,
    Content,
    Pipeline,
    command,
    content,
    forget_tables,
    items,
    open_pipeline,
    stored,
)

from pipeline_assets.datasets.events import DATASET
from pipeline_assets.environment import start
from pipeline_assets.serving import serving_table
from resources.dagster_instance import open_instance
from resources.lake import TableName
from resources.landfall import Landfall
from resources.ledger.model import DateCounts

Account: TypeAlias = Mapping[str, object]

LANDING = REAL_DATA / "landing"
REAL_SECONDS = 1500
SAMPLE = (
    "events/dt=2010-12-01/*.csv",
    "events/dt=2010-12-02/*.jsonl.gz",
    "events/dt=2010-12-03/*.parquet",
    "events/dt=2024-04-0[12]/web.jsonl",
    "events/2024/03/02/*/*.gz",
    "events/2024/03/03/00/*.gz",
)
SAMPLE_DATES = ("2010-12-01", "2010-12-02", "2010-12-03", "2024-04-01", "2024-03-02")

pytestmark = NEEDS_REAL_DATA


def expected() -> dict[str, Account]:
    accounts: dict[str, Account] = json.loads((REAL_DATA / "expected/events.json").read_text())[
        "by_event_date"
    ]
    return accounts


def summary(rows: Iterable[Mapping[str, object]]) -> dict[object, object]:
    return {
        row["event_type"]: {name: row[name] for name in ("event_count", "unique_users")}
        for row in rows
    }


def reached(landfall: Landfall, day: str) -> Account:
    """What the tables say of a date, in the words of the expected account."""
    lake, head = landfall.lake, landfall.ledger.dates.head("events", day)
    counts = head.counts if head else DateCounts()
    quarantine = lake.stat(TableName("quarantine", "events"), day)
    quarantined = quarantine.rows if quarantine else 0
    silver = lake.read(TableName("silver", "events"), day).num_rows
    in_parquet = summary(lake.read(TableName("gold", "daily_event_summary"), day).to_pylist())
    served = summary(landfall.serving.load(serving_table(DATASET.serving[0]), day).to_dicts())
    assert (counts.silver, counts.quarantined) == (silver, quarantined)
    assert served == in_parquet
    return {
        "silver_rows": silver,
        "quarantined_rows": quarantined,
        "duplicate_rows": counts.duplicates,
        "daily_event_summary": in_parquet,
    }


def land(pipeline: Pipeline, paths: Iterable[Path]) -> None:
    for path in paths:
        pipeline.landfall.bucket.upload(path, path.relative_to(LANDING).as_posix())


def real_files() -> list[Path]:
    return sorted(path for path in (LANDING / "events").rglob("*") if path.is_file())


@pytest.mark.usefixtures("local_aws")
def test_sampled_dates_of_every_format_equal_the_expected_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LANDFALL_QUIET_RUNS_PER_TICK", "1")
    with open_pipeline() as pipeline:
        land(pipeline, (path for pattern in SAMPLE for path in LANDING.glob(pattern)))
        pipeline.work()
        accounts = expected()
        assert {day: reached(pipeline.landfall, day) for day in SAMPLE_DATES} == {
            day: accounts[day] for day in SAMPLE_DATES
        }


def provisioned() -> Landfall:
    landfall = Landfall()
    start(landfall)
    return landfall


def work() -> None:
    worked = command("work", "--until-idle", "--timeout", str(REAL_SECONDS), timeout=REAL_SECONDS)
    assert worked.returncode == 0, worked.stdout + worked.stderr


def runs(landfall: Landfall) -> int:
    with open_instance(landfall.settings) as instance:
        return instance.get_runs_count()


@pytest.mark.real
@pytest.mark.timeout(2 * REAL_SECONDS)
@pytest.mark.usefixtures("local_aws")
def test_the_whole_set_equals_the_expected_account_and_landed_again_changes_no_byte() -> None:
    landfall = provisioned()
    landed = command("land", str(LANDING / "events"), "--dataset", "events")
    assert landed.returncode == 0, landed.stderr
    work()
    accounts = expected()
    assert {day: reached(landfall, day) for day in accounts} == accounts
    before = (stored(landfall), stored(landfall, ["bronze/"]), items(landfall), runs(landfall))

    again = command("land", str(LANDING / "events"), "--dataset", "events")
    assert again.returncode == 0, again.stderr
    work()
    after = (stored(landfall), stored(landfall, ["bronze/"]), items(landfall), runs(landfall))
    assert after == before


def landed_in_parts(*parts: list[Path]) -> Content:
    landfall = provisioned()
    for part in parts:
        for path in part:
            landfall.bucket.upload(path, path.relative_to(LANDING).as_posix())
        work()
    return content(landfall)


@pytest.mark.real
@pytest.mark.long
@pytest.mark.timeout(4 * REAL_SECONDS)
@pytest.mark.usefixtures("local_aws")
def test_the_order_of_landing_the_whole_set_leaves_no_trace_in_any_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = real_files()
    in_two_halves = landed_in_parts(files[::2], files[1::2])

    forget_tables(monkeypatch)
    assert landed_in_parts(files[::-1]) == in_two_halves
