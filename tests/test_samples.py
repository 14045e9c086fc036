"""The samples of every dataset: the pipeline makes of them what their generators say."""

import gzip
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from pipeline_assets.dataset import Dataset, event_dates
from pipeline_assets.demo.__main__ import summarize
from pipeline_assets.demo.expectation import Account, DatasetSamples, Layer, Plan
from pipeline_assets.demo.outcome import Outcome, disagreements
from pipeline_assets.demo.samples import make_samples, write_samples
from pipeline_assets.parsing.reader import open_records
from pipeline_assets.parsing.records import Layout
from pipeline_assets.partitions import file_date
from pipeline_assets.refine import RefinedDate, refine
from pipeline_assets.registry import dataset, datasets
from resources.lake import TableName
from resources.landfall import Landfall
from resources.ledger.model import FileState
from resources.local_aws.crm_server import made_up_customers

LANDED_AT = datetime(2026, 1, 15, 12, tzinfo=UTC)
PULLED_ON = LANDED_AT.date()
NAMES = ("events", "logs", "readings", "customers")
LEAP_DAYS = Plan(seed=2025, days=2, first_date=date(2024, 2, 28))


def of(name: str, plan: Plan) -> DatasetSamples:
    (found,) = (each for each in make_samples(plan, pulled_on=PULLED_ON) if each.dataset == name)
    return found


@pytest.fixture(scope="module", params=NAMES)
def samples(request: pytest.FixtureRequest) -> DatasetSamples:
    return of(request.param, Plan())


def contents(samples: DatasetSamples) -> Iterator[tuple[str, bytes]]:
    """Bytes of all that lands, by landing key; the CRM's as the pull writes them."""
    for file in samples.files:
        yield f"{samples.dataset}/{file.key}", file.content
    for key in samples.pulled:
        lines = "".join(f"{json.dumps(each)}\n" for each in made_up_customers())
        yield f"{samples.dataset}/{key}", gzip.compress(lines.encode())


def records_of(path: Path, key: str, declared: Dataset) -> pl.DataFrame:
    """A file's records as the pipeline reads and files them."""
    layout = Layout(declared.fields, writing=declared.writing)
    with open_records(path, key=key, formats=declared.formats, layout=layout) as reader:
        records = pl.concat(pl.DataFrame(batch) for batch in reader)
    days = event_dates(
        records,
        declared,
        file_date=file_date(key, LANDED_AT, declared),
        landed_date=LANDED_AT.date(),
    )
    return records.with_columns(days, pl.lit(key).alias("_file_id"))


def refined_dates(samples: DatasetSamples, folder: Path) -> dict[date, RefinedDate]:
    """What silver and quarantine hold of the samples, by event date."""
    declared = dataset(samples.dataset)
    path = folder / "landed"
    frames = []
    for key, content in contents(samples):
        path.write_bytes(content)
        frames.append(records_of(path, key, declared))
    keys = {key: key for key, _ in contents(samples)}
    by_date = pl.concat(frames).partition_by("event_date", as_dict=True, include_key=False)
    return {
        day: refine(rows, declared, event_date=day, landing_keys=keys)
        for (day,), rows in sorted(by_date.items())
    }


def accounts_of(refined: dict[date, RefinedDate]) -> dict[date, Account]:
    return {
        day: Account(
            landed=each.bronze_rows,
            silver=each.silver_rows,
            quarantined=each.quarantined,
            duplicates=each.duplicates,
        )
        for day, each in refined.items()
    }


@pytest.fixture(scope="module")
def refined(
    samples: DatasetSamples, tmp_path_factory: pytest.TempPathFactory
) -> dict[date, RefinedDate]:
    return refined_dates(samples, tmp_path_factory.mktemp("refined"))


def test_every_dataset_has_samples() -> None:
    assert {each.name for each in datasets()} == set(NAMES)


def test_the_same_plan_gives_the_same_bytes_whenever_the_crm_is_pulled(
    samples: DatasetSamples,
) -> None:
    later = make_samples(Plan(), pulled_on=date(2027, 3, 1))
    (again,) = (each.files for each in later if each.dataset == samples.dataset)
    assert again == samples.files


def test_another_seed_gives_other_files_at_the_same_keys(samples: DatasetSamples) -> None:
    other = of(samples.dataset, Plan(seed=8))
    assert other.keys == samples.keys
    assert all(a.content != b.content for a, b in zip(other.files, samples.files, strict=True))


