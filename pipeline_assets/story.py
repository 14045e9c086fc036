"""One file's story: how it came, what was tried, what became of its rows, what to do next.

``read_story`` gathers what the ledger and the tables say. How a step of the history is told stands
in ``telling``; the story of a single row in ``row_story``.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

import polars as pl

from pipeline_assets.operations.dead_letters import next_step
from pipeline_assets.operations.forget import is_done
from pipeline_assets.registry import datasets
from pipeline_assets.report import carried_by, file_named, state_of
from pipeline_assets.show import some
from pipeline_assets.telling import Sentence, chapters
from resources.frames import FrameKind
from resources.landfall import Landfall
from resources.landing_zone import StoredObject
from resources.ledger.model import (
    DateHead,
    DirtyDate,
    FileHead,
    FileState,
    Fragment,
    RunRequest,
    UnreportedFile,
)
from resources.partition_io import StoredAsset
from resources.s3_parquet import S3ParquetIOManager

NEXT = {
    FileState.LANDED: (
        "Nothing: it waits for a run. `landfall work --until-idle`, or the landing sensor, starts "
        "it."
    ),
    FileState.QUEUED: "Nothing: a run was requested and has not begun.",
    FileState.LOADING: "Nothing: a run is loading it.",
    FileState.LOADED: "Nothing: its rows count in the dates above.",
    FileState.FAILED: "Nothing: it is tried again by itself once it is due.",
    FileState.GONE: "Nothing, or land it again if it is needed.",
    FileState.FORGOTTEN: (
        "Nothing: its rows were removed on purpose. `landfall replay --key` would load it again."
    ),
}


class Tables(StrEnum):
    """How the tables of an event date stand to its fragments."""

    UP_TO_DATE = "up to date"
    TO_BE_REFRESHED = "to be refreshed"
    HELD = "held"


class AtKey(StrEnum):
    """What the key of a file holds now."""

    SAME = "the same bytes"
    OTHER = "other bytes"
    NOTHING = "nothing"


@dataclass(frozen=True)
class DateAccount:
    """What became of a file's rows on one event date.

    ``silver``, ``quarantined`` and ``duplicates`` are rows, ``reasons`` how many rows were
    quarantined for each; all of them are ``None`` or empty while the tables are behind the
    fragments. ``held`` is why the date is.
    """

    event_date: str
    fragment_key: str
    rows: int
    malformed: int
    tables: Tables
    silver: int | None = None
    quarantined: int | None = None
    duplicates: int | None = None
    reasons: Mapping[str, int] = field(default_factory=dict)
    held: str | None = None


@dataclass(frozen=True)
class Story:
    """Everything about one file.

    Attributes:
        head: what the ledger knows of it.
        state: its state, the run request that carries it taken into account.
        told: its history in sentences, in the order of time.
        request: the run request that carries it.
        fragments: those that count now.
        accounts: what became of their rows, by event date.
        letter: whether its dead letter was sent; ``None`` while it is not dead.
        at_key: what the landing bucket holds at its key now.
        what_next: what a person has to do.
    """

    head: FileHead
    state: FileState
    told: tuple[Sentence, ...]
    request: RunRequest | None
    fragments: tuple[Fragment, ...]
    accounts: tuple[DateAccount, ...]
    letter: bool | None
    at_key: AtKey
    what_next: str


def read_story(landfall: Landfall, name: str) -> Story:
    """The story of a file.

    Args:
        landfall: where to look.
        name: its key, with or without ``s3://BUCKET/``, or its file id.

    Raises:
        UnknownFileError: the ledger knows no such file.
    """
    head = file_named(landfall, name)
    carried = carried_by(landfall.ledger.requests.open(head.dataset).requests)
    state, request = state_of(head, carried), carried.get((head.file_id, head.epoch))
    fragments = counting_fragments(landfall, head)
    accounts = _accounts(landfall, head, fragments)
    here = at_key(head, landfall.bucket.stat(head.key))
    return Story(
        head=head,
        state=state,
        told=chapters(head, request),
        request=request,
        fragments=fragments,
        accounts=accounts,
        letter=_letter(landfall, head),
        at_key=here,
        what_next=_what_next(landfall, head, state, accounts),
    )


def at_key(head: FileHead, stored: StoredObject | None) -> AtKey:
    """How what a key holds now stands to the file that is registered of it."""
    if stored is None:
        return AtKey.NOTHING
    return AtKey.SAME if stored.etag == head.etag else AtKey.OTHER


def counting_fragments(landfall: Landfall, head: FileHead) -> tuple[Fragment, ...]:
    """The fragments of a file that count now, by event date."""
    entries_of = landfall.ledger.dates.entries_of
    return tuple(
        entry
        for day in head.dates
        for entry in entries_of(head.dataset, day, head.file_id)
        if entry.epoch == head.loaded_epoch
    )


def tables_of(head: DateHead | None, dirty: DirtyDate | None) -> Tables:
    """How the tables of a date stand."""
    if dirty is not None and dirty.held is not None:
        return Tables.HELD
    return Tables.UP_TO_DATE if head and not head.dirty else Tables.TO_BE_REFRESHED


def _accounts(
    landfall: Landfall, head: FileHead, fragments: Sequence[Fragment]
) -> tuple[DateAccount, ...]:
    if not fragments:
        return ()
    dirty = {each.event_date: each for each in landfall.ledger.dates.dirty(head.dataset)}
    account = partial(_account, landfall, head.dataset, dirty)
    with ThreadPoolExecutor(landfall.settings.io_threads) as pool:
        return tuple(pool.map(account, fragments))


def _account(
    landfall: Landfall, dataset: str, dirty: Mapping[str, DirtyDate], entry: Fragment
) -> DateAccount:
    """The account of one fragment; what turns while it is taken is to be refreshed."""
    day, dates = entry.event_date, landfall.ledger.dates
    before = dates.head(dataset, day)
    tables = tables_of(before, dirty.get(day))
    plain = partial(
        DateAccount, day, entry.fragment_key, rows=entry.rows, malformed=entry.malformed
    )
    if tables is not Tables.UP_TO_DATE:
        held = dirty[day].held if day in dirty else None
        return plain(tables=tables, held=held.message if held else None)
    silver = _own(landfall, ("silver", dataset), entry)
    quarantine = _own(landfall, ("quarantine", dataset), entry, "reasons")
    if dates.head(dataset, day) != before:
        return plain(tables=Tables.TO_BE_REFRESHED)
    texts = quarantine.get_column("reasons") if quarantine.height else ()
    reasons = (reason.partition(": ")[0] for text in texts for reason in reasons_of(text))
    return plain(
        tables=tables,
        silver=silver.height,
        quarantined=quarantine.height,
        duplicates=entry.rows - silver.height - quarantine.height,
        reasons=dict(Counter(reasons).most_common()),
    )


def reasons_of(text: str) -> tuple[str, ...]:
    """The single reasons of a quarantined row; what a parser says may hold their separator."""
    return (text,) if text.startswith("malformed: ") else tuple(text.split("; "))


def _own(
    landfall: Landfall, table: tuple[str, str], entry: Fragment, *columns: str
) -> pl.DataFrame:
    """A table's rows of one file on a date: only the columns asked for are read."""
    lake = S3ParquetIOManager(lambda: landfall.lake)
    frame = lake.read_partition(StoredAsset(table, {}), entry.event_date, FrameKind.LAZY)
    if not isinstance(frame, pl.LazyFrame):
        return pl.DataFrame()
    return frame.filter(pl.col("_file_id") == entry.file_id).select("_row", *columns).collect()


