"""Latest tables: the newest row wins in any order, and goes with its date."""

import itertools
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from latest_scenario import (
    FIRST,
    SECOND,
    TABLE,
    THIRD,
    People,
    Served,
    counted_writes,
    people,
    provisioned,
)

from pipeline_assets.errors import ItemError, LocalAwsError
from resources.aws import Aws
from resources.dynamodb_items import to_attribute
from resources.dynamodb_latest import LatestCounts
from resources.dynamodb_tables import index_name
from resources.local_aws.provision import TableKeys, provision


@pytest.fixture
def table(aws: Aws) -> Served:
    return provisioned(aws)


@pytest.mark.parametrize("order", list(itertools.permutations((FIRST, SECOND, THIRD))))
def test_the_newest_row_wins_whatever_the_order_of_dates(
    table: Served, order: tuple[str, ...]
) -> None:
    dates = {
        FIRST: {"ada": 9, "bo": 1, "cy": 4},
        SECOND: {"ada": 3, "bo": 7, "cy": 4},
        THIRD: {"ada": 5, "bo": 2, "dee": 1},
    }
    for day in order:
        table.refresh({day: dates[day]})

    assert table.newest() == {
        "ada": (FIRST, 9),
        "bo": (SECOND, 7),
        "cy": (SECOND, 4),
        "dee": (THIRD, 1),
    }


def test_dates_of_one_run_write_each_item_once(table: Served) -> None:
    with counted_writes(table.aws) as written:
        counts = table.refresh({FIRST: {"ada": 1, "bo": 3}, SECOND: {"ada": 2, "bo": 2}})

    assert len(written) == 2
    assert counts == {FIRST: LatestCounts(2, written=1), SECOND: LatestCounts(2, written=1)}


def test_an_equal_run_writes_nothing(table: Served) -> None:
    dates = {FIRST: {"ada": 1, "nomail": 3}, SECOND: {"ada": 2}}
    table.refresh(dates)

    with counted_writes(table.aws) as written:
        counts = table.refresh(dates)

    assert written == []
    assert counts == {FIRST: LatestCounts(2), SECOND: LatestCounts(1)}


def test_a_row_that_is_gone_gives_way_to_the_newest_of_the_other_dates(table: Served) -> None:
    table.refresh({FIRST: {"ada": 1}, SECOND: {"ada": 2, "bo": 1}, THIRD: {"ada": 3, "bo": 2}})

    counts = table.refresh({THIRD: {}})

    assert counts == {THIRD: LatestCounts(0, settled=2)}
    assert table.newest() == {"ada": (SECOND, 2), "bo": (SECOND, 1)}


def test_a_key_that_no_date_has_any_more_is_deleted(table: Served) -> None:
    table.refresh({FIRST: {"ada": 1, "bo": 1}, SECOND: {"ada": 2}})

    counts = table.refresh({FIRST: {"ada": 1}})

    assert counts == {FIRST: LatestCounts(1, deleted=1)}
    assert table.newest() == {"ada": (SECOND, 2)}


def test_a_row_that_became_older_gives_way_too(table: Served) -> None:
    table.refresh({FIRST: {"ada": 5}, SECOND: {"ada": 9}})

    table.refresh({SECOND: {"ada": 2}})

    assert table.newest() == {"ada": (FIRST, 5)}


@hypothesis_settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=st.lists(
        st.dictionaries(
            st.sampled_from((FIRST, SECOND, THIRD)),
            st.dictionaries(st.sampled_from("abc"), st.integers(1, 4)),
            min_size=1,
            max_size=2,
        ),
        min_size=2,
        max_size=5,
    )
)
def test_any_history_of_replaced_dates_ends_in_the_newest_rows(
    table: Served, steps: list[dict[str, People]]
) -> None:
    gold: dict[str, People] = {FIRST: {}, SECOND: {}, THIRD: {}}
    table.refresh(gold)
    for step in steps:
        gold |= step
        table.refresh(step)

    wanted: dict[str, tuple[str, int]] = {}
    for day, updated in sorted(gold.items()):
        for name, at in updated.items():
            if name not in wanted or wanted[name][1] <= at:
                wanted[name] = (day, at)
    assert table.newest() == wanted


