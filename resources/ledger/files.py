"""Files: from the first notification to ``LOADED``, ``DEAD`` or ``GONE``.

A file's head is the truth; every other item points at it. The order of writes is chosen so that a
crash between any two of them leaves work to be done again, never work forgotten:

* registering writes the head first and the pending item second; the message is deleted after
  both, so a crash between them ends in a second delivery that puts the pending item again;
* loading writes fragments, then manifest entries (keyed by epoch, so an older attempt overwrites
  nothing), then turns the head, which is the moment from which the entries count. Raising the
  dates' versions and deleting the pending item come after: as long as the pending item stands,
  the file is taken up again, and all that is then left to do is ``settle``.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from pipeline_assets.errors import LandfallError, RunDiedError
from resources.ledger.codec import load
from resources.ledger.dates import Dates
from resources.ledger.items import (
    day_item,
    day_partition,
    dead_item,
    dead_key,
    dead_partition,
    first_head,
    head_item,
    head_key,
    is_as_planned,
    is_loaded,
    is_over,
    is_superseded,
    loaded_key_of,
    next_epoch,
    pending_item,
    pending_key,
    pending_key_of,
    pending_shards,
    with_history,
)
from resources.ledger.model import (
    UNFINISHED,
    DeadFile,
    Fault,
    FileHead,
    FileState,
    Landing,
    LoadedFile,
    PendingFile,
    RequestedFile,
    utc_now,
    utc_text,
)
from resources.ledger.table import Condition, ConditionFailedError, LedgerTable
from resources.settings import Settings

AS_READ = "#epoch = :epoch AND #attempts = :attempts AND #state = :state"
"""The head is the one that was read: same bytes, and no attempt ended since."""
NEW = Condition("attribute_not_exists(#pk)")

Current: TypeAlias = Callable[[Landing], Landing | None]
"""HEAD: what the key of a landing holds now; ``None`` when nothing does."""


class Registration(StrEnum):
    """What registering a landed object found."""

    NEW = "new"
    OVERWRITTEN = "overwritten"
    KNOWN = "known"
    STALE = "stale"


@dataclass(frozen=True)
class Claim:
    """A file that a run loads: the head it was claimed at."""

    head: FileHead

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1."""
        return self.head.attempts + 1


