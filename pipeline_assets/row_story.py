"""One row's story: the record as received, and where it ended.

Where a row ends is recomputed from its date's fragments by ``refine``, as a refresh does, so that
a duplicate names the row that is kept in its place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import polars as pl
import pyarrow.compute as pc

from pipeline_assets.bronze_rows import read_date
from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import UnknownFileError, UnknownRowError, UnregisteredFileError
from pipeline_assets.refine import RefinedDate, refine
from pipeline_assets.registry import dataset as find_dataset
from pipeline_assets.report import file_named
from pipeline_assets.story import Tables, counting_fragments, reasons_of, tables_of
from resources.landfall import Landfall
from resources.ledger.model import FileHead, Fragment

ROW_DIGITS = 18
"""Digits that an ordinal of 64 bits has room for."""
PROVENANCE = ("_file_id", "_row", "_landed_at", "_error", "_raw")


class Ending(StrEnum):
    """Where a row of bronze ends."""

    SILVER = "in silver"
    QUARANTINE = "in quarantine"
    DUPLICATE = "a duplicate"


NEXT = {
    Ending.SILVER: "Nothing.",
    Ending.QUARANTINE: (
        "Mend the record and land its file again at the same key; or, if the contract is wrong, "
        "mend that and backfill silver for the date."
    ),
    Ending.DUPLICATE: "Nothing: the row that is kept stands for it.",
}
NEXT_WHILE_HELD = (
    "See why the date is held: `landfall status`. Until that is mended its former tables stay. A "
    "file that should never have come is taken out with `landfall forget --key`."
)


@dataclass(frozen=True)
class RowId:
    """A row by its file and its ordinal in the file, from 1."""

    file_id: str
    row: int


@dataclass(frozen=True)
class RowStory:
    """Everything about one row of a landed file.

    Attributes:
        head: its file.
        row: its ordinal in the file, from 1.
        event_date: the date it is filed under.
        fragment_key: where bronze keeps it.
        received: its fields as received, without those that were absent.
        raw: the text of a record that could not be parsed.
        error: why it could not.
        ending: where it ends as of the date's fragments now.
        reasons: why it is in quarantine.
        record: the record as quarantine keeps it.
        kept: of a duplicate, the row that is kept.
        kept_key: and that row's file.
        tables: whether the date's tables show it so already.
        what_next: what a person has to do.
    """

    head: FileHead
    row: int
    event_date: str
    fragment_key: str
    received: Mapping[str, str]
    raw: str | None
    error: str | None
    ending: Ending
    reasons: tuple[str, ...]
    record: str | None
    kept: RowId | None
    kept_key: str | None
    tables: Tables
    what_next: str


def row_named(landfall: Landfall, name: str) -> tuple[FileHead, int] | None:
    """The file and the row that ``FILE_ID:ROW`` or ``KEY:ROW`` names; ``None`` if it names none.

    A colon and digits may also be the end of a key.

    Raises:
        UnknownFileError: it is of that form, but the ledger knows no such file.
        UnknownRowError: no file has so many rows.
    """
    file, _, row = name.rpartition(":")
    if not row.isascii() or not row.isdecimal() or _is_key(landfall, name):
        return None
    head = file_named(landfall, file)
    digits = row.lstrip("0")
    if len(digits) > ROW_DIGITS:
        raise UnknownRowError(head.key, f"{digits[:ROW_DIGITS]}...", "no file has so many rows.")
    return head, int(digits or "0")


def _is_key(landfall: Landfall, name: str) -> bool:
    try:
        file_named(landfall, name)
    except UnregisteredFileError:
        return True
    except UnknownFileError:
        return False
    return True


def read_row_story(landfall: Landfall, head: FileHead, row: int) -> RowStory:
    """The story of a row.

    Raises:
        UnknownRowError: the file has no such row, or none at all now.
        DateRefusedError: a fragment of the row's date is missing or damaged.
    """
    entry = _fragment_of(landfall, head, row)
    dataset = find_dataset(head.dataset)
    manifest = landfall.ledger.dates.manifest(dataset.name, entry.event_date)
    bronze = read_date(landfall, dataset, manifest)
    own = bronze.filter(_is(RowId(head.file_id, row)))
    if own.is_empty():
        raise UnknownRowError(head.key, row, "its file turned just now: ask again.")
    date_ = _Date(dataset, date.fromisoformat(entry.event_date), bronze, manifest)
    return _told(landfall, head, entry, date_, own)


def _fragment_of(landfall: Landfall, head: FileHead, row: int) -> Fragment:
    fragments = counting_fragments(landfall, head)
    if not fragments:
        raise UnknownRowError(
            head.key, row, f"it is {head.state} and has no rows now; `landfall explain` says why."
        )
    for entry in fragments:
        rows = landfall.lake.read_fragment(entry.fragment_key).column("_row")
        if pc.any(pc.equal(rows, row)).as_py():
            return entry
    last = sum(entry.rows for entry in fragments)
    raise UnknownRowError(head.key, row, f"its rows are numbered 1 to {last:,}.")


@dataclass(frozen=True)
class _Date:
    """An event date's rows and the files that they come from."""

    dataset: Dataset
    day: date
    bronze: pl.DataFrame
    manifest: Sequence[Fragment]

    @property
    def keys(self) -> Mapping[str, str]:
        return {entry.file_id: entry.landing_key for entry in self.manifest}

    def refined(self, rows: pl.DataFrame) -> RefinedDate:
        return refine(rows, self.dataset, event_date=self.day, landing_keys=self.keys)

    def kept_for(self, own: pl.DataFrame, silver: pl.DataFrame) -> RowId:
        """The row that is kept in place of a duplicate.

        Kept rows all differ, so among any of them the duplicate's own is the one that makes it a
        duplicate: half of them is ruled out at a time. How rows are equal stays refine's business.
        """
        kept = self.bronze.join(silver.select("_file_id", "_row"), on=("_file_id", "_row"))
        while kept.height > 1:
            half = kept.head(kept.height // 2)
            is_here = self.refined(pl.concat([half, own])).duplicates
            kept = half if is_here else kept.tail(kept.height - half.height)
        return RowId(str(kept["_file_id"][0]), int(kept["_row"][0]))


def _told(
    landfall: Landfall, head: FileHead, entry: Fragment, date_: _Date, own: pl.DataFrame
) -> RowStory:
    row = RowId(head.file_id, int(own["_row"][0]))
    refined = date_.refined(date_.bronze)
    rejected = refined.quarantine.filter(_is(row))
    ending, kept = Ending.SILVER, None
    if rejected.height:
        ending = Ending.QUARANTINE
    elif refined.silver.filter(_is(row)).is_empty():
        ending, kept = Ending.DUPLICATE, date_.kept_for(own, refined.silver)
    record = own.row(0, named=True)
    dirty = {each.event_date: each for each in landfall.ledger.dates.dirty(head.dataset)}
    day = landfall.ledger.dates.head(head.dataset, entry.event_date)
    tables = tables_of(day, dirty.get(entry.event_date))
    return RowStory(
        head=head,
        row=row.row,
        event_date=entry.event_date,
        fragment_key=entry.fragment_key,
        received={
            name: value
            for name, value in record.items()
            if value is not None and name not in PROVENANCE
        },
        raw=record["_raw"],
        error=record["_error"],
        ending=ending,
        reasons=reasons_of(rejected["reasons"][0]) if rejected.height else (),
        record=rejected["record"][0] if rejected.height else None,
        kept=kept,
        kept_key=date_.keys[kept.file_id] if kept else None,
        tables=tables,
        what_next=NEXT_WHILE_HELD if tables is Tables.HELD else NEXT[ending],
    )


def _is(row: RowId) -> pl.Expr:
    return (pl.col("_file_id") == row.file_id) & (pl.col("_row") == row.row)
