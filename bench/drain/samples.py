"""Landed event files of every format, none clean, and what a correct pipeline makes of them.

The same plan gives the same bytes. A file repeats some of its own events and some of an earlier
file's, has rows that break the contract, a record that cannot be parsed unless it is Parquet, and
in one file of ten some rows of the day before. What is expected follows from the plan alone.
"""

import csv
import gzip
import io
import json
import random
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from bench.sizes import Sizes

FIELDS = ("eventType", "userId", "timestamp", "eventId", "sessionId", "properties")
TYPES = ("page_view",) * 6 + ("click",) * 3 + ("purchase", "signup")
USERS = 20_000
FEWEST_ROWS = 40
"""Below it the spoiled records of a file would be too large a share for its date to be accepted."""
UNNAMED = 10
"""One event of so many has no id: it is told from others by its other fields."""
LATE = 10
"""One file of so many has rows of the day before."""
CUT = 2
"""Cells that are left of a cut line of CSV: its time is gone, whoever reads it."""
DAY_SECONDS = 86_400
SPREAD = 2_654_435_761
"""Knuth's multiplier ("The Art of Computer Programming", 6.4): neighbours lie far apart."""


class Encoding(StrEnum):
    """How a file is written, by the end of its key."""

    CSV = "csv"
    JSON_LINES = "jsonl"
    CSV_GZIP = "csv.gz"
    PARQUET = "parquet"
    JSON_LINES_GZIP = "jsonl.gz"


class Fault(StrEnum):
    """What is wrong with a record."""

    UNKNOWN_TYPE = "unknown type"
    BAD_USER = "bad user"
    CUT = "cut"


class Record(NamedTuple):
    """An event, by its number, as one file reports it."""

    number: int
    day: date
    fault: Fault | None = None


@dataclass(frozen=True)
class Plan:
    """Which files there are: as many as named, in turn for each date and in each format.

    Raises:
        ValueError: so few rows that their date would be refused for its spoiled ones.
    """

    files: int
    rows: int
    dates: int
    first_date: date = date(2025, 3, 1)

    def __post_init__(self) -> None:
        if self.rows < FEWEST_ROWS:
            raise ValueError(f"{self.rows} rows to a file are fewer than {FEWEST_ROWS}")

    @property
    def days(self) -> tuple[date, ...]:
        """Dates in the keys; every event date is among them."""
        return tuple(self.first_date + timedelta(days=each) for each in range(self.dates))


@dataclass(frozen=True)
class Sample:
    """A file to land.

    Attributes:
        key: its key in the landing bucket.
        content: its bytes.
        records: records in it, of whatever kind.
        valid: records that keep the contract.
        kept: of these, the ones that are left when equal ones within the file are one.
        days: event dates of its records: it has a fragment for each.
    """

    key: str
    content: bytes
    records: int
    valid: int
    kept: int
    days: tuple[date, ...]


@dataclass(frozen=True)
class Account:
    """What becomes of an event date: ``landed = silver + quarantined + duplicates``.

    Attributes:
        landed: records that belong to the date.
        silver: distinct valid events.
        quarantined: records that are malformed or break the contract.
        duplicates: valid records that repeat another.
        summary: by event type, how many events and how many users.
    """

    landed: int
    silver: int
    quarantined: int
    duplicates: int
    summary: Mapping[str, tuple[int, int]]


def drain_plan(sizes: Sizes) -> Plan:
    """The plan of the drain."""
    return Plan(sizes.drain_files, sizes.drain_rows, sizes.drain_dates)


def samples(plan: Plan) -> Iterator[Sample]:
    """The files one by one: all together may be more than should be held."""
    users = _users()
    return (_sample(plan, number, users) for number in range(plan.files))


def accounts(plan: Plan) -> dict[date, Account]:
    """The account of each event date, ascending."""
    found: dict[date, list[Record]] = {}
    for number in range(plan.files):
        for record in _records(plan, number):
            found.setdefault(record.day, []).append(record)
    return {day: _account(found[day]) for day in sorted(found)}


def _account(records: list[Record]) -> Account:
    sound = [record.number for record in records if record.fault is None]
    distinct = set(sound)
    by_type: dict[str, list[int]] = {}
    for number in distinct:
        by_type.setdefault(_type(number), []).append(_user(number))
    return Account(
        landed=len(records),
        silver=len(distinct),
        quarantined=len(records) - len(sound),
        duplicates=len(sound) - len(distinct),
        summary={kind: (len(users), len(set(users))) for kind, users in sorted(by_type.items())},
    )


def _sample(plan: Plan, number: int, users: tuple[str, ...]) -> Sample:
    encoding = _encoding(number)
    records = _records(plan, number)
    rows = [_values(record, users) for record in records]
    sound = [record.number for record in records if record.fault is None]
    return Sample(
        key=f"events/dt={_day(plan, number)}/{number:06}.{encoding}",
        content=_content(encoding, records, rows),
        records=len(records),
        valid=len(sound),
        kept=len(set(sound)),
        days=tuple(sorted({record.day for record in records})),
    )


