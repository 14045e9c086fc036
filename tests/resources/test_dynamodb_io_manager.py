"""Serving assets through real materializations, by partition, range and annotation."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from pipeline_assets.errors import (
    ConfigurationError,
    PartitionMissingError,
    PartitionsNotGivenError,
)
from resources.aws import Aws
from resources.dynamodb import DynamoDBIOManager, ServingTableStore
from resources.dynamodb_tables import ServingTable
from resources.frames import FrameKind, from_arrow, to_arrow

pytestmark = pytest.mark.filterwarnings(
    "ignore:Parameter `backfill_policy` .* is currently in beta"
)

SUMMARY = ServingTable("summary", "event_date", "event_type")
FIRST, SECOND, THIRD = "2025-01-01", "2025-01-02", "2025-01-03"
FRAMES = (pl.DataFrame, pl.LazyFrame, pd.DataFrame, pa.Table)


@pytest.fixture
def store(aws: Aws) -> ServingTableStore:
    made = ServingTableStore(aws)
    aws.dynamodb.create_table(
        TableName=made.table_name(SUMMARY),
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": "event_date", "KeyType": "HASH"},
            {"AttributeName": "event_type", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "event_date", "AttributeType": "S"},
            {"AttributeName": "event_type", "AttributeType": "S"},
        ],
    )
    return made


def summary(day: str, **counts: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "event_date": [day] * len(counts),
            "event_type": [*counts],
            "event_count": [*counts.values()],
        },
        schema={"event_date": pl.String, "event_type": pl.String, "event_count": pl.Int64},
    )


def raw_items(store: ServingTableStore, table: ServingTable) -> list[dict[str, Any]]:
    return store.aws.dynamodb.scan(TableName=store.table_name(table))["Items"]


DATES = dg.DailyPartitionsDefinition("2025-01-01", end_date="2025-01-11")
SERVING = dg.AssetKey(["serving", "summary"])
METADATA = {
    "landfall/table": "summary",
    "landfall/partition_key": "event_date",
    "landfall/sort_key": "event_type",
}


def producer(value: object, metadata: Mapping[str, str] = METADATA) -> dg.AssetsDefinition:
    @dg.asset(
        key=SERVING,
        partitions_def=DATES,
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_key="serving",
        metadata=metadata,
    )
    def served() -> Any:
        return value

    return served


def run(
    store: ServingTableStore, assets: list[dg.AssetsDefinition], last: str = FIRST
) -> dict[str | None, dict[str, Any]]:
    """Materialize the last asset from the first date on; its metadata by partition."""
    span = {
        "dagster/asset_partition_range_start": FIRST,
        "dagster/asset_partition_range_end": last,
    }
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            assets,
            selection=[assets[-1]],
            instance=instance,
            resources={"serving": DynamoDBIOManager(lambda: store)},
            partition_key=FIRST if last == FIRST else None,
            tags=None if last == FIRST else span,
        )
    stored = [event.materialization for event in result.get_asset_materialization_events()]
    return {m.partition: {k: v.value for k, v in m.metadata.items()} for m in stored}


def load(store: ServingTableStore, annotation: object, last: str = FIRST) -> Any:
    seen: list[Any] = []

    def report(served: Any) -> None:
        seen.append(served)

    report.__annotations__["served"] = annotation
    downstream = dg.asset(
        ins={"served": dg.AssetIn(SERVING)},
        partitions_def=DATES,
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_key="serving",
    )(report)
    run(store, [producer(None), downstream], last)
    return seen[0]


@pytest.mark.parametrize("kind", FrameKind)
def test_every_frame_type_becomes_the_same_items(store: ServingTableStore, kind: FrameKind) -> None:
    frame = summary(FIRST, click=1, view=2).with_columns(
        big=pl.Series([2**60 + 1, None]), place=pl.struct(x=pl.lit(2**60 + 1), y=pl.lit("a"))
    )
    store.replace_partition(SUMMARY, FIRST, frame)
    said = run(store, [producer(from_arrow(frame.to_arrow(), kind))])
    assert said[FIRST] == {
        "event_date": FIRST,
        "table": store.table_name(SUMMARY),
        "rows": 2,
        "written": 0,
        "deleted": 0,
        "unchanged": 2,
    }


def test_a_range_replaces_each_of_its_dates(store: ServingTableStore) -> None:
    frames = {FIRST: summary(FIRST, click=1), THIRD: summary(THIRD, view=2)}
    said = run(store, [producer(frames)], THIRD)
    assert [said[day].get("rows") for day in (FIRST, SECOND, THIRD)] == [1, None, 1]
    assert len(raw_items(store, SUMMARY)) == 2
    with pytest.raises(PartitionsNotGivenError, match="serving/summary"):
        run(store, [producer(summary(FIRST, click=1))], THIRD)


@pytest.mark.parametrize("kind", FRAMES)
def test_an_annotation_gets_its_frame(store: ServingTableStore, kind: type) -> None:
    wanted = pl.concat([summary(FIRST, click=1), summary(THIRD, view=2)])
    run(store, [producer({FIRST: wanted.head(1), THIRD: wanted.tail(1)})], THIRD)
    frame = load(store, kind, THIRD)
    assert type(frame) is kind
    assert to_arrow("it", frame).to_pylist() == wanted.to_dicts()
    by_date = load(store, dict[str, kind], THIRD)  # type: ignore[valid-type]
    assert list(by_date) == [FIRST, THIRD]
    assert type(by_date[THIRD]) is kind


def test_a_date_without_items_is_missing(store: ServingTableStore) -> None:
    with pytest.raises(PartitionMissingError, match=f"serving/summary has no partition {FIRST}"):
        load(store, pl.DataFrame)


def test_an_asset_without_the_metadata_is_told_which(store: ServingTableStore) -> None:
    bare = producer(summary(FIRST, click=1), {"landfall/table": "summary"})
    with pytest.raises(ConfigurationError, match="landfall/partition_key, landfall/sort_key"):
        run(store, [bare])


def test_an_asset_without_partitions_is_refused(store: ServingTableStore) -> None:
    @dg.asset(key=SERVING, io_manager_key="serving", metadata=METADATA)
    def served() -> pl.DataFrame:
        return summary(FIRST, click=1)

    with (
        dg.DagsterInstance.ephemeral() as instance,
        pytest.raises(ConfigurationError, match="serving/summary has no partitions"),
    ):
        dg.materialize(
            [served], instance=instance, resources={"serving": DynamoDBIOManager(lambda: store)}
        )
