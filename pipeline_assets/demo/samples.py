"""Sample files of an invented shop, in every format, with faults, and the account of them.

The generator knows what it spoiled, repeated and delayed, so it says by itself what a correct
pipeline makes of the files: nothing of the pipeline's own code is asked.

    web      one file a day, each day another format, exported at 18:00: late rows
    mobile   delivery-stream objects, joined without newlines; some begin before midnight
    shop     every other day; repeats the purchases that web reported, mostly in another format
    signups  one file for all days, without a date in its key
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Final

from pipeline_assets.demo.sample_files import (
    WITHOUT_TIME,
    Encoding,
    Record,
    SampleFile,
    possible_faults,
)
from pipeline_assets.demo.visitors import Event, Visitors

SEED: Final = 7
DAYS: Final = 5
FIRST_DATE: Final = date(2025, 3, 3)

WEB_EVENTS: Final = 2_900
MOBILE_EVENTS: Final = 620
SHOP_EVENTS: Final = 350
SIGNUPS: Final = 160
"""Records for each file and day, before repetitions."""
FAULT_SHARE: Final = 0.015
REPEATED_SHARE: Final = 0.01
MOST_RECORDS_BETWEEN: Final = 40
"""A repeated record comes at most so many records after the first."""

EXPORT_TIME: Final = time(18)
STREAM_HOURS: Final = (9, 0, 13, 0, 17)
WEB_ENCODINGS: Final = (
    Encoding.CSV,
    Encoding.CSV_GZIP,
    Encoding.JSON_LINES,
    Encoding.JSON_LINES_GZIP,
    Encoding.PARQUET,
)
SHOP_ENCODINGS: Final = (Encoding.PARQUET, Encoding.CSV)
SHOP_ZONE: Final = timezone(timedelta(hours=1))
DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Account:
    """What becomes of an event date's records: ``landed = silver + quarantined + duplicates``."""

    landed: int
    silver: int
    quarantined: int
    duplicates: int

    @property
    def adds_up(self) -> bool:
        """Whether every record is somewhere."""
        return self.landed == self.silver + self.quarantined + self.duplicates


@dataclass(frozen=True, order=True)
class Activity:
    """A row of the daily summary."""

    event_date: date
    event_type: str
    event_count: int
    unique_users: int


@dataclass(frozen=True)
class Samples:
    """What was written, and what a correct pipeline makes of it.

    Attributes:
        folder: where the files are; their paths below it are their keys below the dataset.
        files: the files, in the order in which they were written.
        accounts: account of each event date, ascending.
        activity: the daily summary, sorted by event date and event type.
    """

    folder: Path
    files: tuple[SampleFile, ...]
    accounts: Mapping[date, Account]
    activity: tuple[Activity, ...]


def write_samples(
    folder: Path, *, seed: int = SEED, days: int = DAYS, first_date: date = FIRST_DATE
) -> Samples:
    """Write some 4,000 records for each day; the same arguments give the same bytes.

    Args:
        folder: existing or new folder for the files.
        seed: of everything that is drawn.
        days: event dates, 1 or more; with 5 every format occurs.
        first_date: the first of them.
    """
    files = tuple(_files(random.Random(seed), days, first_date))  # noqa: S311  # no secret
    for file in files:
        path = folder / file.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content())
    records = [record for file in files for record in file.records]
    return Samples(folder, files, accounts(records), activity(records))


def accounts(records: Iterable[Record]) -> dict[date, Account]:
    """Account of each event date: of equal sound records one is kept."""
    landed: Counter[date] = Counter()
    sound: Counter[date] = Counter()
    kept: Counter[date] = Counter()
    seen: set[object] = set()
    for record in records:
        day = record.event_date
        landed[day] += 1
        if record.fault is None:
            sound[day] += 1
            kept[day] += record.event.identity not in seen
            seen.add(record.event.identity)
    return {
        day: Account(landed[day], kept[day], landed[day] - sound[day], sound[day] - kept[day])
        for day in sorted(landed)
    }


