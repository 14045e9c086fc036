"""Gold tables of who came for the first time: they look at every event date at once.

The counts of a run's dates follow from the entities of all dates (``resources/first_dates.py``), so
a refresh may change other dates too. Those are written as well, whoever holds their leases: a count
is ordered by its generation, not by the date's version.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from pipeline_assets.dataset import FirstSeen
from pipeline_assets.errors import StaleWriteError
from resources.first_dates import FirstCounts, FirstDates, Seen
from resources.lake import UNREAD, TableName
from resources.landfall import Landfall
from resources.parallel import in_parallel

TRIES = 20


@dataclass(frozen=True)
class FirstSeenDates:
    """What a refresh of a table did.

    Attributes:
        counts: entities that are new on each date that was written, by ISO date.
        entities: how many there are in all.
        generation: of the counts; a later one replaces them.
    """

    counts: Mapping[str, int]
    entities: int
    generation: int


def refresh_first_seen(
    landfall: Landfall,
    table: FirstSeen,
    came: Mapping[str, pl.DataFrame],
    versions: Mapping[str, int],
) -> FirstSeenDates:
    """Count anew after the silver of dates was replaced, and write every date that differs.

    What differs is found by looking at the table, so whatever a crash or a slower refresh left
    there is mended, and it is only over when nobody changed the index meanwhile.

    Args:
        landfall: the environment.
        table: the table.
        came: who stands in silver now, by ISO date: the entity's column of it, with or without
            those that are there again.
        versions: of that silver, by ISO date.

    Raises:
        StaleWriteError: another run has counted a later silver of a date; or other runs kept being
            faster, and trying again later will do.
    """
    index = FirstDates(landfall.lake, table.name, threads=landfall.settings.io_threads)
    counted = index.replace(
        {day: Seen(rows[table.entity], versions[day]) for day, rows in came.items()}
    )
    changed: set[str] = set()
    for _ in range(TRIES):
        wanted = {**dict.fromkeys(came, 0), **counted.by_date}
        written = _write_differing(landfall, table, index, replace(counted, by_date=wanted))
        changed |= written.keys()
        if None not in written.values() and index.is_current(counted):
            days = sorted({*came, *changed})
            counts = {day: wanted.get(day, 0) for day in days}
            return FirstSeenDates(counts, sum(wanted.values()), counted.generation)
        counted = index.count()
    raise StaleWriteError(str(_gold(table)))


def _write_differing(
    landfall: Landfall, table: FirstSeen, index: FirstDates, counted: FirstCounts
) -> dict[str, str | None]:
    """Write the dates whose count in the table is another.

    Returns:
        ETag of each, or none where another refresh was faster or later.
    """
    stored = _stored(landfall, table, index)
    wanted = {**dict.fromkeys(stored, 0), **counted.by_date}
    differing = sorted(
        day for day in wanted if day not in stored or stored[day].count != wanted[day]
    )
    etags = in_parallel(
        lambda day: _write(landfall, table, day, wanted[day], counted.generation),
        differing,
        threads=landfall.settings.io_threads,
    )
    written = dict(zip(differing, etags, strict=True))
    unchanged = {each.etag: each.count for day, each in stored.items() if day not in written}
    index.remember(unchanged | {etag: wanted[day] for day, etag in written.items() if etag})
    return written


@dataclass(frozen=True)
class _Stored:
    """A date's count in the table, and its object's ETag."""

    count: int
    etag: str


def _stored(landfall: Landfall, table: FirstSeen, index: FirstDates) -> dict[str, _Stored]:
    """What stands in the table by date; only objects that nobody knows are read."""
    known = index.known()
    etags = landfall.lake.etags(_gold(table))

    def read(day: str) -> int:
        return int(landfall.lake.read(_gold(table), day).column(table.name)[0].as_py())

    unknown = [day for day, etag in etags.items() if etag not in known]
    counts = in_parallel(read, unknown, threads=landfall.settings.io_threads)
    found = dict(zip(unknown, counts, strict=True))
    return {
        day: _Stored(found[day] if day in found else known[etag], etag)
        for day, etag in etags.items()
    }


def _gold(table: FirstSeen) -> TableName:
    return TableName("gold", table.name)


def first_seen_frame(table: FirstSeen, day: str, count: int) -> pl.DataFrame:
    """The one row of an event date: ``event_date`` and the count under the table's name."""
    row = {"event_date": [day], table.name: [count]}
    return pl.DataFrame(row).select(
        pl.col("event_date").str.to_date(), pl.col(table.name).cast(pl.Int64)
    )


def _write(
    landfall: Landfall, table: FirstSeen, day: str, count: int, generation: int
) -> str | None:
    """Put a date's count in place; its ETag, or none where another refresh was faster or later."""
    frame = first_seen_frame(table, day, count).to_arrow()
    try:
        put = landfall.lake.replace(_gold(table), day, frame, version=generation, expected=UNREAD)
    except StaleWriteError:
        return None
    return put.stored.etag
