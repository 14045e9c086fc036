"""Serving tables: which items are written, which rows are refused, what is read back."""

import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Literal

import polars as pl
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from urllib3 import HTTPResponse

from pipeline_assets.errors import (
    ItemError,
    ItemTooLargeError,
    ItemValueError,
    NotProvisionedError,
    ServingThrottledError,
)
from resources.aws import Aws
from resources.dynamodb import ServingCounts, ServingTableStore
from resources.dynamodb_items import MAX_ITEM_BYTES, ItemKeys, item_size, to_items
from resources.dynamodb_tables import ServingTable

SUMMARY = ServingTable("summary", "event_date", "event_type")
RANKING = ServingTable("ranking", "event_date", "rank")
FIRST, SECOND, THIRD = "2025-01-01", "2025-01-02", "2025-01-03"


def create_table(
    store: ServingTableStore, table: ServingTable, sort_type: Literal["S", "N"]
) -> None:
    store.aws.dynamodb.create_table(
        TableName=store.table_name(table),
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": table.partition_key, "KeyType": "HASH"},
            {"AttributeName": table.sort_key, "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": table.partition_key, "AttributeType": "S"},
            {"AttributeName": table.sort_key, "AttributeType": sort_type},
        ],
    )


@pytest.fixture
def store(aws: Aws) -> ServingTableStore:
    made = ServingTableStore(aws, sleep=lambda _: None)
    create_table(made, SUMMARY, "S")
    create_table(made, RANKING, "N")
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


