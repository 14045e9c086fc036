"""Event dates: their versions, manifests, leases and accounts.

A date is dirty while its ``version`` differs from its ``clean_version``. For every dirty date there
is an item below ``dirty#{dataset}``, so that planning never reads the clean ones. The version is
raised first and the dirty item put second; whoever raises it holds something (a file's pending
item) that makes the raise happen again should a crash come between.

A refresh reads the version when it takes the lease, then the manifest, then the heads of the files
in it. An entry counts while its epoch is the one that its file was last loaded with. A file that
turns after the heads were read raises the version later still, so the date stays dirty.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pipeline_assets.errors import LandfallError, LeaseLostError, LedgerBusyError
from resources.ledger.codec import Item, dump, load
from resources.ledger.manifests import Manifests, date_partition
from resources.ledger.model import (
    DateCounts,
    DateHead,
    DirtyDate,
    Fault,
    utc_now,
    utc_text,
)
from resources.ledger.table import Change, Condition, ConditionFailedError, LedgerTable
from resources.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

GIVE_BACK_TRIES = 20


@dataclass(frozen=True)
class Refresh:
    """A date whose lease a run holds: the version it was opened at."""

    dataset: str
    event_date: str
    version: int
    taken_over: bool
    started_at: datetime


class Dates(Manifests):
    """The ledger's event dates."""

    def __init__(self, table: LedgerTable, settings: Settings) -> None:
        super().__init__(table)
        self._settings = settings

    def head(self, dataset: str, event_date: str) -> DateHead | None:
        """What is known of a date, read consistently."""
        item = self._table.get(*_head_key(dataset, event_date))
        return _date_head(item) if item else None

    def heads(self, dataset: str, event_dates: Iterable[str]) -> dict[str, DateHead]:
        """Heads by event date; unknown dates are left out."""
        keys = [_head_key(dataset, day) for day in event_dates]
        return {head.event_date: head for head in map(_date_head, self._table.batch_get(keys))}

    def dirty(self, dataset: str) -> list[DirtyDate]:
        """Dates that wait for their refresh or are held, in order; costs as much as there are."""
        return [load(DirtyDate, item) for item in self._table.query(_dirty_partition(dataset))]

    def all(self, dataset: str) -> list[DateHead]:
        """Every date of a dataset: reads the whole table, for reports only."""
        items = self._table.scan("head", f"date#{dataset}#")
        return sorted(map(_date_head, items), key=lambda head: head.event_date)

    def raise_versions(self, dates: Iterable[tuple[str, str]]) -> None:
        """Make dates dirty; each is (dataset, event date)."""
        self._table.each(lambda each: self._raise(*each), sorted(dates))

    def _raise(self, dataset: str, event_date: str) -> None:
        change = Change(set={"dataset": dataset, "event_date": event_date}, add={"version": 1})
        head = _date_head(self._table.update(*_head_key(dataset, event_date), change=change))
        self._mark(_dirty_after(head))

    def _mark(self, dirty: DirtyDate) -> None:
        """Put the dirty item, unless a later version's stands already; it is dirty since the first.

        A date that was held has waited for a person, not for a refresh: it begins anew.
        """
        try:
            self._table.put(_dirty_item(dirty), Condition("attribute_not_exists(#pk)"))
        except ConditionFailedError as error:
            found = load(DirtyDate, error.found) if error.found else dirty
            since = dirty.since if found.held else found.since or dirty.since
            condition = Condition(
                "attribute_not_exists(#pk) OR #version < :version", {"version": dirty.version}
            )
            with suppress(ConditionFailedError):
                self._table.put(_dirty_item(replace(dirty, since=since)), condition)

    def open(self, dataset: str, event_date: str, run_id: str) -> Refresh | None:
        """Take a date's lease, which makes the date dirty until ``close``.

        Returns:
            ``None`` while another run holds the lease, or when no file ever had rows for the date.
        """
        condition = Condition(
            "attribute_exists(#version) AND "
            "(attribute_not_exists(#lease_run) OR #lease_run = :run)",
            {"run": run_id},
        )
        return self._lease(dataset, event_date, {"lease_run": run_id}, condition)

    def take_over(
        self, dataset: str, event_date: str, *, run_id: str, dead_run: str
    ) -> Refresh | None:
        """Take the lease of a run that is taken for dead; ``None`` if it changed hands meanwhile.

        The date is left dirty once more afterwards, so that a late write of that run is repaired.
        """
        lease: Item = {"lease_run": run_id, "taken_over": True}
        condition = Condition("#lease_run = :dead", {"dead": dead_run})
        return self._lease(dataset, event_date, lease, condition)

    def _lease(
        self, dataset: str, event_date: str, lease: Item, condition: Condition
    ) -> Refresh | None:
        change = Change(
            set={**lease, "leased_at": utc_text(utc_now())},
            copy={"leased_version": "version"},
            remove=("clean_version",),
        )
        key = _head_key(dataset, event_date)
        try:
            item = self._table.update(*key, change=change, condition=condition)
        except ConditionFailedError:
            return None
        head = _date_head(item)
        with suppress(ConditionFailedError):
            self._table.put(_dirty_item(_dirty_after(head)), Condition("attribute_not_exists(#pk)"))
        return _refresh(head)

    def catch_up(self, refresh: Refresh, run_id: str, stored: int) -> Refresh:
        """Raise a date's version to that of its stored tables, and open it at that version.

        Only a ledger that was lost, or restored from a backup, counts less than what is stored:
        without that, whoever stored a later version would have taken the lease.

        Raises:
            LeaseLostError: another run holds the lease.
        """
        behind = Change(add={"version": stored - refresh.version})
        self._change_leased(refresh, run_id, behind)
        opened = self.open(refresh.dataset, refresh.event_date, run_id)
        if opened is None:
            raise _lost(refresh)
        return opened

    def leased(self, dataset: str, event_dates: Iterable[str], run_id: str) -> list[Refresh]:
        """Those of the dates whose lease the run holds, in order."""
        heads = self.heads(dataset, event_dates).values()
        mine = [head for head in heads if head.lease_run == run_id]
        return [_refresh(head) for head in sorted(mine, key=lambda head: head.event_date)]

    def account(self, refresh: Refresh, run_id: str, counts: DateCounts) -> None:
        """Keep a date's account, just before its tables are written.

        Raises:
            LeaseLostError: another run holds the lease; nothing may be written.
        """
        self._change_leased(refresh, run_id, Change(set={"counts": dump(counts)}))

    def close(self, refresh: Refresh, run_id: str) -> bool:
        """Give the lease back and say that the tables are as of the refresh's version.

        Returns:
            Whether the date is clean now: not when a file turned meanwhile, or the lease was
            taken over from a run that may still write.

        Raises:
            LeaseLostError: another run holds the lease.
        """
        now = utc_now()
        facts: Item = {
            "refreshed_at": utc_text(now),
            "refresh_seconds": (now - refresh.started_at).total_seconds(),
        }
        if not refresh.taken_over:
            facts["clean_version"] = refresh.version
        change = Change(set=facts, remove=("lease_run", "taken_over"))
        head = self._change_leased(refresh, run_id, change)
        if refresh.taken_over:
            self.raise_versions([(refresh.dataset, refresh.event_date)])
        if head.dirty:
            self._turned_meanwhile(refresh, head)
            return False
        self._unmark(refresh)
        return True

    def _turned_meanwhile(self, refresh: Refresh, head: DateHead) -> None:
        """Say that what a date waits for came while it was refreshed, and let it rest.

        The mark was made before anybody knew how long that refresh would take: a date that keeps
        receiving files would be refreshed without a pause.
        """
        rested = _dirty_after(head)
        since = utc_text(refresh.started_at)
        change = Change(set={"since": since, "due_at": rested.due_at, "wait": rested.wait})
        key = _dirty_key(refresh.dataset, refresh.event_date)
        with suppress(ConditionFailedError):
            self._table.update(*key, change=change, condition=Condition("attribute_exists(#pk)"))

    def _unmark(self, refresh: Refresh) -> None:
        condition = Condition("#version <= :version", {"version": refresh.version})
        try:
            self._table.delete(*_dirty_key(refresh.dataset, refresh.event_date), condition)
        except ConditionFailedError:
            return

    def release(self, refresh: Refresh, run_id: str) -> None:
        """Give the lease back without a word on the tables: the date stays dirty."""
        try:
            self._change_leased(refresh, run_id, Change(remove=("lease_run",)))
        except LeaseLostError:
            return

    def refuse(
        self, refresh: Refresh, run_id: str, error: LandfallError, *, fingerprint: str
    ) -> DirtyDate | None:
        """Keep the error of a failed refresh and give the lease back.

        A retryable error is tried again by itself after a wait, a bounded number of times; any
        other holds the date until a fragment or its contract (``fingerprint``) changes.

        Returns:
            What stands now: a later version, which a file raised meanwhile, is judged anew.
            ``None`` when the lease was lost: then nothing was changed.
        """
        return self._give_back(
            refresh, run_id, lambda before: self._judged(before, error, fingerprint)
        )

    def _judged(self, before: DirtyDate, error: LandfallError, fingerprint: str) -> DirtyDate:
        """A dirty date after one more attempt at it failed."""
        now = utc_now()
        attempts = before.attempts + (not error.of_environment)
        again = error.retryable and attempts < self._settings.max_attempts
        fault = Fault.of(error, now)
        wait = self._settings.wait_after(attempts, of_environment=error.of_environment)
        return replace(
            before,
            attempts=attempts,
            alone=True,
            due_at=utc_text(now + wait if again else now),
            wait=wait.total_seconds() if again else 0.0,
            held=None if again else fault,
            fingerprint=fingerprint,
        )

    def give_up(
        self, refresh: Refresh, dead_run: str, error: LandfallError, *, fingerprint: str
    ) -> None:
        """Take a date away from a run that is taken for dead: one attempt has failed.

        Whoever opens it next leaves it dirty once more, so that a late write of that run is
        repaired.
        """
        self._give_back(
            refresh,
            dead_run,
            lambda before: self._judged(before, error, fingerprint),
            taken_over=True,
        )

    def put_off(self, dataset: str, event_dates: Iterable[str], wait: timedelta) -> None:
        """Let dirty dates wait before their next refresh; no attempt is counted."""
        due: Item = {"due_at": utc_text(utc_now() + wait), "wait": wait.total_seconds()}
        for day in event_dates:
            with suppress(ConditionFailedError):
                self._table.update(
                    *_dirty_key(dataset, day),
                    change=Change(set=due),
                    condition=Condition("attribute_exists(#pk)"),
                )

    def set_alone(self, refresh: Refresh, run_id: str) -> None:
        """Give back a date whose neighbour spoiled the run: it is refreshed by itself."""
        self._give_back(refresh, run_id, lambda before: replace(before, alone=True))

    def _give_back(
        self,
        refresh: Refresh,
        run_id: str,
        judge: Callable[[DirtyDate], DirtyDate],
        *,
        taken_over: bool = False,
    ) -> DirtyDate | None:
        """Give the lease back and say how the date goes on, in one transaction.

        So whoever lost the lease says nothing, and of two who judge a dead run one counts.

        Returns:
            The dirty date that stands; ``None`` when the lease was lost.
        """
        for _ in range(GIVE_BACK_TRIES):
            head = self.head(refresh.dataset, refresh.event_date)
            if head is None or head.lease_run != run_id:
                return None
            found = self._table.get(*_dirty_key(refresh.dataset, refresh.event_date))
            before = load(DirtyDate, found) if found else _dirty_after(head)
            freed = replace(head, lease_run=None, taken_over=head.taken_over or taken_over)
            is_later = before.version > refresh.version
            after = before if is_later else judge(replace(before, version=refresh.version))
            with suppress(ConditionFailedError):
                self._table.transact(self._freeing(head, freed, found, after))
                return after
        raise LedgerBusyError(self._table.name)

    def _freeing(
        self, head: DateHead, freed: DateHead, found: Item | None, after: DirtyDate
    ) -> "list[TransactWriteItemTypeDef]":
        """The lease's end and the dirty item that stands then, if both are as they were read."""
        as_read = Condition(
            "#lease_run = :run AND #version = :version",
            {"run": head.lease_run, "version": head.version},
        )
        same = Condition("attribute_not_exists(#pk)")
        if found is not None:
            same = Condition("#version = :version", {"version": found["version"]})
        return [
            self._table.transact_put(_head_item(freed), as_read),
            self._table.transact_put(_dirty_item(after), same),
        ]

    def _change_leased(self, refresh: Refresh, run_id: str, change: Change) -> DateHead:
        try:
            item = self._table.update(
                *_head_key(refresh.dataset, refresh.event_date),
                change=change,
                condition=Condition("#lease_run = :run", {"run": run_id}),
            )
        except ConditionFailedError as error:
            raise _lost(refresh) from error
        return _date_head(item)