def test_files_are_written_at_their_keys(samples: DatasetSamples, tmp_path: Path) -> None:
    write_samples(tmp_path, samples)
    found = {
        path.relative_to(tmp_path).as_posix(): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert found == {file.key: file.content for file in samples.files}


def test_every_account_adds_up_and_stays_below_the_quarantine_threshold(
    samples: DatasetSamples,
) -> None:
    threshold = dataset(samples.dataset).quarantine_threshold
    for account in samples.accounts.values():
        assert account.adds_up
        assert account.quarantined < 0.5 * threshold * account.landed
    assert sum(account.quarantined for account in samples.accounts.values()) > 0


def test_the_pipeline_files_and_refines_the_records_as_the_account_says(
    samples: DatasetSamples, refined: dict[date, RefinedDate]
) -> None:
    assert accounts_of(refined) == samples.accounts


def test_the_pipeline_derives_the_gold_that_the_generator_says(
    samples: DatasetSamples, refined: dict[date, RefinedDate]
) -> None:
    declared = {table.name: table for table in dataset(samples.dataset).gold}
    expected = [
        each for each in samples.tables if each.layer is Layer.GOLD and each.name in declared
    ]
    assert expected
    for table in expected:
        build = declared[table.name].build
        frames = (build(each.silver.lazy()).collect() for each in refined.values())
        rows = tuple(row for frame in frames for row in frame.select(table.columns).iter_rows())
        assert rows == table.rows


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("plan", [LEAP_DAYS, Plan(seed=0, days=1)])
def test_the_account_holds_for_other_seeds_days_and_dates(
    name: str, plan: Plan, tmp_path: Path
) -> None:
    samples = of(name, plan)
    assert accounts_of(refined_dates(samples, tmp_path)) == samples.accounts
    assert {*samples.accounts} <= {*plan.dates, PULLED_ON}


def right(samples: DatasetSamples) -> Outcome:
    return Outcome(
        states=dict.fromkeys(samples.keys, FileState.LOADED),
        accounts=samples.accounts,
        tables={table.title: table.rows for table in samples.tables},
    )


def test_an_outcome_as_the_generator_says_has_no_disagreement(samples: DatasetSamples) -> None:
    assert disagreements(samples, right(samples)) == ()


def test_a_file_that_is_not_loaded_disagrees(samples: DatasetSamples) -> None:
    dead, unknown = samples.keys[0], samples.keys[1]
    states = dict.fromkeys(samples.keys[2:], FileState.LOADED) | {dead: FileState.DEAD}
    assert disagreements(samples, replace(right(samples), states=states)) == (
        f"{samples.dataset}/{dead} is DEAD, not LOADED.",
        f"{samples.dataset}/{unknown} is unknown to the ledger, not LOADED.",
    )


def test_an_account_that_adds_up_but_differs_disagrees(samples: DatasetSamples) -> None:
    day, expected = next(iter(samples.accounts.items()))
    other = replace(expected, silver=expected.silver - 1, duplicates=expected.duplicates + 1)
    assert other.adds_up
    outcome = replace(right(samples), accounts={**samples.accounts, day: other})
    (sentence,) = disagreements(samples, outcome)
    assert sentence.startswith(f"{samples.dataset} of {day}: the generator wrote")


def test_a_row_too_few_too_many_or_twice_disagrees_in_every_table(samples: DatasetSamples) -> None:
    outcome = right(samples)
    for table in samples.tables:
        first, *others = table.rows
        strange = ("strange", *first[1:])

        def told(*rows: tuple[object, ...], title: str = table.title) -> tuple[str, ...]:
            return disagreements(
                samples, replace(outcome, tables={**outcome.tables, title: tuple(rows)})
            )

        (lacking,) = told(*others)
        assert lacking.startswith(f"{table.title} lacks ")
        (unexpected,) = told(strange, *table.rows)
        assert unexpected.startswith(f"{table.title} has {table.columns[0]} strange")
        (twice,) = told(first, *table.rows)
        assert "twice" in twice


def test_of_many_differing_rows_a_few_are_told_and_the_others_counted() -> None:
    samples = of("readings", Plan())
    (table,) = samples.tables
    told = disagreements(samples, replace(right(samples), tables={}))
    assert len(told) == 4
    assert told[-1] == f"{table.title} differs in {len(table.rows) - 3} rows more."


def demonstrate() -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline_assets.demo"],
        capture_output=True,
        text=True,
        check=False,
        timeout=290,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✗" not in done.stdout
    return done.stdout


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("local_aws")
def test_the_demonstration_ends_well_twice_and_notices_what_is_gone_from_gold() -> None:
    first = demonstrate()
    for title in ("events (13 LOADED)", "logs (11 LOADED)", "readings (7 LOADED)"):
        assert title in first
    assert "customers (2 LOADED)" in first
    assert "serving/daily_event_summary: 20 rows" in first
    assert "serving/customers: 260 rows" in first
    assert re.search(r"serving/customers by email \S+: 1 row\n", first)
    second = demonstrate()
    assert "0 runs" in second

    landfall = Landfall()
    (day,) = set(re.findall(r"customers/dt=([0-9-]+)/crm\.jsonl\.gz\.", first + second))
    samples = make_samples(Plan(), pulled_on=date.fromisoformat(day))
    gone = landfall.lake.key(TableName("gold", "hourly_readings"), "2025-03-05")
    landfall.aws.s3.delete_object(Bucket=landfall.settings.lake_bucket, Key=gone)
    output = io.StringIO()
    console = Console(file=output, soft_wrap=True)
    assert not summarize(console, landfall, samples)
    assert "gold/hourly_readings lacks event_date 2025-03-05" in output.getvalue()
    assert "gold/hourly_readings differs in 93 rows more." in output.getvalue()
