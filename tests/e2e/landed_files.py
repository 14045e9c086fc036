"""Two hundred small files in every format, and ten ways to break one."""

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from scenario import DAYS, Event, event, json_lines, packed

FILES = 200
ROWS = 6
MISSPELT = "evnets"
"""A prefix that is no dataset."""

Encode: TypeAlias = Callable[[Sequence[Event]], bytes]
Break: TypeAlias = Callable[[bytes], bytes]


def flat(record: Event) -> dict[str, str]:
    """A record as a format without nesting holds it."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in record.items()
    }


def as_csv(records: Sequence[Event]) -> bytes:
    """The records below a header line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat(record) for record in records)
    return text.getvalue().encode()


def as_parquet(records: Sequence[Event]) -> bytes:
    """The records in one page per column, each with its checksum."""
    body = io.BytesIO()
    table = pa.Table.from_pylist([flat(record) for record in records])
    pq.write_table(table, body, compression="none", use_dictionary=False, write_page_checksum=True)
    return body.getvalue()


ENCODINGS: dict[str, Encode] = {
    "jsonl": json_lines,
    "jsonl.gz": packed,
    "json": lambda records: json_lines(records).replace(b"\n", b""),
    "csv": as_csv,
    "csv.gz": lambda records: gzip.compress(as_csv(records), mtime=0),
    "parquet": as_parquet,
}


def flipped(content: bytes, at: int) -> bytes:
    """The content with one bit the other way round."""
    changed = bytearray(content)
    changed[at] ^= 0x20
    return bytes(changed)


def zipped(content: bytes) -> bytes:
    """The content in an archive."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("events", content)
    return body.getvalue()


@dataclass(frozen=True)
class Breakage:
    """A way to break a sound file, and the words in which its true cause is told."""

    extension: str
    breaks: Break
    error: str
    cause: str
    land_as: str | None = None
    """Extension of its key, if it is another than that of a sound one."""
    prefix: str = "events"


BREAKAGES = (
    Breakage("jsonl.gz", lambda sound: sound[:-20], "CorruptFileError", "ended before the end"),
    Breakage("csv.gz", lambda sound: flipped(sound, -6), "CorruptFileError", "CRC check failed"),
    Breakage(
        "jsonl.gz", lambda sound: sound + b"more", "CorruptFileError", "Not a gzipped file (b'mo')"
    ),
    Breakage(
        "csv.gz",
        lambda sound: sound[:2] + b"\x09" + sound[3:],
        "CorruptFileError",
        "Unknown compression method",
    ),
    Breakage(
        "parquet", lambda sound: sound[:-100], "CorruptFileError", "it does not end in a footer"
    ),
    Breakage(
        "parquet",
        lambda sound: sound[:-8] + b"\xff\xff\xff\x7f" + sound[-4:],
        "CorruptFileError",
        "it tells of a footer of 2,147,483,647 bytes",
    ),
    Breakage(
        "parquet",
        lambda sound: flipped(sound, 100),
        "CorruptFileError",
        "could not verify page integrity",
    ),
    Breakage(
        "csv",
        lambda sound: sound.partition(b"\n")[2],
        "HeaderError",
        "names none of the fields eventType",
    ),
    Breakage(
        "json", zipped, "UnsupportedFormatError", "its content is a zip archive", land_as="zip"
    ),
    Breakage(
        "jsonl",
        lambda sound: sound,
        "UnknownDatasetError",
        f"no dataset is called '{MISSPELT}'",
        prefix=MISSPELT,
    ),
)


@dataclass(frozen=True)
class LandedFile:
    """A file as it should be, and where."""

    key: str
    sound: bytes


@dataclass(frozen=True)
class BrokenFile:
    """A file as it came instead of a sound one."""

    key: str
    content: bytes
    breakage: Breakage
    sound: LandedFile


def records(number: int) -> list[Event]:
    """Events of one file: a late one, one that others have too, and now and then an invalid one."""
    day, earlier = DAYS[number % len(DAYS)], DAYS[(number - 1) % len(DAYS)]
    first = number * ROWS
    own = [event(day, first + place, hour=place) for place in range(ROWS - 2)]
    shared = event(day, 10_000, kind="signup")
    refund = "refund" if number % 8 == 0 else "purchase"
    return [*own, shared, event(earlier, first + ROWS, kind=refund, hour=20)]


def sound_file(number: int, extension: str) -> LandedFile:
    """The file of that number, the same whenever it is asked for."""
    key = f"events/dt={DAYS[number % len(DAYS)]}/{number:03}.{extension}"
    return LandedFile(key, ENCODINGS[extension](records(number)))


def sound_files() -> list[LandedFile]:
    """All but the broken ones' places, in turn in every format."""
    extensions = list(ENCODINGS)
    broken = 2 * len(BREAKAGES)
    return [
        sound_file(number, extensions[number % len(extensions)]) for number in range(broken, FILES)
    ]


def broken_files() -> list[BrokenFile]:
    """Two files of each breakage."""
    return [broken_file(number) for number in range(2 * len(BREAKAGES))]


def broken_file(number: int) -> BrokenFile:
    """The file of that number as it came, and as it should have been."""
    breakage = BREAKAGES[number % len(BREAKAGES)]
    sound = sound_file(number, breakage.extension)
    sound_key = sound.key
    if breakage.land_as:
        sound_key = sound.key.removesuffix(breakage.extension) + breakage.land_as
    key = sound_key.replace("events", breakage.prefix, 1)
    content = breakage.breaks(sound.sound)
    return BrokenFile(key, content, breakage, LandedFile(sound_key, sound.sound))
