"""Which format a landed object has: its content decides, then its name."""

import re
from pathlib import PurePosixPath
from typing import Final

from pipeline_assets.errors import UnsupportedFormatError
from pipeline_assets.parsing.compression import Compression, compression_of
from pipeline_assets.parsing.content import Content
from pipeline_assets.parsing.formats import Format

OPENS_JSON: Final = re.compile(rb"\s*(?:\{|\[\s*(?:\{|\]\s*\Z))")
"""An object, or an array of objects."""
PARQUET_MAGIC: Final = b"PAR1"
COMPRESSION_SUFFIXES: Final = frozenset({".gz", ".gzip", ".zst", ".zstd", ".bz2"})
FORMAT_BY_SUFFIX: Final = {
    ".csv": Format.CSV,
    ".json": Format.JSON,
    ".jsonl": Format.JSON,
    ".ndjson": Format.JSON,
    ".parquet": Format.PARQUET,
    ".pq": Format.PARQUET,
}
LOG_SUFFIX: Final = ".log"
"""Logs begin with whatever was printed first: neither their content nor their name tells more than
that they are text."""


def detect_format(content: Content, formats: frozenset[Format]) -> Format:
    """Format by content, else by name, else CSV for text where CSV is allowed.

    An empty file has no records in any format: it is never refused.

    Raises:
        UnsupportedFormatError: the format is none of ``formats``, or cannot be told.
        CorruptFileError: the gzip stream is broken.
    """
    if content.compression is not Compression.NONE:
        _refuse_packed_twice(content)
    if content.head.startswith(PARQUET_MAGIC):
        return _accepted(content.key, Format.PARQUET, formats)
    head = content.text_head
    found = _by_content(head) or _by_name(content.key)
    if not head.strip() and found not in formats:
        return min(formats)
    if found is None and b"\0" not in head:
        found = _as_text(content.key, formats)
    return _accepted(content.key, found, formats)


def refuse_other_suffixes(key: str, suffixes: tuple[str, ...]) -> None:
    """Let pass a key that ends as it may, in any case, compressed or not.

    Args:
        key: the object's key.
        suffixes: a dataset's, in lower case; none let every key pass.

    Raises:
        UnsupportedFormatError: the key ends otherwise.
    """
    if suffixes and not _uncompressed(key.lower()).endswith(suffixes):
        raise UnsupportedFormatError(key, _other_suffix(key, suffixes))


def _uncompressed(key: str) -> str:
    packed = next((each for each in COMPRESSION_SUFFIXES if key.endswith(each)), "")
    return key.removesuffix(packed)


def _other_suffix(key: str, suffixes: tuple[str, ...]) -> str:
    found = PurePosixPath(key).suffixes
    is_packed = bool(found) and found[-1].lower() in COMPRESSION_SUFFIXES
    ending = "".join(found[-2:] if is_packed else found[-1:])
    named = f"its key ends in {ending!r}" if ending else "its key has no suffix"
    return (
        f"{named}, but the dataset takes {', '.join(suffixes)} and these followed by "
        f"{', '.join(sorted(COMPRESSION_SUFFIXES))}: land it at such a key or below another "
        "dataset, or let the dataset take it"
    )


def _accepted(key: str, found: Format | None, formats: frozenset[Format]) -> Format:
    if found is None or found not in formats:
        raise UnsupportedFormatError(key, _refusal(found, formats))
    return found


def _refuse_packed_twice(content: Content) -> None:
    """Archives in a compressed stream (tar.gz) are refused by name like those without one."""
    inner = compression_of(content.head, content.key)
    if inner is not Compression.NONE:
        packed = f"it is {inner.name} packed in {content.compression.name}: land it packed once"
        raise UnsupportedFormatError(content.key, packed)


def _by_content(head: bytes) -> Format | None:
    return Format.JSON if OPENS_JSON.match(head) else None


def _by_name(key: str) -> Format | None:
    return FORMAT_BY_SUFFIX.get(_suffix(key))


def _suffix(key: str) -> str:
    """The last suffix that names no compression, in lower case; empty where there is none."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(key).suffixes]
    while suffixes and suffixes[-1] in COMPRESSION_SUFFIXES:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _as_text(key: str, formats: frozenset[Format]) -> Format | None:
    """CSV has no mark of its own; a log has the one text format that its dataset takes."""
    if Format.CSV in formats:
        return Format.CSV
    is_log = _suffix(key) == LOG_SUFFIX
    return Format.JSON if is_log and Format.JSON in formats else None


def _refusal(found: Format | None, formats: frozenset[Format]) -> str:
    what = "its format cannot be told" if found is None else f"it is {found.name}"
    accepted = ", ".join(sorted(item.name for item in formats))
    return f"{what}, but the dataset takes {accepted}: convert the file or let the dataset take it"