class Files:
    """The ledger's files."""

    def __init__(self, table: LedgerTable, dates: Dates, settings: Settings) -> None:
        self._table = table
        self._dates = dates
        self._settings = settings

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
        self._raise_epoch(head, first_head(now), "the key holds other bytes")
        return Registration.OVERWRITTEN, None

    def _keep_pending(self, head: FileHead) -> None:
        """Put back the pending item that a crash between the two writes may have left out."""
        if head.state not in UNFINISHED:
            return
        self._table.batch_write([day_item(head)])
        with suppress(ConditionFailedError):
            self._table.put(pending_item(head), NEW)

    def _raise_epoch(self, head: FileHead, landed: FileHead, why: str) -> FileHead | None:
        """Write the next epoch's head; ``None`` when another worker already did.

        The older epoch's pending item goes last, since it leads ``claim`` to what a crash left
        out. That of a loaded epoch is left to ``settle``: its dates may still be unraised.
        """
        fresh = next_epoch(head, landed, why)
        try:
            self._table.put(head_item(fresh), _as_read(head))
        except ConditionFailedError:
            now = self.head(head.file_id)
            if now is None or now.epoch != head.epoch:
                return None
            return self._raise_epoch(now, landed, why)
        self._file_pending([fresh])
        over = [] if head.state is FileState.LOADED else [pending_key_of(head)]
        self._table.batch_write(deletes=[dead_key(head), *over])
        return fresh

    def _file_pending(self, heads: Collection[FileHead]) -> None:
        """File new heads under their dates, then as pending, which says that both were done."""
        self._table.batch_write([item(head) for item in (day_item, pending_item) for head in heads])

    def overwritten(self, head: FileHead, landing: Landing) -> None:
        """Register the bytes that a load found at the key instead of the registered ones."""
        self._raise_epoch(head, first_head(landing), "found other bytes while loading")

    def of_date(self, dataset: str, file_date: str) -> list[FileHead]:
        """Every file of a file date that was not deleted before it was loaded."""
        day = self._table.query(day_partition(dataset, file_date))
        heads = self.heads(str(item["file_id"]) for item in day).values()
        return [
            head
            for head in heads
            if head.state is not FileState.GONE and head.file_date == file_date
        ]

    def put_back(self, heads: Sequence[FileHead], why: str) -> list[FileHead]:
        """Give files the next epoch, so that they are loaded again; their rows stay until then.

        No notification comes again for these, so their pending items go first: one that a crash
        leaves without its head is cleared by ``claim``.
        """
        self._table.batch_write([pending_item(next_epoch(head, head, why)) for head in heads])
        raised = self._table.each(lambda head: self._raise_epoch(head, head, why), heads)
        return [head for head in raised if head is not None]

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

    def claim(self, files: Sequence[RequestedFile], dataset: str) -> list[Claim]:
        """Those of the requested files that are still as they were planned.

        What was loaded but not settled before a crash is settled here, and items that say
        something else than their head are put right.
        """
        heads = self.heads(each.file_id for each in files)
        known = [(each, heads[each.file_id]) for each in files if each.file_id in heads]
        self.settle([head for each, head in known if is_loaded(each, head)])
        self._table.batch_write(
            [pending_item(head) for each, head in known if is_superseded(each, head)]
            + [dead_item(head) for _, head in known if head.state is FileState.DEAD]
        )
        over = [each for each in files if is_over(each, heads.get(each.file_id))]
        self._table.batch_write(
            deletes=[pending_key(dataset, each.file_id, each.epoch) for each in over]
        )
        return [Claim(head) for each, head in known if is_as_planned(each, head)]

    def finish(self, loaded: Sequence[tuple[Claim, LoadedFile]], run_id: str) -> list[FileHead]:
        """Make loaded files count: manifest entries, heads, then the dates' versions.

        Returns:
            The heads of those that this run still held. The others were taken away meanwhile
            (overwritten, replayed, or given up by an observer) and count for nothing.
        """
        self._dates.add_entries([entry for _, outcome in loaded for entry in outcome.fragments])
        turned = self._table.each(lambda pair: self._turn(*pair, run_id), loaded)
        heads = [head for head in turned if head is not None]
        self.settle(heads)
        return heads

    def _turn(self, claim: Claim, outcome: LoadedFile, run_id: str) -> FileHead | None:
        head = claim.head
        dates = {entry.event_date for entry in outcome.fragments}
        return self._replace(
            head,
            replace(
                head,
                state=FileState.LOADED,
                attempts=claim.attempt,
                loaded_epoch=head.epoch,
                dates=tuple(sorted(dates)),
                former_dates=tuple(sorted({*head.dates, *head.former_dates} - dates)),
                records=outcome.records,
                malformed=outcome.malformed,
                run_id=run_id,
                alone=False,
                error=None,
            ),
        )

    def settle(self, heads: Sequence[FileHead]) -> None:
        """Make the dates of loaded files dirty, then clear their pending items; repeatable."""
        touched = {(head.dataset, day) for head in heads for day in head.dates + head.former_dates}
        self._dates.raise_versions(touched)
        self._table.batch_write(deletes=[loaded_key_of(head) for head in heads])

    def fail(
        self, claim: Claim, error: LandfallError, run_id: str, *, alone: bool = False
    ) -> FileHead | None:
        """Keep the error and put the file back after a wait, or give it up.

        A fault of the environment counts as no attempt.

        Returns:
            The head, ``FAILED`` or ``DEAD``; ``None`` when the file is no longer this run's.
        """
        now = utc_now()
        attempts = claim.head.attempts if error.of_environment else claim.attempt
        again = error.retryable and attempts < self._settings.max_attempts
        wait = self._settings.wait_after(attempts, of_environment=error.of_environment)
        failed = replace(
            claim.head,
            state=FileState.FAILED if again else FileState.DEAD,
            attempts=attempts,
            due_at=utc_text(now + wait),
            run_id=run_id,
            alone=alone,
            error=Fault.of(error, now),
        )
        turned = self._replace(claim.head, failed)
        if turned is not None:
            self._file_away(turned)
        return turned

    def give_up(self, files: Sequence[RequestedFile], dataset: str, run_id: str) -> None:
        """Take the files away from a run that died; each is tried again by itself."""

        def fail(claim: Claim) -> None:
            self.fail(claim, RunDiedError(claim.head.key, run_id), run_id, alone=True)

        self._table.each(fail, self.claim(files, dataset))

    def _file_away(self, head: FileHead) -> None:
        """Leave the pointer that the state calls for: pending, dead, or none."""
        if head.state is FileState.FAILED:
            self._table.batch_write([pending_item(head)])
            return
        is_dead = head.state is FileState.DEAD
        self._table.batch_write([dead_item(head)] if is_dead else [])
        over = [pending_key_of(head)] if is_dead else [pending_key_of(head), dead_key(head)]
        self._table.batch_write(deletes=over)

    def bury(self, landing: Landing, error: LandfallError) -> None:
        """Register an object that no dataset can load, as ``DEAD`` at once."""
        head = first_head(landing)
        fault = Fault.of(error, utc_now())
        dead = with_history(head, replace(head, state=FileState.DEAD, error=fault))
        with suppress(ConditionFailedError):
            self._table.put(head_item(dead), NEW)
        stands = self.head(head.file_id)
        if stands is not None and stands.state is FileState.DEAD:
            self._table.batch_write([dead_item(stands)])

    def gone(self, file_id: str) -> bool:
        """Note that the object was deleted before it was loaded, or after it was given up.

        Returns:
            Whether the file's state changed: a loaded file keeps its rows and its state.
        """
        head = self.head(file_id)
        if head is None or head.state not in {*UNFINISHED, FileState.DEAD}:
            return False
        turned = self._replace(head, replace(head, state=FileState.GONE))
        if turned is not None:
            self._file_away(turned)
        return turned is not None

    def _replace(self, before: FileHead, after: FileHead) -> FileHead | None:
        """Write a head in place of the one that was read; ``None`` if that one is no more."""
        after = with_history(before, after)
        try:
            self._table.put(head_item(after), _as_read(before))
        except ConditionFailedError:
            return None
        return after


def _as_read(head: FileHead) -> Condition:
    return Condition(
        AS_READ, {"epoch": head.epoch, "attempts": head.attempts, "state": head.state.value}
    )
