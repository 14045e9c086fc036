"""What gives a file an epoch: its first landing, other bytes, a replay; and what ends it for good.

A head is written first and the pending item second; a notification is deleted after both, so a
crash between them ends in a second delivery that puts the pending item again. Where no notification
comes again (a replay, forgetting), the pending item goes first.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from typing import TypeAlias

from pipeline_assets.errors import LandfallError, OtherBytesError
from resources.ledger.dates import Dates
from resources.ledger.heads import NEW, Heads, as_read
from resources.ledger.items import (
    dead_key,
    first_head,
    head_item,
    next_epoch,
    pending_item,
    pending_key_of,
    with_history,
)
from resources.ledger.model import Fault, FileHead, FileState, Landing, utc_now
from resources.ledger.table import ConditionFailedError, LedgerTable

Current: TypeAlias = Callable[[Landing], Landing | None]
"""HEAD: what the key of a landing holds now; ``None`` when nothing does."""


class Registration(StrEnum):
    """What registering a landed object found."""

    NEW = "new"
    OVERWRITTEN = "overwritten"
    KNOWN = "known"
    STALE = "stale"


class Registering(Heads):
    """Files as they land, land again, and are forgotten."""

    def __init__(self, table: LedgerTable, dates: Dates) -> None:
        super().__init__(table)
        self._dates = dates

    def register(self, landings: Sequence[Landing], current: Current) -> list[Registration]:
        """Make every landed object known, once per content.

        Args:
            landings: what notifications or a listing say, in any order, repeats allowed.
            current: asked only when a key is known with other bytes, because events arrive late
                and out of order.
        """
        found = self._table.each(lambda landing: self._register(landing, current), landings)
        fresh = {head.file_id: head for _, head in found if head is not None}
        for landing, (registration, _) in zip(landings, found, strict=True):
            if registration is Registration.OVERWRITTEN:
                fresh.pop(landing.file_id, None)
        self._file_pending(fresh.values())
        return [registration for registration, _ in found]

    def _register(self, landing: Landing, current: Current) -> tuple[Registration, FileHead | None]:
        head = first_head(landing)
        try:
            self._table.put(head_item(head), NEW)
        except ConditionFailedError:
            return self._register_again(landing, current)
        return Registration.NEW, head

    def _register_again(
        self, landing: Landing, current: Current
    ) -> tuple[Registration, FileHead | None]:
        head = self.head(landing.file_id)
        if head is None:
            return self._register(landing, current)
        loadable = head.state is not FileState.GONE
        if head.etag == landing.etag and loadable:
            self._keep_pending(head)
            return Registration.KNOWN, None
        now = current(landing)
        if now is None:
            return Registration.STALE, None
        if now.etag == head.etag and loadable:
            self._keep_pending(head)
            return Registration.STALE, None
        brought = replace(now, event=landing.event) if now.etag == landing.etag else now
        if self._raise_epoch(head, first_head(brought), "the key holds other bytes") is None:
            return self._register_again(landing, current)
        return Registration.OVERWRITTEN, None

    def _raise_epoch(self, head: FileHead, landed: FileHead, why: str) -> FileHead | None:
        """Write the next epoch's head; ``None`` when another worker already did.

        The older epoch's pending item goes last, since it leads ``claim`` to what a crash left
        out. That of a loaded epoch is left to ``settle``: its dates may still be unraised.
        """
        if head.state is FileState.FORGOTTEN:
            self._settle_again(head)
        fresh = next_epoch(head, landed, why)
        try:
            self._table.put(head_item(fresh), as_read(head))
        except ConditionFailedError:
            now = self.head(head.file_id)
            if now is None or now.epoch != head.epoch:
                return None
            return self._raise_epoch(now, landed, why)
        self._file_pending([fresh])
        over = [] if head.state is FileState.LOADED else [pending_key_of(head)]
        self._table.batch_write(deletes=[dead_key(head), *over])
        return fresh

    def overwritten(self, head: FileHead, landing: Landing) -> None:
        """Register the bytes that a load found at the key instead of the registered ones."""
        self._raise_epoch(head, first_head(landing), "found other bytes while loading")

    def put_back(self, heads: Sequence[FileHead], why: str) -> list[FileHead]:
        """Give files the next epoch, so that they are loaded again; their rows stay until then.

        No notification comes again for these, so their pending items go first: one that a crash
        leaves without its head is cleared by ``claim``.
        """
        self._table.batch_write([pending_item(next_epoch(head, head, why)) for head in heads])
        raised = self._table.each(lambda head: self._raise_epoch(head, head, why), heads)
        return [head for head in raised if head is not None]

    def bury(self, landing: Landing, error: LandfallError) -> None:
        """Register an object that no dataset can load, as ``DEAD`` at once."""
        fault = Fault.of(error, utc_now(), "landing")
        head = first_head(landing)
        dead = with_history(head, replace(head, state=FileState.DEAD, error=fault))
        with suppress(ConditionFailedError):
            self._table.put(head_item(dead), NEW)
        stands = self.head(head.file_id)
        if stands is not None and stands.state is FileState.GONE:
            again = replace(head, epoch=stands.epoch + 1, state=FileState.DEAD, error=fault)
            stands = self._replace(stands, again)
        if stands is not None and stands.state is FileState.DEAD:
            self._list_dead(stands)

    def forget(self, head: FileHead, why: str) -> FileHead:
        """Let a file's rows count no more, for good: the same bytes are not loaded again.

        Other bytes at its key, or a replay, load it again. Its dates become dirty. The pending
        item of the new epoch goes first, so that a crash before the dates are raised is made good
        by ``claim``.

        Raises:
            OtherBytesError: other bytes landed at the key since the head was read.
        """
        if head.state is FileState.FORGOTTEN:
            self._settle_again(head)
            return head
        forgotten = replace(
            head,
            epoch=head.epoch + 1,
            attempts=0,
            state=FileState.FORGOTTEN,
            loaded_epoch=0,
            dates=(),
            former_dates=tuple(sorted({*head.dates, *head.former_dates})),
            records=0,
            malformed=0,
            run_id=None,
            alone=False,
            error=None,
            event=None,
        )
        self._table.batch_write([pending_item(forgotten)])
        turned = self._replace(head, forgotten, why)
        if turned is None:
            now = self.head(head.file_id)
            if now is None or now.etag != head.etag:
                raise OtherBytesError(head.key)
            return self.forget(now, why)
        self._settle_forgotten([turned])
        self._table.batch_write(deletes=[dead_key(head), pending_key_of(head)])
        return turned

    def _settle_again(self, head: FileHead) -> None:
        """Do what whoever forgot the file may have left out.

        The pending item goes first here too: whoever dies between raising a date and listing it
        as dirty leaves a date that is never refreshed, unless something leads ``claim`` to it.
        """
        self._table.batch_write([pending_item(head)])
        self._settle_forgotten([head])

    def _settle_forgotten(self, heads: Sequence[FileHead]) -> None:
        """Make the dates that forgotten files had rows for dirty; repeatable."""
        touched = {(head.dataset, day) for head in heads for day in head.former_dates}
        self._dates.raise_versions(touched)
        self._table.batch_write(deletes=[pending_key_of(head) for head in heads])