@contextmanager
def instead_of_batches(
    store: ServingTableStore, act: Callable[[AWSPreparedRequest], AWSResponse | None]
) -> Iterator[None]:
    """Answer BatchWriteItem at the wire; ``None`` sends the request after all."""

    def hook(request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
        return act(request)

    events = store.aws.dynamodb.meta.events
    events.register("before-send.dynamodb.BatchWriteItem", hook)  # type: ignore[arg-type]  # stubs: no answers
    try:
        yield
    finally:
        events.unregister("before-send.dynamodb.BatchWriteItem", hook)  # type: ignore[arg-type]  # stubs: no answers


def answer(body: Mapping[str, object], status: int = 200) -> AWSResponse:
    raw = HTTPResponse(io.BytesIO(json.dumps(body).encode()), preload_content=False)
    return AWSResponse("http://dynamodb", status, HTTPHeaders(), raw)


def requested(request: AWSPreparedRequest) -> dict[str, list[Any]]:
    """Table name to its write requests, as they go over the wire."""
    assert isinstance(request.body, bytes | str)
    return dict(json.loads(request.body)["RequestItems"])


@contextmanager
def counted_writes(store: ServingTableStore) -> Iterator[list[int]]:
    """Sizes of the batches that are sent."""
    sizes: list[int] = []

    def count(request: AWSPreparedRequest) -> None:
        sizes.append(sum(len(writes) for writes in requested(request).values()))

    with instead_of_batches(store, count):
        yield sizes


def test_items_are_made_those_of_the_frame(store: ServingTableStore) -> None:
    first = store.replace_partition(SUMMARY, FIRST, summary(FIRST, click=1, signup=2, view=3))
    assert first == ServingCounts(rows=3, written=3, deleted=0, unchanged=0)
    second = store.replace_partition(SUMMARY, FIRST, summary(FIRST, click=1, signup=5, visit=4))
    assert second == ServingCounts(rows=3, written=2, deleted=1, unchanged=1)
    assert store.load(SUMMARY, FIRST).equals(summary(FIRST, click=1, signup=5, visit=4))


def test_a_repeat_writes_nothing(store: ServingTableStore) -> None:
    frame = summary(FIRST, click=1).with_columns(
        share=0.1, whole=2.0, tags=pl.lit([1.0]), place=pl.struct(x=pl.lit(3.50)), none=None
    )
    store.replace_partition(SUMMARY, FIRST, frame)
    with counted_writes(store) as sizes:
        again = store.replace_partition(SUMMARY, FIRST, frame)
    assert again == ServingCounts(rows=1, written=0, deleted=0, unchanged=1)
    assert sizes == []


def test_a_number_written_another_way_counts_as_the_same(store: ServingTableStore) -> None:
    store.aws.dynamodb.put_item(
        TableName=store.table_name(SUMMARY),
        Item={
            "event_date": {"S": FIRST},
            "event_type": {"S": "click"},
            "event_count": {"N": "1.20E+1"},
        },
    )
    assert store.replace_partition(SUMMARY, FIRST, summary(FIRST, click=12)).written == 0


def test_other_partitions_stay_as_they_are(store: ServingTableStore) -> None:
    store.replace_partition(SUMMARY, FIRST, summary(FIRST, click=1))
    store.replace_partition(SUMMARY, SECOND, summary(SECOND, view=1))
    store.replace_partition(SUMMARY, FIRST, summary(FIRST))
    assert store.load(SUMMARY, FIRST).is_empty()
    assert store.load(SUMMARY, SECOND).equals(summary(SECOND, view=1))


def test_many_items_go_out_in_batches_of_25(store: ServingTableStore) -> None:
    frame = summary(FIRST, **{f"type{number:03}": number for number in range(130)})
    with counted_writes(store) as sizes:
        store.replace_partition(SUMMARY, FIRST, frame)
    assert sorted(sizes) == [5, 25, 25, 25, 25, 25]
    assert store.load(SUMMARY, FIRST).equals(frame)


def test_a_partition_of_several_megabytes_is_read_whole(store: ServingTableStore) -> None:
    frame = summary(FIRST, **{f"type{number}": number for number in range(12)}).with_columns(
        text=pl.lit("x" * 300_000)
    )
    store.replace_partition(SUMMARY, FIRST, frame)
    pages: list[object] = []
    store.aws.dynamodb.meta.events.register(
        "before-send.dynamodb.Query", lambda **_: pages.append(1)
    )
    assert store.replace_partition(SUMMARY, FIRST, frame).unchanged == 12
    assert len(pages) > 1
    assert store.replace_partition(SUMMARY, FIRST, frame.head(2)).deleted == 10


def test_what_dynamodb_leaves_undone_is_sent_again(store: ServingTableStore) -> None:
    refusals = [1, 1, 1]

    def leave_all(request: AWSPreparedRequest) -> AWSResponse | None:
        if not refusals:
            return None
        refusals.pop()
        return answer({"UnprocessedItems": requested(request)})

    frame = summary(FIRST, **{f"type{number:02}": number for number in range(60)})
    with instead_of_batches(store, leave_all):
        assert store.replace_partition(SUMMARY, FIRST, frame).written == 60
    assert store.load(SUMMARY, FIRST).equals(frame)


def test_writes_left_undone_for_ever_are_a_retryable_error(
    aws: Aws, store: ServingTableStore
) -> None:
    waits: list[float] = []
    patient = ServingTableStore(aws, max_attempts=4, sleep=waits.append)

    def leave_one(request: AWSPreparedRequest) -> AWSResponse:
        (name, writes), *_ = requested(request).items()
        return answer({"UnprocessedItems": {name: writes[:1]}})

    with (
        instead_of_batches(store, leave_one),
        pytest.raises(
            ServingThrottledError, match=r"summary.* left 1 writes .* 4 attempts"
        ) as info,
    ):
        patient.replace_partition(SUMMARY, FIRST, summary(FIRST, click=1, view=2))
    assert info.value.retryable
    assert len(waits) == 3


def test_throttling_of_a_whole_batch_is_waited_out(store: ServingTableStore) -> None:
    throttled = answer(
        {"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}, 400
    )
    refusals = [throttled] * 5  # more than botocore tries by itself
    with instead_of_batches(store, lambda _: refusals.pop() if refusals else None):
        store.replace_partition(SUMMARY, FIRST, summary(FIRST, click=1))
    assert refusals == []
    assert store.load(SUMMARY, FIRST).equals(summary(FIRST, click=1))


def test_a_table_that_does_not_exist_is_named(store: ServingTableStore) -> None:
    with pytest.raises(NotProvisionedError):
        store.replace_partition(
            ServingTable("none", "a", "b"), "x", pl.DataFrame({"a": ["x"], "b": [1]})
        )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e-200, 1e200, timedelta(1)])