def _letter(landfall: Landfall, head: FileHead) -> bool | None:
    if head.state is not FileState.DEAD:
        return None
    return UnreportedFile(head.file_id, head.epoch) not in landfall.ledger.files.unreported()


def _what_next(
    landfall: Landfall, head: FileHead, state: FileState, accounts: Sequence[DateAccount]
) -> str:
    if state is FileState.DEAD and head.dataset not in {each.name for each in datasets()}:
        return (
            "Delete the object and land the file below the prefix of a dataset; or add the "
            "dataset, then `landfall replay --key`."
        )
    if state is FileState.DEAD:
        step = next_step(head.error.kind if head.error else "")
        return f"Nothing tries it again by itself: {step}."
    if state is FileState.FORGOTTEN:
        return _after_forgetting(landfall, head)
    held = [each.event_date for each in accounts if each.tables is Tables.HELD]
    behind = [each.event_date for each in accounts if each.tables is Tables.TO_BE_REFRESHED]
    if state is FileState.LOADED and held:
        return (
            f"It is loaded, but held as it was: {some(tuple(held))}. If this file is "
            "the cause, land a sound one at the same key, or take it out: `landfall forget --key`."
        )
    if state is FileState.LOADED and behind:
        return (
            f"Nothing: its tables of {some(tuple(behind))} are to be refreshed; `landfall work "
            "--until-idle`, or the sensors, see to it."
        )
    return NEXT[state]


def _after_forgetting(landfall: Landfall, head: FileHead) -> str:
    """A forgotten file's rows leave the tables with the next refresh, which a date may refuse."""
    if not is_done(landfall, head):
        return "It is forgotten, but its fragments are not all deleted: `landfall forget` again."
    dirty = [
        each
        for each in landfall.ledger.dates.dirty(head.dataset)
        if each.event_date in head.former_dates
    ]
    held = [each.event_date for each in dirty if each.held]
    if held:
        return (
            f"Its rows still stand in the former tables of {some(tuple(held))}, held: "
            "`landfall status` says why."
        )
    if dirty:
        return (
            "Its rows leave the tables with the next refresh: `landfall work --until-idle`, or the "
            "sensors, see to it."
        )
    return NEXT[FileState.FORGOTTEN]
