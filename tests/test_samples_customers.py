"""Sample customers: the newest of what the CRM and a partner know, whoever came first."""

import csv
from datetime import date
from typing import Final

import pytest

from pipeline_assets.demo.customer_samples import COLUMNS, DATASET, OWN, SHARED, samples
from pipeline_assets.demo.expectation import DatasetSamples, ExpectedTable, Layer, Plan
from resources.local_aws.crm_server import made_up_customers

PLAN: Final = Plan()
PULLED_ON: Final = date(2026, 1, 15)


@pytest.fixture(scope="module")
def made() -> DatasetSamples:
    return samples(PLAN, pulled_on=PULLED_ON)


def served(made: DatasetSamples, *, lookup: bool = False) -> ExpectedTable:
    (table,) = (
        each
        for each in made.tables
        if each.layer is Layer.SERVING and (each.lookup is not None) is lookup
    )
    return table


def by_id(table: ExpectedTable) -> dict[object, dict[str, object]]:
    rows = (dict(zip(COLUMNS, row, strict=True)) for row in table.rows)
    return {row["customer_id"]: row for row in rows}


def test_the_partner_knows_customers_of_the_crm_and_has_its_own(made: DatasetSamples) -> None:
    (file,) = made.files
    rows = list(csv.DictReader(file.content.decode().splitlines()))
    shared = {row["id"] for row in rows} & {each["id"] for each in made_up_customers()}
    assert len(rows) == file.records == SHARED + OWN + 2
    assert len(shared) == SHARED
    assert sum("@" not in row["emailAddress"] for row in rows) == 1


def test_the_newer_record_is_served_from_whichever_source(made: DatasetSamples) -> None:
    (file,) = made.files
    standing = by_id(served(made))
    crm = {each["id"]: each for each in made_up_customers()}
    told = list(csv.DictReader(file.content.decode().splitlines()))[:SHARED]
    newer = 0
    for row in told:
        ours = crm[row["id"]]
        is_newer = row["updatedAt"] > str(ours.get("updated_at", ours["created_at"]))
        newer += is_newer
        address = row["emailAddress"] if is_newer else str(ours["email_address"])
        assert standing[row["id"]]["email"] == address.lower()
        assert standing[row["id"]]["event_date"] == (PLAN.first_date if is_newer else PULLED_ON)
    assert newer == SHARED // 2
    assert len(standing) == len(crm) + OWN


def test_the_lookup_finds_a_customer_by_the_partners_newer_address(made: DatasetSamples) -> None:
    table = served(made, lookup=True)
    (row,) = by_id(table).values()
    assert table.lookup is not None
    assert row["email"] == table.lookup.value
    assert row["event_date"] == PLAN.first_date


def test_a_later_day_has_the_same_customers_at_another_key(made: DatasetSamples) -> None:
    later = samples(PLAN, pulled_on=date(2026, 1, 16))
    assert made.pulled == ("dt=2026-01-15/crm.jsonl.gz",)
    assert later.pulled == ("dt=2026-01-16/crm.jsonl.gz",)
    assert by_id(served(later)).keys() == by_id(served(made)).keys()
    assert [*later.accounts.values()] == [*made.accounts.values()]


def test_a_pull_on_the_partners_date_makes_one_account_of_both() -> None:
    made = samples(PLAN, pulled_on=PLAN.first_date)
    (account,) = made.accounts.values()
    count = len(made_up_customers())
    assert account.adds_up
    assert (account.landed, account.silver) == (count + SHARED + OWN + 2, count + OWN)
    gold, standing, _ = made.tables
    assert gold.name == DATASET
    assert gold.rows == standing.rows
