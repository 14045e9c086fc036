"""The sample files, and the account that the generator gives of them."""

import gzip
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.dataset import event_dates
from pipeline_assets.datasets.events import DATASET, daily_event_summary
from pipeline_assets.demo.sample_files import Encoding, Fault, SampleFile
from pipeline_assets.demo.samples import Account, Activity, Samples, write_samples
from pipeline_assets.demo.summary import Outcome, disagreements
from pipeline_assets.parsing.reader import open_records
from pipeline_assets.partitions import file_date
from pipeline_assets.refine import RefinedDate, refine
from resources.ledger.model import FileState

LANDED_AT = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return write_samples(tmp_path_factory.mktemp("samples"))


@pytest.fixture(scope="module")
def bronze(samples: Samples) -> pl.DataFrame:
    """Every record as the pipeline reads and files it."""
    return pl.concat(_read(samples.folder, file) for file in samples.files)


def _read(folder: Path, file: SampleFile) -> pl.DataFrame:
    key = f"events/{file.key}"
    reader = open_records(
        folder / file.key, key=key, fields=DATASET.fields, formats=DATASET.formats
    )
    with reader:
        records = pl.concat(pl.DataFrame(batch) for batch in reader)
    days = event_dates(
        records,
        DATASET,
        file_date=file_date(key, LANDED_AT, DATASET),
        landed_date=LANDED_AT.date(),
    )
    return records.with_columns(days, pl.lit(key).alias("_file_id"))


@pytest.fixture(scope="module")
def refined(samples: Samples, bronze: pl.DataFrame) -> dict[date, RefinedDate]:
    keys = {f"events/{file.key}": f"events/{file.key}" for file in samples.files}
    return {
        day: refine(
            bronze.filter(pl.col("event_date") == day).drop("event_date"),
            DATASET,
            event_date=day,
            landing_keys=keys,
        )
        for day in bronze["event_date"].unique().sort()
    }


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_same_seed_gives_the_same_bytes(samples: Samples, tmp_path: Path) -> None:
    write_samples(tmp_path)
    assert _contents(tmp_path) == _contents(samples.folder)


def test_another_seed_gives_other_files_at_the_same_keys(samples: Samples, tmp_path: Path) -> None:
    write_samples(tmp_path, seed=8)
    ours, theirs = _contents(tmp_path), _contents(samples.folder)
    assert ours.keys() == theirs.keys()
    assert all(ours[key] != theirs[key] for key in ours)


def test_every_encoding_and_every_fault_occurs(samples: Samples) -> None:
    assert {file.encoding for file in samples.files} == set(Encoding)
    faults = {record.fault for file in samples.files for record in file.records}
    assert faults == {*Fault, None}


def test_there_are_about_twenty_thousand_records_over_the_fixed_dates(samples: Samples) -> None:
    assert 18_000 < sum(len(file.records) for file in samples.files) < 22_000
    assert list(samples.accounts) == [date(2025, 3, day) for day in range(3, 8)]


def test_a_delivery_stream_object_has_no_newline_between_its_objects(samples: Samples) -> None:
    joined = [file for file in samples.files if file.encoding is Encoding.JOINED_GZIP]
    for file in joined:
        text = gzip.decompress((samples.folder / file.key).read_bytes())
        assert b"}{" in text
        assert b"\n" not in text


def test_records_come_late_from_the_evening_before_their_file(samples: Samples) -> None:
    late = Counter(
        file.key.split(".")[0]
        for file in samples.files
        for record in file.records
        if file.file_date and record.event_date == file.file_date - timedelta(days=1)
    )
    assert late["dt=2025-03-04/web"] > 100
    assert late["2025/03/04/00/mobile-1-2025-03-04-00-45-00"] > 100
    assert not late["dt=2025-03-03/web"]


def test_one_file_has_no_date_in_its_key_and_many_in_its_records(samples: Samples) -> None:
    undated = [file for file in samples.files if file.file_date is None]
    assert [file.key for file in undated] == ["signups.csv"]
    assert {record.event_date for record in undated[0].records} == set(samples.accounts)


def test_an_event_is_reported_in_two_formats(samples: Samples) -> None:
    reports: dict[object, set[Encoding]] = {}
    for file in samples.files:
        for record in file.records:
            reports.setdefault(record.event.identity, set()).add(file.encoding)
    pairs = Counter(frozenset(each) for each in reports.values() if len(each) > 1)
    assert pairs[frozenset({Encoding.CSV_GZIP, Encoding.PARQUET})] > 100
    assert pairs[frozenset({Encoding.JSON_LINES_GZIP, Encoding.CSV})] > 100


