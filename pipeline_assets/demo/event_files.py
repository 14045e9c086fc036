"""A file of events: its records, sound or spoiled, and the bytes that its producer would land."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, timezone
from enum import StrEnum
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_assets.demo.visitors import Event

FIELDS: Final = ("eventType", "userId", "timestamp", "eventId", "sessionId", "properties")
CUT_COLUMNS: Final = 3
CUT_USER_CHARACTERS: Final = 8


class Encoding(StrEnum):
    """How a producer writes records, by the end of the names it gives its files."""

    CSV = "csv"
    CSV_GZIP = "csv.gz"
    JSON_LINES = "jsonl"
    JSON_LINES_GZIP = "jsonl.gz"
    JOINED_GZIP = "gz"
    PARQUET = "parquet"


class Fault(StrEnum):
    """What is wrong with a record on purpose."""

    CUT = "cut"
    UNKNOWN_TYPE = "unknown type"
    BAD_USER = "bad user"
    BAD_TIME = "bad time"


WRONG: Final[Mapping[Fault, Mapping[str, str]]] = {
    Fault.CUT: {},
    Fault.UNKNOWN_TYPE: {"eventType": "refund"},
    Fault.BAD_USER: {"userId": "anonymous"},
    Fault.BAD_TIME: {"timestamp": "05.03.2025 10:15"},
}
WITHOUT_TIME: Final = frozenset({Fault.CUT, Fault.BAD_TIME})
"""Records that tell no time, so that they go by the date of their file."""


@dataclass(frozen=True)
class Record:
    """An event as one file reports it, perhaps spoiled; ``event_date`` is where it belongs."""

    event: Event
    event_date: date
    fault: Fault | None = None


@dataclass(frozen=True, kw_only=True)
class EventFile:
    """A file as its producer writes it.

    Attributes:
        key: its key below the dataset.
        encoding: its format and compression.
        file_date: the date in the key, None where it has none.
        zone: zone of the times in it.
        capitals: whether its user ids are in capitals.
        records: what is in it, in order.
    """

    key: str
    encoding: Encoding
    file_date: date | None
    zone: timezone = UTC
    capitals: bool = False
    records: tuple[Record, ...] = ()

    def content(self) -> bytes:
        """The file's bytes: the same records give the same."""
        plain = ENCODERS[self.encoding](self)
        return gzip.compress(plain, mtime=0) if self.encoding.endswith("gz") else plain

    def values(self, record: Record) -> dict[str, str | None]:
        """A record's fields as text."""
        event = record.event
        moment = event.at.astimezone(self.zone).isoformat().replace("+00:00", "Z")
        user = event.user_id.upper() if self.capitals else event.user_id
        right = (event.event_type, user, moment, event.event_id, event.session_id, event.properties)
        values = dict(zip(FIELDS, right, strict=True))
        values.update(WRONG[record.fault] if record.fault else {})
        return values


def possible_faults(encoding: Encoding, file_date: date | None) -> tuple[Fault, ...]:
    """Faults whose event date is known wherever and whenever the file lands."""
    impossible = set(WITHOUT_TIME) if file_date is None else set()
    if encoding is Encoding.PARQUET:
        impossible.add(Fault.CUT)
    return tuple(fault for fault in Fault if fault not in impossible)


def _csv(file: EventFile) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    for record in file.records:
        cells = list(file.values(record).values())
        writer.writerow(cells[:CUT_COLUMNS] if record.fault is Fault.CUT else cells)
    return text.getvalue().encode()


def _json_lines(file: EventFile) -> bytes:
    return "".join(f"{_object(file, record)}\n" for record in file.records).encode()


def _joined(file: EventFile) -> bytes:
    return "".join(_object(file, record) for record in file.records).encode()


def _object(file: EventFile, record: Record) -> str:
    values = file.values(record)
    user = str(values["userId"])
    filled = {name: value for name, value in values.items() if value is not None}
    properties = json.loads(record.event.properties)
    text = json.dumps(filled | {"properties": properties}, separators=(",", ":"))
    if record.fault is Fault.CUT:
        return text[: text.index(user) + CUT_USER_CHARACTERS]
    return text


def _parquet(file: EventFile) -> bytes:
    rows = [file.values(record) for record in file.records]
    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in FIELDS}
    moments = [
        None if record.fault is Fault.BAD_TIME else record.event.at for record in file.records
    ]
    columns["timestamp"] = pa.array(moments, pa.timestamp("us", "UTC"))
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


ENCODERS: Final[Mapping[Encoding, Callable[[EventFile], bytes]]] = {
    Encoding.CSV: _csv,
    Encoding.CSV_GZIP: _csv,
    Encoding.JSON_LINES: _json_lines,
    Encoding.JSON_LINES_GZIP: _json_lines,
    Encoding.JOINED_GZIP: _joined,
    Encoding.PARQUET: _parquet,
}
