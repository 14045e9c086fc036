"""On which event dates an entity was seen, and so on which one first: correct in any order.

An index below ``index/`` of the lake holds the pairs of entity and event date, in buckets by a hash
of the entity. A refresh replaces the pairs of its dates, bucket by bucket, each in one conditional
put; whoever lost the race reads again. A row without an entity keeps the version of the silver that
a date's pairs are of, so that a run that goes on after another took its date puts nothing back.
What it counts are the buckets as it read or put them, so the counts hold if afterwards all of them
still stand (`is_current`). The sum of the buckets' versions is the generation of the counts: it
grows with every change of any pair.
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
PAIRS = pl.Schema({"entity": pl.String, "event_date": pl.Date, "version": pl.Int64})
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
class Seen:
    """Entities of an event date.

    Attributes:
        entities: text, in any order; repeated or null ones do not matter.
        version: of the silver that they were read from.
    """

    entities: pl.Series
    version: int


@dataclass(frozen=True)
class _Bucket:
    pairs: pl.DataFrame
    etag: str | None
    generation: int

    @property
    def versions(self) -> dict[str, int]:
        """Of each date's pairs, by ISO date."""
        rows = self.pairs.filter(pl.col("entity").is_null())
        return {day.isoformat(): version for _, day, version in rows.iter_rows()}


class FirstDates:
    """The index of one kind of entity. Safe to share between threads."""

    def __init__(self, lake: Lake, name: str, *, threads: int) -> None:
        self._lake = lake
        self._name = name
        self._threads = threads

    def replace(self, seen: Mapping[str, Seen]) -> FirstCounts:
        """Make the entities of event dates those that are given, and count the buckets as put.

        Another refresh may have put one since: see `is_current`.

        Args:
            seen: what was seen, by ISO date. A date's silver must stand as it is given here before
                this is called.

        Raises:
            StaleWriteError: pairs of a later version stand there, or other writers kept being
                faster.
        """
        by_bucket = _in_buckets(seen)
        buckets = in_parallel(
            lambda number: self._replace(number, by_bucket[number], seen),
            range(BUCKETS),
            threads=self._threads,
        )
        return _counted(buckets)

    def _replace(self, number: int, pairs: pl.DataFrame, seen: Mapping[str, Seen]) -> _Bucket:
        table = self._table(number)
        days = pl.Series("event_date", sorted(seen)).str.to_date()
        for _ in range(TRIES):
            before = self._read(number)
            stands = before.versions
            if any(stands.get(day, 0) > each.version for day, each in seen.items()):
                break
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
    firsts = [
        bucket.pairs.drop_nulls("entity").group_by("entity").agg(pl.col("event_date").min())
        for bucket in buckets
    ]
    counts = pl.concat(firsts).group_by("event_date").len().sort("event_date")
    return FirstCounts(
        {day.isoformat(): count for day, count in counts.iter_rows()},
        sum(bucket.generation for bucket in buckets),
        tuple(bucket.etag for bucket in buckets),
    )


def bucket_of(entity: str) -> int:
    """The bucket of an entity, the same in every process and release."""
    return hashlib.blake2b(entity.encode(), digest_size=2).digest()[0] % BUCKETS


def _in_buckets(seen: Mapping[str, Seen]) -> list[pl.DataFrame]:
    pairs = [
        pl.DataFrame({"entity": each.entities.cast(pl.String).drop_nulls().unique()}).select(
            "entity", pl.lit(day).str.to_date().alias("event_date"), pl.lit(None).alias("version")
        )
        for day, each in seen.items()
    ]
    every = pl.concat([PAIRS.to_frame(), *(each.cast(PAIRS) for each in pairs)])
    numbers = pl.Series("bucket", map(bucket_of, every["entity"]), dtype=pl.Int64)
    numbered = every.with_columns(numbers)
    versions = _versions(seen)
    return [
        pl.concat([numbered.filter(pl.col("bucket") == n).drop("bucket"), versions])
        for n in range(BUCKETS)
    ]


def _versions(seen: Mapping[str, Seen]) -> pl.DataFrame:
    rows = {
        "entity": [None] * len(seen),
        "event_date": list(seen),
        "version": [each.version for each in seen.values()],
    }
    return pl.DataFrame(rows).with_columns(pl.col("event_date").str.to_date()).cast(PAIRS)


def _as_arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow()