def activity(records: Iterable[Record]) -> tuple[Activity, ...]:
    """Events and distinct users by event date and event type, each event once."""
    sound = {record.event.identity: record for record in records if record.fault is None}
    users: dict[tuple[date, str], list[str]] = {}
    for record in sound.values():
        key = record.event_date, record.event.event_type
        users.setdefault(key, []).append(record.event.user_id)
    rows = (Activity(*key, len(each), len(set(each))) for key, each in users.items())
    return tuple(sorted(rows))


def _files(draw: random.Random, days: int, first_date: date) -> Iterator[SampleFile]:
    visitors = Visitors(draw)
    for index in range(days):
        day = first_date + index * DAY
        web = visitors.visits(*_web_window(day, first=index == 0), WEB_EVENTS)
        yield _reporting(draw, _web_file(day, index), web)
        mobile, begin, end = _mobile_file(day, index)
        yield _reporting(draw, mobile, visitors.visits(begin, end, MOBILE_EVENTS))
        if index % 2:
            told = [event for event in web if event.event_type == "purchase"]
            opening = _midnight(day) + timedelta(hours=8)
            own = visitors.purchases(opening, timedelta(minutes=2), SHOP_EVENTS)
            yield _reporting(draw, _shop_file(day, index), [*told, *own])
    signups = visitors.signups(_midnight(first_date), DAY / SIGNUPS, SIGNUPS * days)
    undated = SampleFile(key="signups.csv", encoding=Encoding.CSV, file_date=None)
    yield _reporting(draw, undated, signups)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _web_window(day: date, *, first: bool) -> tuple[datetime, datetime]:
    """From export to export; the first file begins with its day, for nothing came before."""
    end = datetime.combine(day, EXPORT_TIME, UTC)
    return (_midnight(day) if first else end - DAY), end


def _web_file(day: date, index: int) -> SampleFile:
    encoding = WEB_ENCODINGS[index % len(WEB_ENCODINGS)]
    return SampleFile(key=f"dt={day}/web.{encoding}", encoding=encoding, file_date=day)


def _mobile_file(day: date, index: int) -> tuple[SampleFile, datetime, datetime]:
    """The object, and the 80 minutes that it covers; it is delivered five minutes late."""
    hour = STREAM_HOURS[index % len(STREAM_HOURS)]
    end = _midnight(day) + timedelta(hours=hour, minutes=40)
    delivered = end + timedelta(minutes=5)
    file = SampleFile(
        key=f"{delivered:%Y/%m/%d/%H}/mobile-1-{delivered:%Y-%m-%d-%H-%M-%S}.gz",
        encoding=Encoding.JOINED_GZIP,
        file_date=day,
        capitals=True,
    )
    return file, end - timedelta(minutes=80), end


def _shop_file(day: date, index: int) -> SampleFile:
    encoding = SHOP_ENCODINGS[index // 2 % len(SHOP_ENCODINGS)]
    key = f"dt={day}/shop.{encoding}"
    return SampleFile(key=key, encoding=encoding, file_date=day, zone=SHOP_ZONE)


def _reporting(draw: random.Random, file: SampleFile, events: Sequence[Event]) -> SampleFile:
    """The file with these events: some spoiled, some repeated further down."""
    records = [_record(draw, file, event) for event in events]
    for index in range(len(records)):
        if draw.random() < REPEATED_SHARE and records[index].fault is None:
            records.insert(index + draw.randint(1, MOST_RECORDS_BETWEEN), records[index])
    return replace(file, records=tuple(records))


def _record(draw: random.Random, file: SampleFile, event: Event) -> Record:
    if draw.random() >= FAULT_SHARE:
        return Record(event, event.at.date())
    fault = draw.choice(possible_faults(file.encoding, file.file_date))
    if fault in WITHOUT_TIME and file.file_date is not None:
        return Record(event, file.file_date, fault)
    return Record(event, event.at.date(), fault)
