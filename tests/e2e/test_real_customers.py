"""Real customers from the pages of a CRM, over HTTP, to the items that applications read."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

import pytest
from real_data import (
    EXPECTED,
    Worker,
    assert_nothing_is_left,
    ledger_account,
    table,
    tables_account,
    work,
)
from scenario import NEEDS_REAL_DATA, REAL_DATA, Pipeline, open_pipeline

from pipeline_assets.crm_pull import landing_key, pull
from pipeline_assets.datasets.customers import DATASET
from pipeline_assets.serving import serving_table
from resources.dynamodb_items import from_attribute
from resources.dynamodb_tables import index_name
from resources.ledger.model import DateCounts, FileState
from resources.local_aws.control import LocalAwsStatus
from resources.local_aws.crm_server import CrmServer, Customer, serving

pytestmark = [
    NEEDS_REAL_DATA,
    pytest.mark.real,
    pytest.mark.timeout(900),
    # Two processes would each load the whole set.
    pytest.mark.xdist_group("real-customers"),
]

VIEW = serving_table(DATASET.serving[0])
TOKEN = "of-the-real-pages"
EVERY = 40
"""One address in so many is looked up: each takes a request."""

Fields = dict[str, object]


@dataclass(frozen=True)
class Pulled:
    """The pipeline after the pull and its work, the CRM that was asked, and the pull's date."""

    pipeline: Pipeline
    crm: CrmServer
    day: date


@cache
def pages() -> list[list[Customer]]:
    """Records of the real pages, in their order."""
    paths = sorted((REAL_DATA / "crm").glob("customers-page-*.json"))
    return [json.loads(path.read_text(encoding="utf-8"))["data"] for path in paths]


def customers() -> dict[str, Customer]:
    """Real records by id."""
    return {str(each["id"]): each for page in pages() for each in page}


@pytest.fixture(scope="module")
def pulled(
    local_aws_server: LocalAwsStatus,
    empty_instance: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pulled]:
    records = [each for page in pages() for each in page]
    crm = CrmServer(records, token=TOKEN, page_size=len(pages()[0]))
    worker = Worker(local_aws_server, empty_instance)
    home = tmp_path_factory.mktemp("customers") / "home"
    with worker.environment(home) as environment, serving(crm) as url:
        environment.setenv("LANDFALL_CRM_URL", url)
        environment.setenv("LANDFALL_CRM_TOKEN", TOKEN)
        with open_pipeline() as pipeline:
            day = datetime.now(UTC).date()
            assert pull(pipeline.landfall, day).changed
            assert work(pipeline).failed_runs == []
            yield Pulled(pipeline, crm, day)


@pytest.fixture(scope="module")
def items(pulled: Pulled) -> dict[str, Fields]:
    """Items of the serving table by customer."""
    landfall = pulled.pipeline.landfall
    scanned = landfall.aws.dynamodb.get_paginator("scan").paginate(
        TableName=landfall.serving.table_name(VIEW), ConsistentRead=True
    )
    found = [
        {name: from_attribute(value) for name, value in item.items()}
        for page in scanned
        for item in page["Items"]
    ]
    by_id: dict[str, Fields] = {str(item["customer_id"]): item for item in found}
    assert len(by_id) == len(found)
    return by_id


def by_email(pipeline: Pipeline, email: str) -> set[str]:
    """Ids of the customers that the index finds."""
    answer = pipeline.landfall.aws.dynamodb.query(
        TableName=pipeline.landfall.serving.table_name(VIEW),
        IndexName=index_name("email"),
        KeyConditionExpression="email = :email",
        ExpressionAttributeValues={":email": {"S": email}},
    )
    return {str(from_attribute(item["customer_id"])) for item in answer["Items"]}


def test_the_pull_asks_for_each_page_once_and_lands_every_record(pulled: Pulled) -> None:
    key = landing_key(pulled.day)

    head = pulled.pipeline.file(key)

    assert pulled.crm.asked[: len(pages())] == [1, 2, 3, 4, 5]
    assert (head.state, head.attempts, head.malformed) == (FileState.LOADED, 1, 0)
    assert head.records == len(customers()) == 2059
    assert_nothing_is_left(pulled.pipeline, "customers")


def test_every_record_of_the_pull_is_in_silver(pulled: Pulled) -> None:
    records = json.loads((EXPECTED / "customers.json").read_text())["records"]

    account = tables_account(pulled.pipeline, "customers")

    assert account == {pulled.day.isoformat(): DateCounts(records, records, 0, 0)}
    assert account == ledger_account(pulled.pipeline, "customers")


def test_gold_and_the_items_hold_the_customers_and_tiers_worked_out_independently(
    pulled: Pulled, items: dict[str, Fields]
) -> None:
    expected = json.loads((EXPECTED / "customers.json").read_text())
    gold = table(pulled.pipeline, "gold", "customers")

    assert len(items) == gold.height == expected["distinct_ids"]
    assert Counter(item["loyalty_tier"] for item in items.values()) == expected["tiers"]
    assert dict(gold["loyalty_tier"].value_counts().iter_rows()) == expected["tiers"]


def test_each_item_says_what_the_page_says(items: dict[str, Fields]) -> None:
    assert items.keys() == customers().keys()

    found = {key: fields_of(item) for key, item in items.items()}

    assert found == {key: expected_fields(each) for key, each in customers().items()}


def fields_of(item: Fields) -> Fields:
    times = ("created_at", "updated_at")
    kept = ("full_name", "email", "country", "loyalty_points")
    return {name: item.get(name) for name in kept} | {
        name: datetime.fromisoformat(str(item[name])) for name in times
    }


def expected_fields(customer: Customer) -> Fields:
    created = datetime.fromisoformat(str(customer["created_at"]))
    return {
        "full_name": f"{customer['first_name']} {customer['last_name']}",
        "email": str(customer["email_address"]).lower(),
        "country": None,
        "loyalty_points": customer["loyalty_points"],
        "created_at": created,
        "updated_at": created,
    }


def test_a_phone_number_is_its_digits_after_a_plus_or_stays_as_it_came(
    items: dict[str, Fields],
) -> None:
    valid = {key for key, item in items.items() if item["phone_valid"]}

    assert len(valid) > 1000
    assert len(valid) < len(items)
    for key, item in items.items():
        received = str(customers()[key]["phone_number"])
        digits = re.sub(r"[^0-9]", "", received)
        assert item["phone"] == (f"+1{digits[-10:]}" if key in valid else received)


def test_every_customer_of_an_address_is_found_by_it(pulled: Pulled) -> None:
    ids: dict[str, set[str]] = defaultdict(set)
    for key, customer in customers().items():
        ids[str(customer["email_address"]).lower()].add(key)
    shared = [email for email, having in ids.items() if len(having) > 1]
    asked = {*sorted(ids)[::EVERY], *shared[:10], "nobody@example.com"}

    found = {email: by_email(pulled.pipeline, email) for email in asked}

    assert shared
    assert found == {email: ids.get(email, set()) for email in asked}


def test_the_same_pages_pulled_again_change_nothing(
    pulled: Pulled, items: dict[str, Fields]
) -> None:
    before = pulled.pipeline.stored("bronze/", "silver/", "quarantine/", "gold/")

    assert not pull(pulled.pipeline.landfall, pulled.day).changed
    report = work(pulled.pipeline)

    assert report.runs == 0
    assert pulled.pipeline.stored("bronze/", "silver/", "quarantine/", "gold/") == before
    assert len(items) == len(pulled.pipeline.items()["customers"])