def _lost(refresh: Refresh) -> LeaseLostError:
    return LeaseLostError(
        f"Another run took over {refresh.dataset} {refresh.event_date}: this one changes nothing "
        "more there, and the date is refreshed once more."
    )


def _refresh(head: DateHead) -> Refresh:
    started = datetime.fromisoformat(head.leased_at) if head.leased_at else utc_now()
    return Refresh(head.dataset, head.event_date, head.leased_version, head.taken_over, started)


def _dirty_after(head: DateHead) -> DirtyDate:
    """The dirty item of a date: due once it has rested as long as its last refresh took."""
    due = utc_now()
    if head.refreshed_at:
        rested = datetime.fromisoformat(head.refreshed_at) + timedelta(seconds=head.refresh_seconds)
        due = max(due, rested)
    return DirtyDate(
        head.dataset,
        head.event_date,
        head.version,
        due_at=utc_text(due),
        wait=head.refresh_seconds,
        since=utc_text(utc_now()),
    )


def _date_head(item: Item) -> DateHead:
    return load(DateHead, item)


def _head_key(dataset: str, event_date: str) -> tuple[str, str]:
    return date_partition(dataset, event_date), "head"


def _head_item(head: DateHead) -> Item:
    pk, sk = _head_key(head.dataset, head.event_date)
    return {"pk": pk, "sk": sk, **dump(head)}


def _dirty_partition(dataset: str) -> str:
    return f"dirty#{dataset}"


def _dirty_key(dataset: str, event_date: str) -> tuple[str, str]:
    return _dirty_partition(dataset), event_date


def _dirty_item(dirty: DirtyDate) -> Item:
    pk, sk = _dirty_key(dirty.dataset, dirty.event_date)
    return {"pk": pk, "sk": sk, **dump(dirty)}
