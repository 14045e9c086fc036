"""On which event dates an entity was seen, and so on which one first: correct in any order.

An index below ``index/`` of the lake holds the pairs of entity and event date, in buckets by a hash
of the entity. A refresh replaces the pairs of its dates, bucket by bucket, each in one conditional
put; whoever lost the race reads again. Afterwards it counts all buckets anew. The sum of the
buckets' versions is the generation of the counts: it grows with every change of any pair.
"""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from pipeline_assets.errors import StaleWriteError
from resources.lake import UNREAD, Lake, StoredPartition, TableName
from resources.parallel import in_parallel

BUCKETS = 16
"""With some 3 bytes for a pair, ten million pairs make buckets of 2 MB."""
TRIES = 20
PAIRS = pl.Schema({"entity": pl.String, "event_date": pl.Date})
KNOWN = pl.Schema({"etag": pl.String, "first_seen": pl.Int64})


@dataclass(frozen=True)
class FirstCounts:
    """How many entities were first seen on each date.

    Attributes:
        by_date: counts by ISO date; dates without any are left out.
        generation: grows with every change of the index.
    """

    by_date: Mapping[str, int]
    generation: int


@dataclass(frozen=True)
class _Bucket:
    pairs: pl.DataFrame
    etag: str | None
    generation: int


class FirstDates:
    """The index of one kind of entity. Safe to share between threads."""

    def __init__(self, lake: Lake, name: str, *, threads: int) -> None:
        self._lake = lake
        self._name = name
        self._threads = threads

    def replace(self, seen: Mapping[str, pl.Series]) -> FirstCounts:
        """Make the entities of event dates those that are given, and count.

        Args:
            seen: entities (text, any order, repeated or null ones do not matter) by ISO date. A
                date's silver must stand as it is given here before this is called.

        Raises:
            StaleWriteError: other writers kept being faster.
        """
        by_bucket = _in_buckets(seen)
        days = pl.Series("event_date", sorted(seen)).str.to_date()
        in_parallel(
            lambda number: self._replace(number, by_bucket[number], days),
            range(BUCKETS),
            threads=self._threads,
        )
        return self.count()

    def _replace(self, number: int, pairs: pl.DataFrame, days: pl.Series) -> None:
        for _ in range(TRIES):
            before = self._read(number)
            others = before.pairs.filter(~pl.col("event_date").is_in(days.implode()))
            after = pl.concat([others, pairs]).sort(PAIRS.names())
            if after.equals(before.pairs):
                return
            try:
                self._lake.replace(
                    self._table(number),
                    None,
                    _as_arrow(after),
                    version=before.generation + 1,
                    expected=before.etag,
                )
            except StaleWriteError:
                continue
            return
        raise StaleWriteError(self._lake.key(self._table(number), None))

    def _read(self, number: int) -> _Bucket:
        """A bucket; its ETag is asked for first, so what is put in the place of another fails."""
        stored = self._stat(number)
        if stored is None:
            return _Bucket(PAIRS.to_frame(), None, 0)
        frame = pl.DataFrame(self._lake.read(self._table(number), None))
        return _Bucket(frame.cast(PAIRS), stored.etag, stored.version or 0)

    def count(self) -> FirstCounts:
        """Count all buckets as they stand now."""
        buckets = in_parallel(self._read, range(BUCKETS), threads=self._threads)
        firsts = [
            bucket.pairs.group_by("entity").agg(pl.col("event_date").min()) for bucket in buckets
        ]
        counts = pl.concat(firsts).group_by("event_date").len().sort("event_date")
        by_date = {day.isoformat(): count for day, count in counts.iter_rows()}
        return FirstCounts(by_date, sum(bucket.generation for bucket in buckets))

    def generation(self) -> int:
        """The generation that a count would have now."""
        buckets = in_parallel(self._stat, range(BUCKETS), threads=self._threads)
        return sum((bucket.version or 0) if bucket else 0 for bucket in buckets)

    def _stat(self, number: int) -> StoredPartition | None:
        return self._lake.stat(self._table(number), None)

    def known(self) -> dict[str, int]:
        """Counts in objects that were seen before, by the object's ETag: spares reading them."""
        stored = self._lake.read_key(self._lake.key(self._known, None))
        return {} if stored is None else dict(pl.DataFrame(stored).cast(KNOWN).iter_rows())

    def remember(self, counts: Mapping[str, int]) -> None:
        """Keep counts by ETag for the next one; of two at a time, either is as good."""
        rows = {"etag": list(counts), "first_seen": list(counts.values())}
        frame = pl.DataFrame(rows, schema=KNOWN).sort("etag")
        with suppress(StaleWriteError):
            self._lake.replace(self._known, None, _as_arrow(frame), version=None, expected=UNREAD)

    def _table(self, number: int) -> TableName:
        return TableName("index", f"{self._name}/bucket={number:02}")

    @property
    def _known(self) -> TableName:
        return TableName("index", f"{self._name}/known")


def bucket_of(entity: str) -> int:
    """The bucket of an entity, the same in every process and release."""
    return hashlib.blake2b(entity.encode(), digest_size=2).digest()[0] % BUCKETS


def _in_buckets(seen: Mapping[str, pl.Series]) -> list[pl.DataFrame]:
    pairs = [
        pl.DataFrame({"entity": entities.cast(pl.String).drop_nulls().unique()}).with_columns(
            pl.lit(day).str.to_date().alias("event_date")
        )
        for day, entities in seen.items()
    ]
    every = pl.concat([PAIRS.to_frame(), *pairs])
    numbers = pl.Series("bucket", map(bucket_of, every["entity"]), dtype=pl.Int64)
    numbered = every.with_columns(numbers)
    return [numbered.filter(pl.col("bucket") == n).drop("bucket") for n in range(BUCKETS)]


def _as_arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow()
