"""What every format yields: batches of records, each good or malformed, in file order."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl
import pyarrow as pa

from pipeline_assets.parsing.formats import Writing
from pipeline_assets.parsing.limits import Limits
from pipeline_assets.parsing.notes import Notes

ROW: Final = "_row"
RAW: Final = "_raw"
ERROR: Final = "_error"
RESCUED: Final = "_rescued"

COMPACT: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)

BATCH_BYTES: Final = 32 * 1024 * 1024
"""A batch closes once its records' text reaches this size, however few they are."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a reader is asked for.

    Attributes:
        fields: the contract's column names as files carry them.
        batch_rows: the most rows of a batch; batches with long records are smaller.
        writing: what the dataset fixes about its files.
        limits: bounds of a file.
        notes: where the reader writes what it noticed.
    """

    fields: tuple[str, ...]
    batch_rows: int = 65_536
    writing: Writing = field(default_factory=Writing)
    limits: Limits = field(default_factory=Limits)
    notes: Notes = field(default_factory=Notes)


@dataclass(frozen=True, slots=True)
class Malformed:
    """A record that could not be parsed: its text, and why with its line number."""

    raw: str
    error: str


@dataclass(frozen=True, slots=True)
class NameMatch:
    """For each field the position of its source column, and the columns that no field takes."""

    positions: tuple[int | None, ...]
    unknown: tuple[tuple[str, int], ...]


def record_schema(fields: tuple[str, ...]) -> pa.Schema:
    """Schema of a batch: ordinal, malformed text and reason, the fields as text, the rescued."""
    text = [RAW, ERROR, *fields, RESCUED]
    return pa.schema([(ROW, pa.int64()), *((name, pa.large_string()) for name in text)])


def match_names(names: Sequence[str], fields: tuple[str, ...]) -> NameMatch:
    """Find each field's column: the same name first, else one that differs in case or ``_`` only.

    Of several columns for a field the first is taken and the others are unknown. An unknown column
    whose name was there before, or that has none, is told by its number: none hides another.
    """
    positions = tuple(_position(field, names) for field in fields)
    taken = {place for place in positions if place is not None}
    used = {names[place].strip() for place in taken}
    unknown: list[tuple[str, int]] = []
    for index, name in enumerate(names):
        if index not in taken:
            distinct = name.strip() or f"column {index + 1}"
            while distinct in used:
                distinct += f".{index + 1}"
            used.add(distinct)
            unknown.append((distinct, index))
    return NameMatch(positions, tuple(unknown))


def _position(field: str, names: Sequence[str]) -> int | None:
    if field in names:
        return names.index(field)
    wanted = _folded(field)
    return next((index for index, name in enumerate(names) if _folded(name) == wanted), None)


def _folded(name: str) -> str:
    return name.strip().replace("_", "").casefold()


def compact_json(value: object) -> str:
    """JSON text without blanks, not escaped beyond what JSON asks for."""
    return COMPACT.encode(value)


def json_objects(columns: pl.DataFrame) -> pa.Array:
    """Each row as the text of a JSON object of the columns' names and values."""
    objects = columns.select(pl.struct(pl.all()).struct.json_encode())
    # It has the first column's name, and Polars ends the process at a zero byte in the name.
    return objects.to_series().alias(RESCUED).to_arrow().cast(pa.large_string())


class BatchBuilder:
    """Collects records in file order and hands them out as batches."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._blank = (None,) * (len(layout.fields) + 1)
        self._yielded = 0
        self._clear()

    def _clear(self) -> None:
        self._rows: list[tuple[str | None, ...]] = []
        self._malformed: dict[int, Malformed] = {}
        self._bytes = 0

    @property
    def full(self) -> bool:
        """Whether the batch must be taken before the next record is added."""
        return len(self._rows) >= self._layout.batch_rows or self._bytes >= BATCH_BYTES

    @property
    def empty(self) -> bool:
        """Whether there is nothing to take."""
        return not self._rows

    def add(self, values: tuple[str | None, ...], size: int) -> None:
        """Add a good record: the text of its fields and of ``_rescued``, and the size of both."""
        self._rows.append(values)
        self._bytes += size

    def add_malformed(self, record: Malformed) -> None:
        """Add a malformed record."""
        self._malformed[len(self._rows)] = record
        self.add(self._blank, len(record.raw))

    def take(self) -> pa.RecordBatch:
        """The records collected since the last call."""
        first, total = self._yielded + 1, len(self._rows)
        raws: list[str | None] = [None] * total
        errors: list[str | None] = [None] * total
        for index, record in self._malformed.items():
            raws[index], errors[index] = record.raw, record.error
        values = zip(*self._rows, strict=True) if self._rows else [()] * len(self._blank)
        arrays = [
            pa.array(range(first, first + total), pa.int64()),
            pa.array(raws, pa.large_string()),
            pa.array(errors, pa.large_string()),
            *(pa.array(column, pa.large_string()) for column in values),
        ]
        self._yielded += total
        self._clear()
        return pa.RecordBatch.from_arrays(arrays, schema=record_schema(self._layout.fields))
