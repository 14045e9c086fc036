"""Logs of three services, with stack traces between the lines, and the account of them.

checkout  a plain file a day; each failure leaves a stack trace of raw lines
search    a gzipped file a day, rotated at 06:00: lines of the day before
mailer    one zstd file for all days, with the date of the last, its levels in words of its own
"""

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import pyarrow as pa

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

DATASET: Final = "logs"
GOLD_COLUMNS: Final = (
    "event_date",
    "hour",
    "service",
    "lines",
    "warnings",
    "errors",
    "error_rate",
)
SHOWN_COLUMNS: Final = GOLD_COLUMNS[1:]
SHOWN_ROWS: Final = 4

CHECKOUT_LINES: Final = 180
SEARCH_LINES: Final = 260
MAILER_LINES: Final = 40
"""Lines for each service and day, before repetitions."""
FAULT_SHARE: Final = 0.01
REPEATED_SHARE: Final = 0.02
ROTATED_AT: Final = timedelta(hours=6)

WARNINGS: Final = frozenset({"WARN", "WARNING", "warning"})
ERRORS: Final = frozenset({"ERROR", "CRITICAL", "severe", "Fatal"})
LEVELS: Final[Mapping[str, Sequence[str]]] = {
    "checkout": (*("INFO",) * 12, "DEBUG", "WARNING", "WARN", "ERROR"),
    "search": (*("INFO",) * 20, *("DEBUG",) * 8, "WARN", "WARNING", "ERROR"),
    "mailer": ("notice", "notice", "Information", "warning", "severe", "CRITICAL", "Fatal"),
}
UNKNOWN_LEVEL: Final = "LOUD"
MESSAGES: Final[Mapping[str, Sequence[str]]] = {
    "checkout": ("basket opened", "payment asked for", 'voucher "spring" taken', "order placed"),
    "search": ("query answered", "index refreshed", "cache missed", "Kaffeemühle: 3 found"),
    "mailer": ("newsletter sent", "address bounced", "queue is long"),
}
STACK_TRACE: Final = (
    "Traceback (most recent call last):",
    '  File "/srv/checkout/payment.py", line 88, in charge',
    "    raise Declined(card)",
    "checkout.payment.Declined: the card was declined",
)


@dataclass(frozen=True)
class Entry:
    """What a sound line says; ``level`` as it is written."""

    at: datetime
    service: str
    level: str


@dataclass(frozen=True)
class Line:
    """A line of a file; ``entry`` is None where it is spoiled, or raw text."""

    text: str
    event_date: date
    entry: Entry | None


@dataclass(frozen=True)
class LogFile:
    """A file as its service writes it."""

    key: str
    lines: tuple[Line, ...]

    def content(self) -> bytes:
        """The file's bytes, compressed as its key says: the same lines give the same."""
        plain = "".join(f"{line.text}\n" for line in self.lines).encode()
        if self.key.endswith(".gz"):
            return gzip.compress(plain, mtime=0)
        if self.key.endswith(".zst"):
            return bytes(pa.Codec("zstd").compress(plain, asbytes=True))
        return plain


def samples(plan: Plan) -> DatasetSamples:
    """Some 500 lines for each day, and what becomes of them."""
    files = tuple(_files(random.Random(f"{DATASET}/{plan.seed}"), plan))  # noqa: S311  # no secret
    lines = [line for file in files for line in file.lines]
    return DatasetSamples(
        dataset=DATASET,
        files=tuple(SampleFile(file.key, file.content(), len(file.lines)) for file in files),
        accounts=accounts(lines),
        tables=(
            ExpectedTable(
                layer=Layer.GOLD,
                name="service_error_rate",
                columns=GOLD_COLUMNS,
                rows=error_rates(lines),
                shown=SHOWN_ROWS,
                shown_columns=SHOWN_COLUMNS,
            ),
        ),
    )


def accounts(lines: Iterable[Line]) -> dict[date, Account]:
    """Account of each event date: what is logged twice happened twice."""
    landed: Counter[date] = Counter()
    sound: Counter[date] = Counter()
    for line in lines:
        landed[line.event_date] += 1
        sound[line.event_date] += line.entry is not None
    return {
        day: Account(landed[day], sound[day], landed[day] - sound[day], 0) for day in sorted(landed)
    }


def error_rates(lines: Iterable[Line]) -> tuple[Row, ...]:
    """Lines, warnings, errors and the share of these by event date, hour and service, sorted."""
    levels: dict[tuple[date, datetime, str], list[str]] = {}
    for entry in (line.entry for line in lines if line.entry):
        hour = entry.at.replace(minute=0, second=0, microsecond=0)
        levels.setdefault((hour.date(), hour, entry.service), []).append(entry.level)
    return tuple((*key, *_counts(each)) for key, each in sorted(levels.items()))


def _counts(levels: Sequence[str]) -> tuple[int, int, int, float]:
    errors = sum(level in ERRORS for level in levels)
    warnings = sum(level in WARNINGS for level in levels)
    return len(levels), warnings, errors, errors / len(levels)


def _files(draw: random.Random, plan: Plan) -> Iterator[LogFile]:
    for day in plan.dates:
        checkout = _entries(draw, "checkout", (midnight(day), midnight(day + DAY)), CHECKOUT_LINES)
        yield LogFile(f"dt={day}/checkout.log", tuple(_with_traces(draw, checkout, day)))
        end = midnight(day) + ROTATED_AT
        # Nothing came before the first date: its file begins with it.
        window = (max(end - DAY, plan.begin), end)
        search = _entries(draw, "search", window, SEARCH_LINES)
        yield LogFile(f"dt={day}/search.jsonl.gz", tuple(_lines(draw, search)))
    whole = (plan.begin, plan.begin + plan.days * DAY)
    mailer = _entries(draw, "mailer", whole, MAILER_LINES * plan.days)
    yield LogFile(f"dt={plan.dates[-1]}/mailer.log.zst", tuple(_lines(draw, mailer)))


def _entries(
    draw: random.Random, service: str, window: tuple[datetime, datetime], count: int
) -> Iterator[Entry]:
    """So many entries in a window, in the order of time."""
    begin, end = window
    length = int((end - begin) / timedelta(milliseconds=1))
    for offset in sorted(draw.randrange(length) for _ in range(count)):
        at = begin + timedelta(milliseconds=offset)
        yield Entry(at, service, draw.choice(LEVELS[service]))


def _lines(draw: random.Random, entries: Iterable[Entry]) -> Iterator[Line]:
    """Their lines: some spoiled, some said twice."""
    for entry in entries:
        is_sound = draw.random() >= FAULT_SHARE
        level = entry.level if is_sound else UNKNOWN_LEVEL
        message = draw.choice(MESSAGES[entry.service])
        line = Line(_text(entry, level, message), entry.at.date(), entry if is_sound else None)
        yield from (line,) * (2 if draw.random() < REPEATED_SHARE else 1)


def _with_traces(draw: random.Random, entries: Iterable[Entry], file_date: date) -> Iterator[Line]:
    """Their lines, with a stack trace after each error. Raw text goes by the date of its file."""
    for line in _lines(draw, entries):
        yield line
        if line.entry and line.entry.level in ERRORS:
            yield from (Line(raw, file_date, None) for raw in STACK_TRACE)


def _text(entry: Entry, level: str, message: str) -> str:
    at = entry.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = {"timestamp": at, "level": level, "message": message, "service": entry.service}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
