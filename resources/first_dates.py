"""On which event dates an entity was seen, and so on which one first: correct in any order.

An index below ``index/`` of the lake holds the pairs of entity and event date, in buckets by a hash
of the entity. A refresh replaces the pairs of its dates, bucket by bucket, each in one conditional
put; whoever lost the race reads again. What it counts are the buckets as it read or put them, so
the counts hold if afterwards all of them still stand (`is_current`). The sum of the buckets'
versions is the generation of the counts: it grows with every change of any pair.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from pipeline_assets.errors import StaleWriteError
from resources.lake import UNREAD, Lake, TableName
from resources.parallel import in_parallel

BUCKETS = 4
"""Each costs requests at every refresh. With some 3 bytes for a pair, ten million pairs make
buckets of 8 MB."""
TRIES = 20
PAIRS = pl.Schema({"entity": pl.String, "event_date": pl.Date})
KNOWN = pl.Schema({"etag": pl.String, "first_seen": pl.Int64})


@dataclass(frozen=True)
class FirstCounts:
    """How many entities were first seen on each date.

    Attributes:
        by_date: counts by ISO date; dates without any are left out.
        generation: grows with every change of the index.
        etags: those of the buckets that were counted, none for one that is not there.
    """

    by_date: Mapping[str, int]
    generation: int
    etags: tuple[str | None, ...]


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
        """Make the entities of event dates those that are given, and count the buckets as put.

        Another refresh may have put one since: see `is_current`.

        Args:
            seen: entities (text, any order, repeated or null ones do not matter) by ISO date. A
                date's silver must stand as it is given here before this is called.

        Raises:
            StaleWriteError: other writers kept being faster.
        """
        by_bucket = _in_buckets(seen)
        days = pl.Series("event_date", sorted(seen)).str.to_date()
        buckets = in_parallel(
            lambda number: self._replace(number, by_bucket[number], days),
            range(BUCKETS),
            threads=self._threads,
        )
        return _counted(buckets)

    def _replace(self, number: int, pairs: pl.DataFrame, days: pl.Series) -> _Bucket:
        table = self._table(number)
        for _ in range(TRIES):
            before = self._read(number)
            others = before.pairs.filter(~pl.col("event_date").is_in(days.implode()))
            after = pl.concat([others, pairs]).sort(PAIRS.names())
            if after.equals(before.pairs):
                return before
            version = before.generation + 1
            with suppress(StaleWriteError):
                put = self._lake.put_over(
                    table, None, _as_arrow(after), version=version, expected=before.etag
                )
                return _Bucket(after, put.etag, version)
        raise StaleWriteError(self._lake.key(table, None))

    def _read(self, number: int) -> _Bucket:
        found = self._lake.read_stored(self._table(number), None)
        if found is None:
            return _Bucket(PAIRS.to_frame(), None, 0)
        table, stored = found
        return _Bucket(pl.DataFrame(table).cast(PAIRS), stored.etag, stored.version or 0)

    def count(self) -> FirstCounts:
        """Count all buckets as they stand now."""
        return _counted(in_parallel(self._read, range(BUCKETS), threads=self._threads))

    def is_current(self, counted: FirstCounts) -> bool:
        """Whether nobody has changed the index since these counts."""
        stored = self._lake.etags_below(f"index/{self._name}/bucket=")
        return list(stored.values()) == [etag for etag in counted.etags if etag is not None]

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


def _counted(buckets: Sequence[_Bucket]) -> FirstCounts:
    firsts = [bucket.pairs.group_by("entity").agg(pl.col("event_date").min()) for bucket in buckets]
    counts = pl.concat(firsts).group_by("event_date").len().sort("event_date")
    return FirstCounts(
        {day.isoformat(): count for day, count in counts.iter_rows()},
        sum(bucket.generation for bucket in buckets),
        tuple(bucket.etag for bucket in buckets),
    )


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
