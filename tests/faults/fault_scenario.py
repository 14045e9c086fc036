"""What every trial works on: a few small files over two file dates, one overwritten, one broken.

Before a trial begins, ``FIRST`` is loaded and every table of its date stands; ``THEN`` has landed
and waits in the queue. So a trial replaces what is there and makes what is not.
"""

import csv
import gzip
import hashlib
import io
import json
import uuid
from collections.abc import Iterable
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

Event: TypeAlias = dict[str, str]
Files: TypeAlias = dict[str, bytes]

BEFORE, DAY, NEXT = "2025-03-08", "2025-03-10", "2025-03-11"
"""Event dates; the first has no file of its own, only late rows in others."""
KINDS = ("page_view", "click", "purchase", "signup")
OVERWRITTEN = f"events/dt={DAY}/a.csv"
FRESH = f"events/dt={DAY}/b.jsonl.gz"
BROKEN = f"events/dt={NEXT}/e.jsonl.gz"


def event(day: str, number: int, *, kind: str | None = None) -> Event:
    """A valid event; day and number are its identity."""
    return {
        "eventId": f"{day}-{number}",
        "eventType": kind or KINDS[number % len(KINDS)],
        "userId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"user/{number % 5}")),
        "timestamp": f"{day}T{number % 24:02}:{number % 60:02}:00Z",
        "sessionId": f"s{number % 3}",
    }


def events(day: str, numbers: Iterable[int]) -> list[Event]:
    """Valid events of one date."""
    return [event(day, number) for number in numbers]


def as_csv(records: list[Event]) -> bytes:
    """The records as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def as_json_lines(records: list[Event]) -> bytes:
    """The records as JSON lines."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def as_gzip(records: list[Event]) -> bytes:
    """The records as gzipped JSON lines, the same bytes whenever it is called."""
    return gzip.compress(as_json_lines(records), mtime=0)


def as_parquet(records: list[Event]) -> bytes:
    """The records as a Parquet file."""
    made = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), made)
    return made.getvalue()


def etag(content: bytes) -> str:
    """ETag of an object that was put at once: its MD5."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


FIRST: Files = {
    OVERWRITTEN: as_csv(events(DAY, range(20))),
}
THEN: Files = {
    # 5 rows are gone, 4 are new.
    OVERWRITTEN: as_csv(events(DAY, range(5, 24))),
    # 5 duplicates of the first file, 6 rows of its own, 4 late ones.
    FRESH: as_gzip([*events(DAY, range(19, 30)), *events(BEFORE, range(4))]),
    # An invalid row.
    f"events/dt={NEXT}/c.parquet": as_parquet(
        [*events(NEXT, range(20)), event(NEXT, 50, kind="refund")]
    ),
    # A malformed row, 3 duplicates, 2 late rows of which one repeats another file's.
    f"events/dt={NEXT}/d.jsonl": as_json_lines(
        [*events(NEXT, range(17, 26)), *events(BEFORE, [3, 4])]
    )
    + b'{"eventId": "cut\n',
    # Cut off in the middle of the stream: it dies at its first attempt.
    BROKEN: as_gzip(events(NEXT, range(40, 60)))[:100],
}
SOUND = tuple(sorted(set(THEN) - {BROKEN}))
"""Keys that end ``LOADED``."""
UNFINISHED = (f"DEAD: {BROKEN}",)
"""All that is not finished after an undisturbed run."""
OTHER_BYTES: Files = {
    OVERWRITTEN: as_csv(events(DAY, range(8, 27))),
    FRESH: as_gzip([*events(DAY, range(17, 33)), *events(BEFORE, range(1, 6))]),
}
"""What the keys hold after they were overwritten during a trial."""
