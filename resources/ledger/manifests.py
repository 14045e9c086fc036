"""Manifests: which fragments count for an event date."""

from collections.abc import Sequence

from resources.ledger.codec import Item, dump, load
from resources.ledger.model import Fragment
from resources.ledger.table import LedgerTable


class Manifests:
    """The manifests of every date; an entry counts once its file's head says so."""

    def __init__(self, table: LedgerTable) -> None:
        self._table = table

    def add_entries(self, fragments: Sequence[Fragment]) -> None:
        """Write manifest entries; they count once their file's head says so."""
        self._table.batch_write([_entry_item(fragment) for fragment in fragments])

    def manifest(self, dataset: str, event_date: str) -> list[Fragment]:
        """The fragments that count for a date, in the order of their landing keys."""
        items = self._table.query(date_partition(dataset, event_date), "file#")
        entries = [load(Fragment, item) for item in items]
        heads = self._table.batch_get([(f"file#{entry.file_id}", "head") for entry in entries])
        loaded = {str(head["file_id"]): head["loaded_epoch"] for head in heads}
        counting = [entry for entry in entries if loaded.get(entry.file_id) == entry.epoch]
        return sorted(counting, key=lambda entry: entry.landing_key)

    def entries_of(self, dataset: str, event_date: str, file_id: str) -> list[Fragment]:
        """A file's manifest entries for a date, whether they count or not, oldest epoch first."""
        items = self._table.query(date_partition(dataset, event_date), f"file#{file_id}#")
        return [load(Fragment, item) for item in items]

    def remove_entries(self, fragments: Sequence[Fragment]) -> None:
        """Delete manifest entries, of fragments that count no more."""
        self._table.batch_write(deletes=[_entry_key(fragment) for fragment in fragments])


def date_partition(dataset: str, event_date: str) -> str:
    """Partition key below which a date's head and manifest stand."""
    return f"date#{dataset}#{event_date}"


def _entry_key(fragment: Fragment) -> tuple[str, str]:
    dataset = fragment.fragment_key.split("/")[1]
    partition = date_partition(dataset, fragment.event_date)
    return partition, f"file#{fragment.file_id}#{fragment.epoch:08d}"


def _entry_item(fragment: Fragment) -> Item:
    pk, sk = _entry_key(fragment)
    return {"pk": pk, "sk": sk, **dump(fragment)}
