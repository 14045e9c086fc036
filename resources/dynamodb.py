"""Serving tables in DynamoDB: the items of a partition are made those of a frame.

`ServingTableStore` works without Dagster; `DynamoDBIOManager` is its thin Dagster face. The
tables themselves are made by the deployment.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

import polars as pl

from pipeline_assets.errors import ConfigurationError
from resources.aws import Aws, aws_errors
from resources.batch_writes import BatchWriter
from resources.dynamodb_items import Item, ItemKeys, comparable, comparable_item, to_frame, to_items
from resources.dynamodb_latest import LatestTableStore
from resources.dynamodb_tables import LatestTable, ServingTable, Table, table_of
from resources.frames import Frame, FrameKind, from_arrow, to_arrow
from resources.partition_io import Facts, PartitionIOManager, StoredAsset

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import WriteRequestTypeDef


@dataclass(frozen=True)
class ServingCounts:
    """What a replacement did: items now in the partition, put, deleted and left as they were."""

    rows: int
    written: int
    deleted: int
    unchanged: int


class ServingTableStore:
    """Replaces and reads partitions of serving tables. Safe to share between threads."""

    def __init__(
        self, aws: Aws, *, max_attempts: int = 8, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.aws = aws
        self._max_attempts = max_attempts
        self._sleep = sleep
        self._lock = threading.Lock()
        self._writers: dict[str, BatchWriter] = {}

    @cached_property
    def latest(self) -> LatestTableStore:
        """Tables that hold of each key the newest row of all dates."""
        return LatestTableStore(self.aws, max_attempts=self._max_attempts, sleep=self._sleep)

    def table_name(self, table: Table) -> str:
        """The table's whole name in DynamoDB."""
        return f"{self.aws.settings.serving_prefix}{table.name}"

    def replace_partition(self, table: ServingTable, partition: str, frame: Frame) -> ServingCounts:
        """Make the partition's items those of the frame, writing only what differs.

        New and changed items are put before stale ones are deleted, so a reader never misses a
        row that stays. Repeated with the same frame, nothing is written.

        Raises:
            ItemError: a row that cannot become an item; nothing was written.
            UnsupportedFrameError: the value is no frame.
            ServingThrottledError: DynamoDB left writes undone for too long.
            NotProvisionedError: the table does not exist.
        """
        name = self.table_name(table)
        keys = ItemKeys(name, table.partition_key, table.sort_key)
        wanted = to_items(keys, partition, to_arrow(name, frame).to_pylist())
        stored = self._items(table, partition)
        puts, deletes = _changes(keys, stored, wanted)
        writer = self._writer(name)
        writer.write([_put(item) for item in puts])
        writer.write([_delete(keys, item) for item in deletes])
        return ServingCounts(len(wanted), len(puts), len(deletes), len(wanted) - len(puts))

    def load(
        self,
        table: Table,
        partition: str,
        schema: Mapping[str, pl.DataType] | None = None,
    ) -> pl.DataFrame:
        """The partition's items by ascending sort key; without items, a frame without rows.

        Of a latest table these are the items that are made of the partition's rows.
        Column types: see `to_frame`.
        """
        if isinstance(table, LatestTable):
            return self.latest.load(table, partition, schema)
        items = self._items(table, partition)
        return to_frame(items, first=(table.partition_key, table.sort_key), schema=schema)

    def _items(self, table: ServingTable, partition: str) -> list[Item]:
        pages = self.aws.dynamodb.get_paginator("query").paginate(
            TableName=self.table_name(table),
            KeyConditionExpression="#key = :partition",
            ExpressionAttributeNames={"#key": table.partition_key},
            ExpressionAttributeValues={":partition": {"S": partition}},
            ConsistentRead=True,
        )
        with aws_errors(self.aws):
            return [cast("Item", item) for page in pages for item in page["Items"]]

    def _writer(self, name: str) -> BatchWriter:
        """The table's one writer: how much it takes is found out once for all partitions."""
        with self._lock:
            if name not in self._writers:
                self._writers[name] = BatchWriter(
                    self.aws, name, max_attempts=self._max_attempts, sleep=self._sleep
                )
            return self._writers[name]


