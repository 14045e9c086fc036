"""Forget: a file's rows are removed on purpose, and the same bytes are not loaded again.

    ledger: FORGOTTEN, dates dirty . . fragments deleted . . manifest entries deleted

From the first step on no row counts. Whatever a crash leaves of the others, a second call does.
"""

from dataclasses import dataclass

from resources.lake import TableName
from resources.landfall import Landfall
from resources.ledger.model import FileHead, FileState


@dataclass(frozen=True)
class Forgotten:
    """What forgetting a file came to.

    Attributes:
        head: the file, ``FORGOTTEN``; another state when it was replayed or landed meanwhile, and
            then what it loads is left alone.
        fragments: fragments that were deleted, of every epoch.
        dates: event dates that are refreshed without the file's rows.
    """

    head: FileHead
    fragments: int
    dates: tuple[str, ...]


def forget(landfall: Landfall, head: FileHead, *, why: str) -> Forgotten:
    """Let a file's rows count no more, then delete its fragments and manifest entries; repeatable.

    The landed object stays. A run that is loading the file at this moment finishes nothing, but
    may still write fragments that count for nothing: a second call deletes those.

    Raises:
        FragmentsLeftError: S3 did not delete some fragments.
    """
    files = landfall.ledger.files
    forgotten = files.forget(head, why)
    bronze = TableName("bronze", forgotten.dataset)
    keys = landfall.lake.fragments_of(bronze, forgotten.file_id)
    now = files.head(forgotten.file_id) or forgotten
    if now.state is not FileState.FORGOTTEN:
        return Forgotten(now, 0, forgotten.former_dates)
    landfall.lake.delete_fragments(keys)
    _remove_entries(landfall, forgotten, {_event_date(key) for key in keys})
    return Forgotten(now, len(keys), forgotten.former_dates)


def is_done(landfall: Landfall, head: FileHead) -> bool:
    """Whether a forgotten file has no manifest entry left, which go last."""
    entries_of = landfall.ledger.dates.entries_of
    return not any(entries_of(head.dataset, day, head.file_id) for day in head.former_dates)


def _remove_entries(landfall: Landfall, head: FileHead, days: set[str]) -> None:
    dates = landfall.ledger.dates
    for day in sorted({*days, *head.former_dates}):
        dates.remove_entries(dates.entries_of(head.dataset, day, head.file_id))


def _event_date(fragment_key: str) -> str:
    return fragment_key.split("/")[2].removeprefix("event_date=")