def test_a_value_without_a_form_is_refused_by_key_and_column(
    store: ServingTableStore, value: object
) -> None:
    frame = summary(FIRST, click=1, view=2).with_columns(odd=pl.Series([None, value]))
    with pytest.raises(ItemValueError, match=f"summary, item {FIRST}/view, column 'odd': "):
        store.replace_partition(SUMMARY, FIRST, frame)
    assert raw_items(store, SUMMARY) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (pl.lit(None, pl.String).alias("event_type"), "'event_type': a key .* never null"),
        (pl.lit("").alias("event_type"), "'event_type': a key takes 1 to 1024 bytes"),
        (pl.lit("é" * 513).alias("event_type"), "'event_type': a key takes 1 to 1024 bytes"),
        (pl.lit(True).alias("event_type"), "'event_type': a key is text"),
        (pl.lit("same").alias("event_type"), f"item {FIRST}/same, .*two rows have this key"),
        (pl.lit(SECOND).alias("event_date"), f"'event_date': the row belongs to .*{FIRST}"),
        (pl.col("event_count").alias("event_date"), f"'event_date': the row belongs to .*{FIRST}"),
    ],
)
def test_a_row_with_an_unusable_key_is_refused(
    store: ServingTableStore, change: pl.Expr, reason: str
) -> None:
    frame = summary(FIRST, click=1, view=2).with_columns(change)
    with pytest.raises(ItemError, match=reason):
        store.replace_partition(SUMMARY, FIRST, frame)
    assert raw_items(store, SUMMARY) == []


def test_a_frame_without_the_key_column_is_refused(store: ServingTableStore) -> None:
    with pytest.raises(ItemValueError, match="column 'event_type': a key"):
        store.replace_partition(SUMMARY, FIRST, summary(FIRST, click=1).drop("event_type"))


def test_an_item_over_the_limit_is_refused_before_anything_is_written(
    store: ServingTableStore,
) -> None:
    frame = summary(FIRST, click=1, view=2)
    other_bytes = item_size(
        to_items(ItemKeys("t", "event_date", "event_type"), FIRST, frame.to_dicts())[1]
    )
    room = MAX_ITEM_BYTES - other_bytes - len("text")
    over = frame.with_columns(text=pl.Series(["x", "x" * (room + 1)]))
    with pytest.raises(ItemTooLargeError, match=f"summary, item {FIRST}/view has 409,601 bytes"):
        store.replace_partition(SUMMARY, FIRST, over)
    assert raw_items(store, SUMMARY) == []


def test_items_come_back_by_numeric_sort_key_with_their_types(store: ServingTableStore) -> None:
    frame = pl.DataFrame(
        {
            "event_date": [FIRST] * 3,
            "rank": [10, 9, -1],
            "share": [0.5, 2.0, None],
            "whole": [1.0, 2.0, 3.0],
            "big": [2**60 + 1, None, 0],
            "tags": [["a"], [], None],
            "raw": [b"1", None, b"2"],
        }
    )
    store.replace_partition(RANKING, FIRST, frame)
    loaded = store.load(RANKING, FIRST)
    assert loaded["rank"].to_list() == [-1, 9, 10]
    assert loaded.schema["share"] == pl.Float64
    assert loaded.schema["whole"] == pl.Int64
    assert loaded["big"].to_list() == [0, None, 2**60 + 1]
    assert loaded.columns == ["event_date", "rank", "big", "raw", "share", "tags", "whole"]
    typed = store.load(RANKING, FIRST, schema=dict(frame.schema))
    assert typed.equals(frame.sort("rank"))
    assert typed.schema == frame.schema