def _day(plan: Plan, number: int) -> date:
    return plan.days[number % plan.dates]


def _encoding(number: int) -> Encoding:
    # Every date gets every format, whatever the number of dates.
    return tuple(Encoding)[(number * SPREAD >> 8) % len(Encoding)]


def _records(plan: Plan, number: int) -> list[Record]:
    """Records of a file: most are its own, and the events of a file come in no order."""
    day, encoding, share = _day(plan, number), _encoding(number), max(plan.rows // 100, 1)
    fault = Fault.UNKNOWN_TYPE if number % 2 else Fault.BAD_USER
    first = number * plan.rows
    spoiled = [Record(first + plan.rows - 1, day, fault)]
    if encoding is not Encoding.PARQUET:
        spoiled.append(Record(first + plan.rows - 2, day, Fault.CUT))
    repeated = [Record(first + share + each, day) for each in range(share)]
    earlier = first - plan.dates * plan.rows
    told = [Record(earlier + each, day) for each in range(share)] if earlier >= 0 else []
    own = plan.rows - len(spoiled) - len(repeated) - len(told)
    late = share if number % LATE == LATE // 2 and day > plan.first_date else 0
    records = [Record(first + each, day) for each in range(own - late)]
    before = day - timedelta(days=1)
    records += [Record(first + own - late + each, before) for each in range(late)]
    records += [*spoiled, *repeated, *told]
    random.Random(number).shuffle(records)  # noqa: S311 - no secret
    return records


def _users() -> tuple[str, ...]:
    draw = random.Random(USERS)  # noqa: S311 - no secret
    return tuple(str(uuid.UUID(int=draw.getrandbits(128), version=4)) for _ in range(USERS))


def _type(number: int) -> str:
    return TYPES[(number * SPREAD >> 12) % len(TYPES)]


def _user(number: int) -> int:
    return (number * SPREAD >> 7) % USERS


def _values(record: Record, users: tuple[str, ...]) -> tuple[str, str, str, str | None, str, str]:
    """The event's fields, as ``FIELDS`` names them."""
    number, fault = record.number, record.fault
    kind, user = _type(number), users[_user(number)]
    mixed = number * SPREAD % 2**32
    minute, second = divmod(mixed % DAY_SECONDS, 60)
    hour, minute = divmod(minute, 60)
    return (
        "refund" if fault is Fault.UNKNOWN_TYPE else kind,
        "anonymous" if fault is Fault.BAD_USER else user,
        f"{record.day}T{hour:02}:{minute:02}:{second:02}Z",
        None if number % UNNAMED == 0 else f"e-{mixed:08x}-{number:08x}",
        f"s-{mixed >> 4:07x}",
        f'{{"page":"/product/{mixed % 997}","number":{number}}}',
    )


_Rows = list[tuple[str, str, str, str | None, str, str]]


def _content(encoding: Encoding, records: list[Record], rows: _Rows) -> bytes:
    match encoding:
        case Encoding.PARQUET:
            return _parquet(rows)
        case Encoding.CSV | Encoding.CSV_GZIP:
            plain = _csv(records, rows)
        case Encoding.JSON_LINES | Encoding.JSON_LINES_GZIP:
            plain = _json_lines(records, rows)
    return gzip.compress(plain, 6, mtime=0) if encoding.endswith(".gz") else plain


def _csv(records: list[Record], rows: _Rows) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    cut = (
        row[:CUT] if record.fault is Fault.CUT else row
        for record, row in zip(records, rows, strict=True)
    )
    writer.writerows(cut)
    return text.getvalue().encode()


def _json_lines(records: list[Record], rows: _Rows) -> bytes:
    lines = []
    for record, row in zip(records, rows, strict=True):
        *_, properties = row
        filled = {name: value for name, value in zip(FIELDS[:-1], row[:-1], strict=True) if value}
        line = f'{json.dumps(filled, separators=(",", ":"))[:-1]},"properties":{properties}}}'
        lines.append(line[: len(line) // 2] if record.fault is Fault.CUT else line)
    return "\n".join([*lines, ""]).encode()


def _parquet(rows: _Rows) -> bytes:
    columns = dict(zip(FIELDS, zip(*rows, strict=True), strict=True))
    arrays = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    moments = [datetime.fromisoformat(str(each)).astimezone(UTC) for each in columns["timestamp"]]
    arrays["timestamp"] = pa.array(moments, pa.timestamp("us", "UTC"))
    stream = io.BytesIO()
    pq.write_table(pa.table(arrays), stream)
    return stream.getvalue()
