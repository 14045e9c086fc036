"""Readings of two devices, with corrections, and the account of them.

    greenhouse/all.csv          CRLF, for all days, without a date in its key
    greenhouse/corrections.csv  other values for some of them: the greater key wins
    boiler/dt=…/boiler.csv      one a day, with semicolons, in UTF-16; corrects itself further down

Values are quarters, which floats hold exactly: a mean does not depend on the order of its sum.
"""

import codecs
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import Enum, auto
from typing import Final, TypeAlias

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

DATASET: Final = "readings"
GOLD_COLUMNS: Final = (
    "event_date",
    "device_id",
    "metric",
    "hour",
    "count",
    "min",
    "mean",
    "max",
    "last",
)
SHOWN_COLUMNS: Final = GOLD_COLUMNS[1:]
SHOWN_ROWS: Final = 4

STEP: Final = timedelta(minutes=10)
QUARTER: Final = 0.25
METRICS: Final[Mapping[str, Mapping[str, float]]] = {
    "greenhouse": {"humidity": 60, "temperature": 21.5},
    "boiler": {"pressure": 9, "temperature": 93.25},
}
"""Metrics of each device, with the values that they keep close to."""
SPREAD: Final = 8
"""So many quarters above and below."""
FAULT_SHARE: Final = 0.01
CORRECTED_SHARE: Final = 0.04

Identity: TypeAlias = tuple[str, str, datetime]


class Fault(Enum):
    """What is wrong with a row on purpose."""

    CUT = auto()
    """Only device and time are left; it tells no time, and goes by the date of its file."""
    NO_NUMBER = auto()


@dataclass(frozen=True)
class Reading:
    """A row of a file, perhaps spoiled."""

    device: str
    at: datetime
    metric: str
    value: float
    fault: Fault | None = None

    @property
    def identity(self) -> Identity:
        """What a reading and its corrections have in common."""
        return self.device, self.metric, self.at

    def cells(self) -> list[str]:
        """The row as text, in the order of the files' columns."""
        at = self.at.isoformat().replace("+00:00", "Z")
        value = "n/a" if self.fault is Fault.NO_NUMBER else str(self.value)
        cells = [self.device, at, self.metric, value]
        return cells[:2] if self.fault is Fault.CUT else cells


@dataclass(frozen=True)
class Form:
    """How a device writes its CSV."""

    header: tuple[str, ...]
    delimiter: str
    line_end: str
    encode: Callable[[str], bytes]


PLAIN: Final = Form(("deviceId", "timestamp", "metric", "value"), ",", "\r\n", str.encode)
WIDE: Final = Form(
    ("device_id", "timestamp", "metric", "value"),
    ";",
    "\n",
    lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
)


@dataclass(frozen=True)
class ReadingFile:
    """A file as its device writes it."""

    key: str
    form: Form
    readings: tuple[Reading, ...]

    def content(self) -> bytes:
        """The file's bytes: the same readings give the same."""
        rows = (self.form.header, *(reading.cells() for reading in self.readings))
        lines = (self.form.delimiter.join(cells) + self.form.line_end for cells in rows)
        return self.form.encode("".join(lines))


def samples(plan: Plan) -> DatasetSamples:
    """Some 600 readings for each day, and what becomes of them."""
    files = tuple(_files(random.Random(f"{DATASET}/{plan.seed}"), plan))  # noqa: S311  # no secret
    return DatasetSamples(
        dataset=DATASET,
        files=tuple(SampleFile(file.key, file.content(), len(file.readings)) for file in files),
        accounts=accounts(files),
        tables=(
            ExpectedTable(
                layer=Layer.GOLD,
                name="hourly_readings",
                columns=GOLD_COLUMNS,
                rows=hourly(valid(files).values()),
                shown=SHOWN_ROWS,
                shown_columns=SHOWN_COLUMNS,
            ),
        ),
    )


def valid(files: Iterable[ReadingFile]) -> dict[Identity, Reading]:
    """Of several values of a device, metric and time the one with the greatest key and row."""
    in_order = sorted(files, key=lambda file: file.key)
    sound = (each for file in in_order for each in file.readings if each.fault is None)
    return {reading.identity: reading for reading in sound}


def accounts(files: Iterable[ReadingFile]) -> dict[date, Account]:
    """Account of each event date: of the same device, metric and time one is kept."""
    files = list(files)
    every = [reading for file in files for reading in file.readings]
    landed = Counter(reading.at.date() for reading in every)
    spoiled = Counter(reading.at.date() for reading in every if reading.fault)
    kept = Counter(reading.at.date() for reading in valid(files).values())
    return {
        day: Account(landed[day], kept[day], spoiled[day], landed[day] - spoiled[day] - kept[day])
        for day in sorted(landed)
    }


def hourly(readings: Iterable[Reading]) -> tuple[Row, ...]:
    """Count, extremes, mean and last value by event date, device, metric and hour, sorted."""
    values: dict[tuple[date, str, str, datetime], list[float]] = {}
    for reading in sorted(readings, key=lambda reading: reading.at):
        hour = reading.at.replace(minute=0)
        key = hour.date(), reading.device, reading.metric, hour
        values.setdefault(key, []).append(reading.value)
    return tuple(
        (*key, len(each), min(each), math.fsum(each) / len(each), max(each), each[-1])
        for key, each in sorted(values.items())
    )


def _files(draw: random.Random, plan: Plan) -> Iterator[ReadingFile]:
    measured = list(_measured(draw, "greenhouse", plan.begin, plan.days))
    # Without a date in its key a file has no date that a cut row could go by.
    spoiled = [_spoiled(draw, reading, (Fault.NO_NUMBER,)) for reading in measured]
    yield ReadingFile("greenhouse/all.csv", PLAIN, tuple(spoiled))
    yield ReadingFile("greenhouse/corrections.csv", PLAIN, tuple(_corrections(draw, measured)))
    for day in plan.dates:
        measured = list(_measured(draw, "boiler", midnight(day), 1))
        told = (*measured, *_corrections(draw, measured))
        readings = tuple(_spoiled(draw, reading, tuple(Fault)) for reading in told)
        yield ReadingFile(f"boiler/dt={day}/boiler.csv", WIDE, readings)


def _measured(draw: random.Random, device: str, begin: datetime, days: int) -> Iterator[Reading]:
    for number in range(days * (DAY // STEP)):
        for metric, usual in METRICS[device].items():
            value = usual + draw.randint(-SPREAD, SPREAD) * QUARTER
            yield Reading(device, begin + number * STEP, metric, value)


def _corrections(draw: random.Random, readings: Iterable[Reading]) -> Iterator[Reading]:
    for reading in readings:
        if draw.random() < CORRECTED_SHARE:
            yield replace(reading, value=reading.value + draw.randint(1, SPREAD) * QUARTER)


def _spoiled(draw: random.Random, reading: Reading, faults: tuple[Fault, ...]) -> Reading:
    if draw.random() >= FAULT_SHARE:
        return reading
    return replace(reading, fault=draw.choice(faults))
