"""Events of an invented shop, in every format, with faults, and the account of them.

web      one file a day, each day another format, exported at 18:00: late rows
mobile   delivery-stream objects, joined without newlines; some begin before midnight
shop     every other day; repeats the purchases that web reported, mostly in another format
signups  one file for all days, without a date in its key
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Final

from pipeline_assets.demo.event_files import (
    WITHOUT_TIME,
    Encoding,
    EventFile,
    Record,
    possible_faults,
)
from pipeline_assets.demo.expectation import (
    DAY,
    Account,
    DatasetSamples,
    ExpectedTable,
    Layer,
    Plan,
    Row,
    SampleFile,
    midnight,
)
from pipeline_assets.demo.visitors import Event, Visitors

DATASET: Final = "events"
SUMMARY: Final = "daily_event_summary"
SUMMARY_COLUMNS: Final = ("event_date", "event_type", "event_count", "unique_users")
NEW_USERS: Final = "new_users"
SHOWN_ROWS: Final = 4

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


def samples(plan: Plan) -> DatasetSamples:
    """Some 4,000 events for each day, and what becomes of them."""
    files = event_files(plan)
    records = [record for file in files for record in file.records]
    summary = activity(records)
    return DatasetSamples(
        dataset=DATASET,
        files=tuple(SampleFile(file.key, file.content(), len(file.records)) for file in files),
        accounts=accounts(records),
        tables=(
            _summary(Layer.GOLD, summary),
            ExpectedTable(
                layer=Layer.GOLD,
                name=NEW_USERS,
                columns=("event_date", NEW_USERS),
                rows=new_users(records),
                shown=plan.days,
            ),
            _summary(Layer.SERVING, summary),
        ),
    )


def _summary(layer: Layer, rows: tuple[Row, ...]) -> ExpectedTable:
    return ExpectedTable(
        layer=layer, name=SUMMARY, columns=SUMMARY_COLUMNS, rows=rows, shown=SHOWN_ROWS
    )


def event_files(plan: Plan) -> tuple[EventFile, ...]:
    """The files, in the order in which they are made."""
    draw = random.Random(plan.seed)  # noqa: S311  # no secret
    return tuple(_files(draw, plan.days, plan.first_date))


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


def activity(records: Iterable[Record]) -> tuple[Row, ...]:
    """Events and distinct users by event date and event type, each event once, sorted."""
    users: dict[tuple[date, str], list[str]] = {}
    for record in _sound(records):
        key = record.event_date, record.event.event_type
        users.setdefault(key, []).append(record.event.user_id)
    return tuple((*key, len(each), len(set(each))) for key, each in sorted(users.items()))


def new_users(records: Iterable[Record]) -> tuple[Row, ...]:
    """For each event date the users who did nothing before it."""
    first: dict[str, date] = {}
    days: set[date] = set()
    for record in _sound(records):
        user, day = record.event.user_id, record.event_date
        first[user] = min(day, first.get(user, day))
        days.add(day)
    counts = Counter(first.values())
    return tuple((day, counts[day]) for day in sorted(days))


def _sound(records: Iterable[Record]) -> list[Record]:
    """Every event that at least one record tells soundly, once."""
    sound = {record.event.identity: record for record in records if record.fault is None}
    return list(sound.values())


def _files(draw: random.Random, days: int, first_date: date) -> Iterator[EventFile]:
    visitors = Visitors(draw)
    for index in range(days):
        day = first_date + index * DAY
        web = visitors.visits(*_web_window(day, first=index == 0), WEB_EVENTS)
        yield _reporting(draw, _web_file(day, index), web)
        mobile, begin, end = _mobile_file(day, index)
        yield _reporting(draw, mobile, visitors.visits(begin, end, MOBILE_EVENTS))
        if index % 2:
            told = [event for event in web if event.event_type == "purchase"]
            opening = midnight(day) + timedelta(hours=8)
            own = visitors.purchases(opening, timedelta(minutes=2), SHOP_EVENTS)
            yield _reporting(draw, _shop_file(day, index), [*told, *own])
    signups = visitors.signups(midnight(first_date), DAY / SIGNUPS, SIGNUPS * days)
    undated = EventFile(key="signups.csv", encoding=Encoding.CSV, file_date=None)
    yield _reporting(draw, undated, signups)


def _web_window(day: date, *, first: bool) -> tuple[datetime, datetime]:
    """From export to export; the first file begins with its day, for nothing came before."""
    end = datetime.combine(day, EXPORT_TIME, UTC)
    return (midnight(day) if first else end - DAY), end


def _web_file(day: date, index: int) -> EventFile:
    encoding = WEB_ENCODINGS[index % len(WEB_ENCODINGS)]
    return EventFile(key=f"dt={day}/web.{encoding}", encoding=encoding, file_date=day)


def _mobile_file(day: date, index: int) -> tuple[EventFile, datetime, datetime]:
    """The object, and the 80 minutes that it covers; it is delivered five minutes late."""
    hour = STREAM_HOURS[index % len(STREAM_HOURS)]
    end = midnight(day) + timedelta(hours=hour, minutes=40)
    delivered = end + timedelta(minutes=5)
    file = EventFile(
        key=f"{delivered:%Y/%m/%d/%H}/mobile-1-{delivered:%Y-%m-%d-%H-%M-%S}.gz",
        encoding=Encoding.JOINED_GZIP,
        file_date=day,
        capitals=True,
    )
    return file, end - timedelta(minutes=80), end


def _shop_file(day: date, index: int) -> EventFile:
    encoding = SHOP_ENCODINGS[index // 2 % len(SHOP_ENCODINGS)]
    key = f"dt={day}/shop.{encoding}"
    return EventFile(key=key, encoding=encoding, file_date=day, zone=SHOP_ZONE)


def _reporting(draw: random.Random, file: EventFile, events: Sequence[Event]) -> EventFile:
    """The file with these events: some spoiled, some repeated further down."""
    records = [_record(draw, file, event) for event in events]
    for index in range(len(records)):
        if draw.random() < REPEATED_SHARE and records[index].fault is None:
            records.insert(index + draw.randint(1, MOST_RECORDS_BETWEEN), records[index])
    return replace(file, records=tuple(records))


def _record(draw: random.Random, file: EventFile, event: Event) -> Record:
    if draw.random() >= FAULT_SHARE:
        return Record(event, event.at.date())
    fault = draw.choice(possible_faults(file.encoding, file.file_date))
    if fault in WITHOUT_TIME and file.file_date is not None:
        return Record(event, file.file_date, fault)
    return Record(event, event.at.date(), fault)