def _changes(
    keys: ItemKeys, stored: Sequence[Item], wanted: Sequence[Item]
) -> tuple[list[Item], list[Item]]:
    """Items to put and items to delete."""
    if not stored:
        return list(wanted), []
    standing = {comparable(item[keys.sort_key]): comparable_item(item) for item in stored}
    kept = {comparable(item[keys.sort_key]) for item in wanted}
    puts = [
        item
        for item in wanted
        if standing.get(comparable(item[keys.sort_key])) != comparable_item(item)
    ]
    return puts, [item for item in stored if comparable(item[keys.sort_key]) not in kept]


def _put(item: Item) -> "WriteRequestTypeDef":
    return cast("WriteRequestTypeDef", {"PutRequest": {"Item": item}})


def _delete(keys: ItemKeys, item: Item) -> "WriteRequestTypeDef":
    key = {name: item[name] for name in (keys.partition_key, keys.sort_key)}
    return cast("WriteRequestTypeDef", {"DeleteRequest": {"Key": key}})


class DynamoDBIOManager(PartitionIOManager):
    """Stores serving assets' frames as items, and hands over the frame that is asked for.

    The asset's definition metadata names its table: see `table_of`. The partition key's column
    holds the asset's partition; of a latest table, the column ``event_date`` does. A partition
    without items counts as not stored. ``store`` is called when first needed.
    """

    def __init__(self, store: Callable[[], ServingTableStore]) -> None:
        self._open_store = store

    @cached_property
    def _store(self) -> ServingTableStore:
        return self._open_store()

    @property
    def threads(self) -> int:
        """How many partitions are read or compared at a time; their writes share one bound."""
        return self._store.aws.settings.io_threads

    def write_partitions(
        self, asset: StoredAsset, values: Mapping[str | None, object]
    ) -> Iterator[tuple[str | None, Facts]]:
        """Store the partitions; those of a latest table together, for it is read as a whole."""
        table = table_of(str(asset), asset.metadata)
        if isinstance(table, ServingTable):
            yield from super().write_partitions(asset, values)
            return
        frames = {_required(asset, partition): value for partition, value in values.items()}
        name = self._store.table_name(table)
        counts = self._store.latest.refresh(table, frames) if frames else {}
        for day, each in counts.items():
            yield day, {"event_date": day, "table": name, **asdict(each)}

    def write_partition(self, asset: StoredAsset, partition: str | None, value: object) -> Facts:
        """Replace one partition's items.

        Raises:
            ConfigurationError: the asset has no partitions, or lacks the metadata.
            ItemError: a row that cannot become an item.
        """
        table = table_of(str(asset), asset.metadata)
        day = _required(asset, partition)
        name = self._store.table_name(table)
        if isinstance(table, LatestTable):
            counts = self._store.latest.refresh(table, {day: value})[day]
            return {"event_date": day, "table": name, **asdict(counts)}
        return {
            "event_date": day,
            "table": name,
            **asdict(self._store.replace_partition(table, day, value)),
        }

    def read_partition(
        self, asset: StoredAsset, partition: str | None, kind: FrameKind
    ) -> Frame | None:
        """One partition's items; ``None`` when there are none."""
        table = table_of(str(asset), asset.metadata)
        frame = self._store.load(table, _required(asset, partition))
        if frame.is_empty():
            return None
        return from_arrow(to_arrow(str(asset), frame), kind)


def _required(asset: StoredAsset, partition: str | None) -> str:
    if partition is None:
        raise ConfigurationError(
            f"Asset {asset} has no partitions: a serving table is replaced by partition, so give "
            "the asset a partitions definition."
        )
    return partition