def test_every_account_adds_up_and_stays_far_below_the_quarantine_threshold(
    samples: Samples,
) -> None:
    for account in samples.accounts.values():
        assert account.adds_up
        assert min(account.silver, account.quarantined, account.duplicates) > 0
        assert account.quarantined < 0.03 * account.landed


def test_the_pipeline_files_and_refines_the_records_as_the_account_says(
    samples: Samples, refined: dict[date, RefinedDate]
) -> None:
    found = {
        day: Account(
            landed=date_.bronze_rows,
            silver=date_.silver_rows,
            quarantined=date_.quarantined,
            duplicates=date_.duplicates,
        )
        for day, date_ in refined.items()
    }
    assert found == samples.accounts


def test_gold_has_the_activity_that_the_generator_counted(
    samples: Samples, refined: dict[date, RefinedDate]
) -> None:
    tables = [daily_event_summary(date_.silver.lazy()).collect() for date_ in refined.values()]
    found = tuple(Activity(*row) for row in pl.concat(tables).rows())
    assert found == samples.activity


@pytest.mark.parametrize("seed", [0, 1, 2025])
def test_the_account_holds_for_other_seeds_days_and_dates(tmp_path: Path, seed: int) -> None:
    samples = write_samples(tmp_path, seed=seed, days=2, first_date=date(2024, 2, 28))
    bronze = pl.concat(_read(samples.folder, file) for file in samples.files)
    landed = dict(bronze.group_by("event_date").len().iter_rows())
    assert landed == {day: account.landed for day, account in samples.accounts.items()}
    assert list(samples.accounts) == [date(2024, 2, 28), date(2024, 2, 29)]


def _right(samples: Samples) -> Outcome:
    return Outcome(
        states={file.key: FileState.LOADED for file in samples.files},
        accounts=samples.accounts,
        gold=samples.activity,
        items=samples.activity,
    )


def test_an_outcome_as_the_generator_says_has_no_disagreement(samples: Samples) -> None:
    assert disagreements(samples, _right(samples)) == ()


def test_a_file_that_is_not_loaded_disagrees(samples: Samples) -> None:
    right = _right(samples)
    dead, unknown = samples.files[0].key, samples.files[1].key
    states = {key: state for key, state in right.states.items() if key != unknown}
    outcome = replace(right, states=states | {dead: FileState.DEAD})
    assert disagreements(samples, outcome) == (
        f"{dead} is DEAD, not LOADED.",
        f"{unknown} is unknown to the ledger, not LOADED.",
    )


def test_an_account_that_adds_up_but_differs_disagrees(samples: Samples) -> None:
    right = _right(samples)
    day = date(2025, 3, 5)
    expected = samples.accounts[day]
    other = replace(expected, silver=expected.silver + 1, duplicates=expected.duplicates - 1)
    assert other.adds_up
    (sentence,) = disagreements(samples, replace(right, accounts={**right.accounts, day: other}))
    assert sentence.startswith("2025-03-05: the generator wrote")


def test_an_item_too_few_too_many_or_twice_disagrees(samples: Samples) -> None:
    right = _right(samples)
    first, *others = samples.activity
    assert disagreements(samples, replace(right, items=tuple(others))) == (
        f"DynamoDB lacks {first}.",
    )
    more = replace(first, event_type="refund")
    (unexpected,) = disagreements(samples, replace(right, gold=(more, *samples.activity)))
    assert unexpected.startswith("gold/daily_event_summary has")
    (twice,) = disagreements(samples, replace(right, gold=(first, *samples.activity)))
    assert "twice" in twice


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("local_aws")
def test_the_demonstration_ends_well_and_so_does_a_second_one() -> None:
    command = [sys.executable, "-m", "pipeline_assets.demo"]
    first = subprocess.run(command, capture_output=True, text=True, check=False, timeout=290)  # noqa: S603  # our own module
    assert first.returncode == 0, first.stdout + first.stderr
    assert "13 LOADED" in first.stdout
    assert "20 items in DynamoDB" in first.stdout
    assert "✗" not in first.stdout
    second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=290)  # noqa: S603  # as above
    assert second.returncode == 0, second.stdout + second.stderr
    assert "0 runs" in second.stdout
