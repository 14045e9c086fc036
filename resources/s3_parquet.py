"""The IO manager of silver, quarantine and gold: asset ``[layer, table]``, partition event date."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from pipeline_assets.errors import ConfigurationError
from resources.frames import Frame, FrameKind, from_arrow, to_arrow
from resources.lake import UNREAD, Lake, TableName, Unread
from resources.partition_io import Facts, PartitionIOManager, StoredAsset


@dataclass(frozen=True)
class Replacement:
    """A frame with what was known when its computation began.

    ``version`` is the event date's version, ``expected`` the ETag that was stored then (``None``:
    no object). An asset that returns one is annotated with it, or with nothing.
    """

    frame: Frame
    version: int | None = None
    expected: str | Unread | None = UNREAD


class S3ParquetIOManager(PartitionIOManager):
    """Stores frames as partitions of the lake, and hands over the frame that is asked for.

    Each materialization carries ``event_date``, ``rows``, ``version``, ``digest``, ``uri`` and
    ``written`` (whether other content stood there). ``lake`` is called when first needed.
    """

    def __init__(self, lake: Callable[[], Lake]) -> None:
        self._open_lake = lake

    @cached_property
    def _lake(self) -> Lake:
        return self._open_lake()

    @property
    def threads(self) -> int:
        """How many partitions are written or read at a time."""
        return self._lake.aws.settings.io_threads

    def write_partition(self, asset: StoredAsset, partition: str | None, value: object) -> Facts:
        """Replace one partition.

        Raises:
            UnsupportedFrameError: the value is no frame.
            StaleWriteError: another writer replaced the partition in the meantime.
        """
        given = value if isinstance(value, Replacement) else Replacement(value)
        done = self._lake.replace(
            _table(asset),
            partition,
            to_arrow(str(asset), given.frame),
            version=given.version,
            expected=given.expected,
        )
        return {
            "event_date": partition,
            "rows": done.stored.rows,
            "version": done.stored.version,
            "digest": done.stored.digest,
            "uri": self._lake.uri(done.stored.key),
            "written": done.written,
        }

    def read_partition(
        self, asset: StoredAsset, partition: str | None, kind: FrameKind
    ) -> Frame | None:
        """One partition; a lazy frame reads from S3 only what its query needs."""
        key = self._lake.key(_table(asset), partition)
        if kind is FrameKind.LAZY:
            return self._scan(key) if self._lake.stat(_table(asset), partition) else None
        table = self._lake.read_key(key)
        return None if table is None else from_arrow(table, kind)

    def _scan(self, key: str) -> pl.LazyFrame:
        return pl.scan_parquet(
            self._lake.uri(key),
            glob=False,
            hive_partitioning=False,
            storage_options=self._lake.aws.polars_storage_options(),
            credential_provider=None,
        )


def _table(asset: StoredAsset) -> TableName:
    match asset.path:
        case (layer, name):
            return TableName(layer, name)
    raise ConfigurationError(
        f"Asset {asset} cannot be stored in the lake: give it a key of two parts, [layer, table]."
    )