def test_items_are_found_by_a_lookup_and_one_without_a_value_by_its_key_alone(
    table: Served,
) -> None:
    table.refresh({FIRST: {"ada": 1, "nomail": 1}})

    found = table.aws.dynamodb.query(
        TableName=table.name,
        IndexName=index_name("email"),
        KeyConditionExpression="email = :email",
        ExpressionAttributeValues={":email": {"S": f"ada@{FIRST}"}},
    )["Items"]

    assert [item["person_id"]["S"] for item in found] == ["ada"]
    (nobody,) = (item for item in table.items() if item["person_id"]["S"] == "nomail")
    assert "email" not in nobody


def test_times_are_kept_equally_long_so_that_their_texts_are_in_order(table: Served) -> None:
    frame = people(FIRST, {"ada": 1}).with_columns(
        pl.col("updated_at") + pl.duration(microseconds=1)
    )
    table.refresh({SECOND: {"ada": 1}})

    table.store.refresh(TABLE, {FIRST: frame})

    assert table.items()[0]["event_date"] == {"S": FIRST}


def test_comparing_tells_what_another_program_did(table: Served) -> None:
    frames = table.write_gold({FIRST: {"ada": 1, "bo": 1, "cy": 1}, SECOND: {"ada": 2}})
    table.store.refresh(TABLE, frames)
    stranger = {"S": "2025-01-01"}
    dynamodb = table.aws.dynamodb
    dynamodb.delete_item(TableName=table.name, Key={"person_id": {"S": "bo"}})
    for name, email in {"cy": "other", "stranger": "x"}.items():
        time = to_attribute(datetime(2025, 1, 1, tzinfo=UTC), is_key=True)
        item: dict[str, Any] = {"person_id": {"S": name}, "email": {"S": email}}
        dynamodb.put_item(
            TableName=table.name, Item=item | {"event_date": stranger, "updated_at": time}
        )

    compared = table.store.compare(TABLE, frames)

    assert sorted(compared[FIRST].faults) == ["bo", "cy", "stranger"]
    assert (compared[FIRST].rows, compared[FIRST].items) == (3, 2)
    assert compared[SECOND].faults == ()


def test_items_of_a_date_are_read_back(table: Served) -> None:
    dates = {FIRST: {"nomail": 2, "ada": 1}, SECOND: {"ada": 2}}
    table.refresh(dates)

    loaded = table.store.load(TABLE, FIRST, schema=dict(people(FIRST, {}).schema))

    assert loaded.equals(people(FIRST, {"nomail": 2}))


def test_a_row_without_a_key_is_refused_before_anything_is_written(table: Served) -> None:
    frame = people(FIRST, {"ada": 1, "bo": 1}).with_columns(
        person_id=pl.when(pl.col("person_id") == "ada").then(pl.col("person_id"))
    )

    with counted_writes(table.aws) as written, pytest.raises(ItemError, match="person_id"):
        table.store.refresh(TABLE, {FIRST: frame})

    assert written == []


def test_a_key_may_be_as_long_as_a_partition_key(table: Served) -> None:
    table.refresh({FIRST: {"k" * 2048: 1}})

    assert table.newest() == {"k" * 2048: (FIRST, 1)}


def test_a_key_that_is_too_long_is_refused_by_its_beginning_with_the_mend(table: Served) -> None:
    with pytest.raises(ItemError, match=r"contract a check of its length") as refused:
        table.refresh({FIRST: {"ada": 1, "k" * 2049: 1}})

    assert f"{FIRST}/{'k' * 100}..., column 'person_id'" in str(refused.value)
    assert "k" * 101 not in str(refused.value)
    assert table.items() == []


@pytest.mark.parametrize("email", ["", "é" * 1025])
def test_a_row_whose_lookup_no_index_takes_is_served_by_its_key(table: Served, email: str) -> None:
    frame = people(FIRST, {"ada": 1}).with_columns(email=pl.lit(email))

    table.store.refresh(TABLE, {FIRST: frame})

    (ada,) = table.items()
    assert "email" not in ada
    assert table.store.compare(TABLE, {FIRST: frame})[FIRST].faults == ()


def test_a_table_without_its_index_is_refused(aws: Aws) -> None:
    name = f"{aws.settings.serving_prefix}old"
    provision(aws, [TableKeys(name, "person_id")])

    with pytest.raises(LocalAwsError, match="lacks the indexes"):
        provision(aws, [TableKeys(name, "person_id", indexed=("email",))])
