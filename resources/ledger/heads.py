"""The items of files: a head each, and the lists that point at heads.

What is read here is read consistently. What is written here are single steps; ``files`` puts them
in the order that a crash between any two of them asks for.
"""

from collections.abc import Collection, Iterable
from contextlib import suppress

from resources.ledger.codec import load
from resources.ledger.items import (
    UNREPORTED,
    day_item,
    day_partition,
    dead_item,
    dead_key,
    dead_partition,
    head_item,
    head_key,
    pending_item,
    pending_key_of,
    pending_shards,
    unreported_item,
    unreported_key,
    with_history,
)
from resources.ledger.model import (
    UNFINISHED,
    DeadFile,
    FileHead,
    FileState,
    PendingFile,
    UnreportedFile,
)
from resources.ledger.table import Condition, ConditionFailedError, LedgerTable

AS_READ = "#epoch = :epoch AND #attempts = :attempts AND #state = :state AND "
"""The head is the one that was read: same bytes, no attempt ended since, nothing else either."""
TURN = "#turn = :turn"
FIRST_TURN = "(attribute_not_exists(#turn) OR #turn = :turn)"
"""Heads of before version 0.2 have no turn."""
NEW = Condition("attribute_not_exists(#pk)")


class Heads:
    """Reading files, and the single steps of writing them."""

    def __init__(self, table: LedgerTable) -> None:
        self._table = table

    def head(self, file_id: str) -> FileHead | None:
        """The file's head, read consistently."""
        item = self._table.get(*head_key(file_id))
        return load(FileHead, item) if item else None

    def heads(self, file_ids: Iterable[str]) -> dict[str, FileHead]:
        """Heads by file id; unknown ids are left out."""
        items = self._table.batch_get([head_key(each) for each in file_ids])
        return {head.file_id: head for head in (load(FileHead, item) for item in items)}

    def all(self) -> Iterable[FileHead]:
        """Every file: reads the whole table, for reports only."""
        return (load(FileHead, item) for item in self._table.scan("head", "file#"))

    def of_date(self, dataset: str, file_date: str) -> list[FileHead]:
        """Every file of a file date that was not deleted before it was loaded."""
        day = self._table.query(day_partition(dataset, file_date))
        heads = self.heads(str(item["file_id"]) for item in day).values()
        return [
            head
            for head in heads
            if head.state is not FileState.GONE and head.file_date == file_date
        ]

    def pending(self, dataset: str) -> list[PendingFile]:
        """Files of the dataset that are not finished; costs as much as there are of them."""
        shards = self._table.each(self._table.query, pending_shards(dataset))
        return [load(PendingFile, item) for items in shards for item in items]

    def dead(self, dataset: str) -> list[DeadFile]:
        """Files of the dataset that nothing tries again by itself.

        An item that a crash left behind when its file was put back does not count.
        """
        listed = [load(DeadFile, item) for item in self._table.query(dead_partition(dataset))]
        heads = self.heads(each.file_id for each in listed)
        return [
            each
            for each in listed
            if each.file_id in heads
            and heads[each.file_id].state is FileState.DEAD
            and heads[each.file_id].epoch == each.epoch
        ]

    def some_dead(self, dataset: str, limit: int, behind: str) -> list[DeadFile]:
        """The dataset's dead files; where there are as many as the limit, those behind a file id.

        As they are listed: an item that a crash left behind is among them.
        """
        partition = dead_partition(dataset)
        items = self._table.query(partition, limit=limit)
        if len(items) == limit:
            later = self._table.query(partition, limit=limit, behind=behind)
            items = [*later, *items[: limit - len(later)]]
        return [load(DeadFile, item) for item in items]

    def unreported(self, limit: int | None = None) -> list[UnreportedFile]:
        """Dead files that nobody was told of yet, the first ``limit`` of them if one is given."""
        listed = self._table.query(UNREPORTED, limit=limit)
        return [load(UnreportedFile, item) for item in listed]

    def reported(self, files: Iterable[UnreportedFile]) -> None:
        """Note that the letters of dead files were sent; repeatable."""
        sent = [unreported_key(each.file_id, each.epoch) for each in files]
        self._table.batch_write(deletes=sent)

    def _keep_pending(self, head: FileHead) -> None:
        """Put back the pending item that a crash between the two writes may have left out."""
        if head.state not in UNFINISHED:
            return
        self._table.batch_write([day_item(head)])
        with suppress(ConditionFailedError):
            self._table.put(pending_item(head), NEW)

    def _file_pending(self, heads: Collection[FileHead]) -> None:
        """File new heads under their dates, then as pending, which says that both were done."""
        self._table.batch_write([item(head) for item in (day_item, pending_item) for head in heads])

    def _file_away(self, head: FileHead) -> None:
        """Leave the pointer that the state calls for: pending, dead, or none."""
        if head.state is FileState.FAILED:
            self._table.batch_write([pending_item(head)])
            return
        over = [pending_key_of(head)]
        if head.state is FileState.DEAD:
            self._list_dead(head)
        else:
            over.append(dead_key(head))
        self._table.batch_write(deletes=over)

    def _replace(
        self, before: FileHead, after: FileHead, note: str | None = None
    ) -> FileHead | None:
        """Write a head in place of the one that was read; ``None`` if that one is no more."""
        after = with_history(before, after, note)
        try:
            self._table.put(head_item(after), as_read(before))
        except ConditionFailedError:
            return None
        return after

    def _list_dead(self, head: FileHead) -> None:
        """List a dead file, and once for each of its deaths for the letter that is to be sent."""
        listed = self._table.get(*dead_key(head))
        if listed is not None and listed["epoch"] == head.epoch:
            return
        self._table.batch_write([unreported_item(head)])
        self._table.batch_write([dead_item(head)])


def as_read(head: FileHead) -> Condition:
    """The condition that a head is still the one that was read."""
    return Condition(
        AS_READ + (TURN if head.turn else FIRST_TURN),
        {
            "epoch": head.epoch,
            "attempts": head.attempts,
            "state": head.state.value,
            "turn": head.turn,
        },
    )
