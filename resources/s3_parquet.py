"""The IO manager of silver, quarantine and gold: asset ``[layer, table]``, partition event date."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import polars as pl
import pyarrow as pa

from pipeline_assets.errors import ConfigurationError
from resources.frames import Frame, FrameKind, from_arrow, to_arrow
from resources.lake import UNREAD, Lake, TableName, Unread
from resources.parquet import EncodedTable
from resources.partition_io import Facts, PartitionIOManager, StoredAsset


@dataclass(frozen=True)
class Replacement:
    """A frame with what was known when its computation began.

    A table that was too large for a frame comes encoded, at the same version.
    ``version`` is the event date's version, ``expected`` the ETag that was stored then (``None``:
    no object). An asset that returns one is annotated with it, or with nothing.
    """

    frame: Frame | EncodedTable
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
            _data(asset, given.frame),
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
        """One partition; a lazy frame decodes only what its query needs.

        A lazy frame's object is fetched whole all the same, to memory or, where it is large, to the
        disk: whatever is queried is of one version, however often.
        """
        key = self._lake.key(_table(asset), partition)
        if kind is FrameKind.LAZY:
            return self._scan(key)
        table = self._lake.read_key(key)
        return None if table is None else from_arrow(table, kind)

    def _scan(self, key: str) -> pl.LazyFrame | None:
        found = self._lake.copy_key(key)
        if found is None:
            return None
        with found:  # the query keeps the file open by itself
            return pl.scan_parquet(found, glob=False, hive_partitioning=False)


def _data(asset: StoredAsset, frame: object) -> pa.Table | EncodedTable:
    return frame if isinstance(frame, EncodedTable) else to_arrow(str(asset), frame)


def _table(asset: StoredAsset) -> TableName:
    match asset.path:
        case (layer, name):
            return TableName(layer, name)
    raise ConfigurationError(
        f"Asset {asset} cannot be stored in the lake: give it a key of two parts, [layer, table]."
    )
