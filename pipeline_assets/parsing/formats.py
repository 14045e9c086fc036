"""The formats that a dataset may accept, and what it may fix about how its files are written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Format(StrEnum):
    """What the bytes of a landed object hold, once decompressed."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


class Kind(StrEnum):
    """What a typed file's column must hold for a field; text is always accepted."""

    TEXT = "text"
    """Any single value: text, number, boolean, date, time, binary."""
    TIME = "time"
    """A point in time: a timestamp of any unit and zone, or a date."""
    NUMBER = "number"
    """An integer, floating or decimal number."""
    JSON = "json"
    """A struct, map or list."""


@dataclass(frozen=True, kw_only=True)
class Writing:
    """What a dataset fixes about how its files are written; the rest is found in their content.

    Attributes:
        delimiter: of CSV values; ``None`` takes the one of ``, ; tab |`` that the content shows.
        encoding: Python's name for the encoding of text that has no byte order mark and is not
            UTF-8 (``windows-1252`` of old exports); ``None`` makes such records malformed.
        records_path: names that lead to the array of records in a JSON document that is one
            object: ``("data", "items")`` of ``{"data": {"items": [...]}}``. Empty takes an object
            for a record.
        kinds: what fields hold in typed files; one that is not named is ``Kind.TEXT``.
    """

    delimiter: str | None = None
    encoding: str | None = None
    records_path: tuple[str, ...] = ()
    kinds: Mapping[str, Kind] = field(default_factory=lambda: MappingProxyType({}))
