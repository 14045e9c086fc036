"""Gold of a date larger than memory: built in parts, the same as at once."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets import registry
from pipeline_assets.dataset import GoldTable
from pipeline_assets.datasets.events import DATASET, EVENT_TYPES
from pipeline_assets.errors import ContractBrokenError
from pipeline_assets.gold import build_table, distinct

DAY = date(2024, 5, 28)
MIDNIGHT = datetime(2024, 5, 28, tzinfo=UTC)
SCHEMA = pl.Schema(
    {
        "event_type": pl.String(),
        "user_id": pl.String(),
        "timestamp": pl.Datetime("us", "UTC"),
        "hour_bucket": pl.Datetime("us", "UTC"),
        "event_date": pl.Date(),
    }
)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(EVENT_TYPES),
        st.sampled_from(["ada", "grace", "edsger"]),
        st.integers(0, 5 * 60 - 1),
    ),
    max_size=60,
)
WITHIN = [table for each in registry.datasets() for table in each.gold if table.within]


def silver(events: list[tuple[str, str, int]]) -> pl.DataFrame:
    rows = [
        (kind, user, time := MIDNIGHT + timedelta(minutes=minute), time.replace(minute=0), DAY)
        for kind, user, minute in events
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").sort("timestamp")


@pytest.mark.parametrize("table", DATASET.gold, ids=lambda table: table.name)
@given(events=EVENTS)
def test_a_table_that_is_built_in_parts_is_the_one_built_at_once(
    events: list[tuple[str, str, int]], table: GoldTable
) -> None:
    rows = silver(events).lazy()

    at_once = build_table(table, rows, rows_at_a_time=len(events))
    in_parts = build_table(table, rows, rows_at_a_time=max(0, len(events) - 1))

    assert in_parts.equals(at_once)
    assert in_parts.schema == at_once.schema


def test_a_part_has_the_rows_of_one_value() -> None:
    seen = []

    def build(rows: pl.LazyFrame) -> pl.LazyFrame:
        seen.append(rows.collect()["event_type"].to_list())
        return rows.group_by("event_type").len()

    (table,) = (each for each in DATASET.gold if each.within == "event_type")
    rows = silver([("signup", "ada", 1), ("click", "ada", 2), ("signup", "ada", 3)]).lazy()
    parted = GoldTable(
        name="parted", description="-", build=build, contract=table.contract, within="event_type"
    )
    with pytest.raises(ContractBrokenError, match="parted"):
        build_table(parted, rows, rows_at_a_time=2)

    assert seen == [["click"], ["signup", "signup"]]


def test_every_table_that_names_a_column_to_be_parted_by_is_tried_here() -> None:
    assert list(DATASET.gold) == WITHIN


@given(
    names=st.lists(st.sampled_from(["ada", "grace", "edsger", None]), max_size=20),
    rows_at_a_time=st.integers(1, 25),
)
def test_who_came_is_found_in_parts_of_any_size(
    names: list[str | None], rows_at_a_time: int
) -> None:
    rows = pl.LazyFrame({"user_id": names, "other": names}, schema_overrides={"user_id": pl.String})

    found = distinct(rows, "user_id", rows_at_a_time=rows_at_a_time)

    assert found.columns == ["user_id"]
    assert sorted(found["user_id"]) == sorted({name for name in names if name is not None})
