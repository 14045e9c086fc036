"""What goes on around files and dates: when ticks ended, which alerts and letters went out.

Single items, written without conditions: of two writers either one's word will do.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from resources.ledger.codec import Item, dump, load
from resources.ledger.model import UnreportedFile, utc_now, utc_text
from resources.ledger.table import LedgerTable

LANDING = "landing"
RECONCILE = "reconcile"
POSTED_FOR = timedelta(days=14)
"""How long a posted letter is marked, by DynamoDB's time to live: as long as SQS can keep it."""
POSTED = "posted"
ALERTED = "alerted"
HOLLOW = "hollow"


@dataclass(frozen=True)
class Alerted:
    """A breach that was alerted, with how many things it was about then."""

    name: str
    at: str
    count: int


class Ticks:
    """When each kind of tick ended last."""

    def __init__(self, table: LedgerTable) -> None:
        self._table = table

    def note(self, name: str) -> None:
        """Note that a tick ended now, without an error."""
        self._table.put({"pk": f"tick#{name}", "sk": "head", "at": utc_text(utc_now())})

    def last(self, name: str) -> datetime | None:
        """When such a tick ended last; ``None`` if none ever did."""
        item = self._table.get(f"tick#{name}", "head")
        return datetime.fromisoformat(str(item["at"])) if item else None


class Notices:
    """What people and receivers of dead letters have been told already."""

    def __init__(self, table: LedgerTable) -> None:
        self._table = table

    def alerted(self) -> dict[str, Alerted]:
        """Breaches that were alerted and have not ended since, by name."""
        return {item.name: item for item in map(_alerted, self._table.query(ALERTED))}

    def remember(self, alerted: Iterable[Alerted]) -> None:
        """Keep what was alerted, in place of what was kept of the same breaches."""
        self._table.batch_write([{"pk": ALERTED, "sk": e.name, **dump(e)} for e in alerted])

    def forget(self, names: Iterable[str]) -> None:
        """Forget breaches that have ended, so that the next one of the name is told at once."""
        self._table.batch_write(deletes=[(ALERTED, name) for name in names])

    def post(self, files: Iterable[UnreportedFile]) -> None:
        """Mark letters as sent while their alert is not."""
        expires_at = int((utc_now() + POSTED_FOR).timestamp())
        marks: list[Item] = [
            {"pk": pk, "sk": sk, "expires_at": expires_at, **dump(each)}
            for each in files
            for pk, sk in [_posted_key(each)]
        ]
        self._table.batch_write(marks)

    def posted(self) -> list[UnreportedFile]:
        """Files whose letters are marked as sent; costs as much as there are of them."""
        return [load(UnreportedFile, item) for item in self._table.query(POSTED)]

    def note_hollow(self, files: Iterable[UnreportedFile]) -> None:
        """Note files that are about to be loaded and of which no row is valid."""
        self._table.batch_write([_hollow(each) for each in files])

    def hollow(self) -> list[UnreportedFile]:
        """Files without a valid row that nobody was told of yet."""
        return [load(UnreportedFile, item) for item in self._table.query(HOLLOW)]

    def tell_hollow(self, files: Iterable[UnreportedFile]) -> None:
        """Take files off that somebody was told of, or need not be."""
        self._table.batch_write(deletes=[(HOLLOW, _version(each)) for each in files])

    def unpost(self, files: Iterable[UnreportedFile]) -> None:
        """Delete the marks of letters whose alert was sent too."""
        self._table.batch_write(deletes=[_posted_key(each) for each in files])


def _alerted(item: Item) -> Alerted:
    return load(Alerted, item)


def _posted_key(file: UnreportedFile) -> tuple[str, str]:
    return POSTED, _version(file)


def _hollow(file: UnreportedFile) -> Item:
    return {"pk": HOLLOW, "sk": _version(file), **dump(file)}


def _version(file: UnreportedFile) -> str:
    return f"{file.file_id}#{file.epoch:08d}"
