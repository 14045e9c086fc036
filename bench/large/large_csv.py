"""One large CSV of events, written in bounded memory, and what every table must hold of it.

The rows are a function of their ordinal, so that what is expected is counted from the ordinals and
owes nothing to a parser: of every hundred rows one happened the day before and one repeats a row of
the file's first half, of every ten thousand four break the contract and one is cut short.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from bench.stage.summary import Summary
from pipeline_assets.datasets.events import EVENT_TYPES

DAY: Final = date(2025, 3, 10)
EVE: Final = DAY - timedelta(days=1)
DATES: Final = (DAY.isoformat(), EVE.isoformat())
HEADER: Final = b"eventType,userId,timestamp,eventId,sessionId,properties\n"
ROW_BYTES: Final = 109
"""What a row is long on the average."""
CHUNK_ROWS: Final = 200_000
USERS: Final = 250_000
DAY_SECONDS: Final = 86_400

HUNDRED: Final = 100
LATE, REPEATED = 7, 50
PERIOD: Final = 10_000
OF_NO_TYPE, OF_NO_USER, OF_NO_TIME, OF_NO_OBJECT, CUT = 1111, 2222, 3333, 4444, 5555
INVALID: Final = (OF_NO_TYPE, OF_NO_USER, OF_NO_TIME, OF_NO_OBJECT)

TYPE_MIX, USER_MIX, TIME_MIX = 2_654_435_761, 48_271, 7_919
EVENT_MIX, UUID_MIX = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9
"""Odd numbers: times one of them modulo 2**64 no two ordinals become the same."""

Numbers: TypeAlias = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class LargeCsv:
    """A written file and what is true of it.

    Attributes:
        path: the file.
        size: its bytes.
        rows: its records, malformed ones too.
        quarantined: of them malformed or invalid, all filed under ``DAY``.
        duplicates: of them equal to an earlier one, all of ``DAY``.
        kept_ordinals: sum of the ordinals (from 1) of the rows that stay: of equal ones the first.
        summary: what ``gold/daily_event_summary`` says.
    """

    path: Path
    size: int
    rows: int
    quarantined: int
    duplicates: int
    kept_ordinals: int
    summary: Mapping[tuple[str, str], tuple[int, int]]

    @property
    def kept(self) -> int:
        """Rows of silver."""
        return self.rows - self.quarantined - self.duplicates

    def kept_on(self, day: str) -> int:
        """Rows of silver of a date."""
        return sum(count for (each, _), (count, _) in self.summary.items() if each == day)


def write_large_csv(path: Path, size: int) -> LargeCsv:
    """Write a file of about ``size`` bytes."""
    rows = size // ROW_BYTES
    account = _Account()
    with path.open("wb") as file:
        file.write(HEADER)
        for ordinals in _chunks(rows):
            _write(ordinals, file)
            account.add(ordinals)
    return LargeCsv(
        path,
        path.stat().st_size,
        rows,
        account.quarantined,
        account.duplicates,
        account.kept_ordinals,
        account.summary(),
    )


def _chunks(rows: int) -> Iterator[Numbers]:
    for start in range(0, rows, CHUNK_ROWS):
        yield np.arange(start, min(start + CHUNK_ROWS, rows), dtype=np.uint64)


def _events(ordinals: Numbers) -> Numbers:
    """Which event each row tells: its own, or for a repeated one that of a row far before it."""
    earlier = ordinals // (2 * HUNDRED) * HUNDRED
    return np.where(ordinals % HUNDRED == REPEATED, earlier, ordinals).astype(np.uint64)


def _types(events: Numbers) -> Numbers:
    return (events * np.uint64(TYPE_MIX) >> np.uint64(16)) % np.uint64(len(EVENT_TYPES))


def _users(events: Numbers) -> Numbers:
    return events * np.uint64(USER_MIX) % np.uint64(USERS)


def _is_late(events: Numbers) -> npt.NDArray[np.bool_]:
    late: npt.NDArray[np.bool_] = events % np.uint64(HUNDRED) == np.uint64(LATE)
    return late


def _hexadecimal(numbers: Numbers) -> pl.Series:
    big_endian = pa.py_buffer(numbers.astype(">u8").tobytes())
    eight_each = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(8), len(numbers), [None, big_endian]
    )
    return pl.Series(eight_each.cast(pa.binary())).bin.encode("hex")


def _write(ordinals: Numbers, file: BinaryIO) -> None:
    events = _events(ordinals)
    users = _users(events)
    columns = pl.DataFrame(
        {
            "place": ordinals % PERIOD,
            "late": _is_late(events),
            "type": pl.Series(EVENT_TYPES).gather(_types(events)),
            "first": _hexadecimal(users * np.uint64(EVENT_MIX)),
            "second": _hexadecimal(users * np.uint64(UUID_MIX)),
            "seconds": (events * np.uint64(TIME_MIX) % np.uint64(DAY_SECONDS)).astype(np.int64),
            "id": _hexadecimal(events * np.uint64(EVENT_MIX)),
            "page": events % PERIOD,
        }
    )
    columns.select(_line()).write_csv(file, include_header=False, quote_style="never")


def _line() -> pl.Expr:
    """A line of the file, of its parts."""
    first, second = pl.col("first"), pl.col("second")
    parts = (first.str.slice(0, 8), first.str.slice(8, 4), first.str.slice(12))
    uuid = pl.concat_str(*parts, second.str.slice(0, 4), second.str.slice(4), separator="-")
    place = pl.col("place")
    midnight = pl.when("late").then(pl.lit(EVE)).otherwise(pl.lit(DAY)).cast(pl.Datetime("us"))
    time = (midnight + pl.duration(seconds="seconds")).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    line = pl.format(
        "{},{},{},{},s{},{}",
        pl.when(place == OF_NO_TYPE).then(pl.lit("refund")).otherwise("type"),
        pl.when(place == OF_NO_USER).then(pl.lit("somebody")).otherwise(uuid),
        pl.when(place == OF_NO_TIME).then(pl.lit(f"{DAY} noon")).otherwise(time),
        "id",
        second.str.slice(8, 6),
        pl.when(place == OF_NO_OBJECT)
        .then(pl.lit("[17]"))
        .otherwise(pl.concat_str(pl.lit('"{""page"":'), "page", pl.lit('}"'))),
    )
    return pl.when(place == CUT).then(pl.lit("page_view,cut short")).otherwise(line)


@dataclass
class _Account:
    """What the rows so far come to."""

    quarantined: int = 0
    duplicates: int = 0
    kept_ordinals: int = 0
    _counts: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((len(DATES), len(EVENT_TYPES)), np.int64)
    )
    _came: npt.NDArray[np.bool_] = field(
        default_factory=lambda: np.zeros((len(DATES), len(EVENT_TYPES), USERS), np.bool_)
    )

    def add(self, ordinals: Numbers) -> None:
        broken = np.isin(ordinals % PERIOD, (*INVALID, CUT))
        repeated = ordinals % HUNDRED == REPEATED
        kept = ordinals[~broken & ~repeated]
        self.quarantined += int(broken.sum())
        self.duplicates += int(repeated.sum())
        self.kept_ordinals += int(kept.sum()) + len(kept)
        dates, types = _is_late(kept).astype(np.intp), _types(kept).astype(np.intp)
        np.add.at(self._counts, (dates, types), 1)
        self._came[dates, types, _users(kept).astype(np.intp)] = True

    def summary(self) -> Summary:
        users = self._came.sum(axis=2)
        return {
            (day, kind): (int(self._counts[at]), int(users[at]))
            for date_index, day in enumerate(DATES)
            for type_index, kind in enumerate(EVENT_TYPES)
            if self._counts[at := (date_index, type_index)]
        }
