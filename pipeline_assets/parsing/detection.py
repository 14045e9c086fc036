"""Which format a landed object has: its content decides, then its name."""

from pathlib import PurePosixPath
from typing import Final

from pipeline_assets.errors import UnsupportedFormatError
from pipeline_assets.parsing.content import BYTE_ORDER_MARK, Content
from pipeline_assets.parsing.formats import Format

PARQUET_MAGIC: Final = b"PAR1"
COMPRESSION_SUFFIXES: Final = frozenset({".gz", ".gzip"})
FORMAT_BY_SUFFIX: Final = {
    ".csv": Format.CSV,
    ".json": Format.JSON,
    ".jsonl": Format.JSON,
    ".ndjson": Format.JSON,
    ".parquet": Format.PARQUET,
    ".pq": Format.PARQUET,
}


def detect_format(content: Content, formats: frozenset[Format]) -> Format:
    """Format by content, else by name, else CSV for text where CSV is allowed.

    An empty file has no records in any format: it is never refused.

    Raises:
        UnsupportedFormatError: the format is none of ``formats``, or cannot be told.
        CorruptFileError: the gzip stream is broken.
    """
    head = content.head.removeprefix(BYTE_ORDER_MARK)
    found = _by_content(head) or _by_name(content.key)
    if not head.strip() and found not in formats:
        return min(formats)
    if found is None and Format.CSV in formats and b"\0" not in head:
        return Format.CSV
    if found is None or found not in formats:
        raise UnsupportedFormatError(content.key, _refusal(found, formats))
    return found


def _by_content(head: bytes) -> Format | None:
    if head.startswith(PARQUET_MAGIC):
        return Format.PARQUET
    return Format.JSON if head.lstrip()[:1] == b"{" else None


def _by_name(key: str) -> Format | None:
    suffixes = [suffix.lower() for suffix in PurePosixPath(key).suffixes]
    while suffixes and suffixes[-1] in COMPRESSION_SUFFIXES:
        suffixes.pop()
    return FORMAT_BY_SUFFIX.get(suffixes[-1]) if suffixes else None


def _refusal(found: Format | None, formats: frozenset[Format]) -> str:
    what = "its format cannot be told" if found is None else f"it is {found.name}"
    accepted = ", ".join(sorted(item.name for item in formats))
    return f"{what}, but the dataset takes {accepted}: convert the file or let the dataset take it"
