"""``serving``: items into DynamoDB over a network, against boto3's ``batch_writer``.

The local AWS takes some 3,000 items a second, whoever writes them, so both sides would be measured
waiting for it. They write to a stand-in that only checks and keeps the items (`item_server`).
"""

import time
from pathlib import Path

import boto3
import polars as pl

from bench.measure import Bench, Measured, Turn, timed
from bench.tables.child_server import HOST
from bench.tables.delay_proxy import delayed
from bench.tables.item_server import PARTITION_KEY, SORT_KEY, item_server
from resources.aws import LOCAL_CREDENTIALS, LOCAL_REGION, Aws
from resources.dynamodb import DynamoDBIOManager, ServingTableStore
from resources.dynamodb_tables import ServingTable
from resources.partition_io import StoredAsset
from resources.settings import Settings

TABLE = ServingTable("by-user", PARTITION_KEY, SORT_KEY)
PEER_TABLE = "by-user-of-the-peer"
ASSET = StoredAsset(("serving", "by_user"), TABLE.metadata)
DAY = "2025-03-10"
KINDS = ("page_view", "click", "purchase", "signup")


def measure(bench: Bench) -> Measured:
    """Each turn writes into tables that are empty."""
    items, few = bench.sizes.serving_items, bench.sizes.serving_peer_items
    frame, peers_frame = summary(items), summary(few)
    turns = tuple(_turn(bench, frame, peers_frame) for _ in range(bench.sizes.turns))
    return Measured(
        turns=turns,
        sizes={
            "items": items,
            "items of the peer": few,
            "ms added to a call": bench.sizes.serving_delay_ms,
        },
        facts={
            "our items a second": items / turns[-1].ours,
            "the peer's items a second": items / (turns[-1].peer or 1),
        },
    )


def summary(items: int) -> pl.DataFrame:
    """A gold table of one date, a row for each item."""
    numbers = range(items)
    return pl.DataFrame(
        {
            PARTITION_KEY: [DAY] * items,
            SORT_KEY: [f"user-{number:08}" for number in numbers],
            "event_type": [KINDS[number % len(KINDS)] for number in numbers],
            "event_count": [number % 97 for number in numbers],
        }
    )


def _turn(bench: Bench, frame: pl.DataFrame, peers_frame: pl.DataFrame) -> Turn:
    """One turn, scaled to all items: the peer makes one call after the other."""
    ours = _store(bench.folder, 0).table_name(TABLE)
    with (
        item_server(ours, PEER_TABLE) as server_port,
        delayed(server_port, bench.sizes.serving_delay_ms) as port,
    ):
        own, peer = _ours(_store(bench.folder, port), frame), _peers(port, peers_frame)
        stored = _store(bench.folder, server_port)
        _assert_stored(stored, ours, frame)
        _assert_stored(stored, PEER_TABLE, peers_frame)
    return Turn(own, peer / peers_frame.height * frame.height)


def _ours(store: ServingTableStore, frame: pl.DataFrame) -> float:
    manager = DynamoDBIOManager(lambda: store)
    seconds, _ = timed(lambda: manager.write_partition(ASSET, DAY, frame))
    return seconds


def _peers(port: int, frame: pl.DataFrame) -> float:
    begin = time.perf_counter()
    dynamodb = boto3.resource(
        "dynamodb",
        endpoint_url=f"http://{HOST}:{port}",
        region_name=LOCAL_REGION,
        aws_access_key_id=LOCAL_CREDENTIALS,
        aws_secret_access_key=LOCAL_CREDENTIALS,
    )
    with dynamodb.Table(PEER_TABLE).batch_writer() as writer:
        for row in frame.iter_rows(named=True):
            writer.put_item(Item=row)
    return time.perf_counter() - begin


def _store(folder: Path, port: int) -> ServingTableStore:
    """A store whose DynamoDB answers at a port of this machine."""
    return ServingTableStore(Aws(Settings(home=folder, local_port=port or 1)))


def _assert_stored(store: ServingTableStore, table: str, frame: pl.DataFrame) -> None:
    """The table holds the frame's rows and nothing else.

    Raises:
        AssertionError: it does not.
    """
    pages = store.aws.dynamodb.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="#key = :partition",
        ExpressionAttributeNames={"#key": PARTITION_KEY},
        ExpressionAttributeValues={":partition": {"S": DAY}},
    )
    found = [item for page in pages for item in page["Items"]]
    wanted = [
        {name: _attribute(value) for name, value in row.items()}
        for row in frame.iter_rows(named=True)
    ]
    if found != wanted:
        raise AssertionError(f"{table} holds {len(found)} items, not the {len(wanted)} wanted")


def _attribute(value: str | int) -> dict[str, str]:
    return {"S": value} if isinstance(value, str) else {"N": str(value)}
