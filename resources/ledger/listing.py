"""The walks through the landing bucket: how far the present one came, and what each slice found.

One walk at a time goes through the whole bucket, slice by slice, in the order of the keys. Whoever
reads its state may walk on: sensor, worker and command, one after the other or at once. A slice's
counts and the new state are one transaction, on condition that the state is the one that was read:
of two that walked the same slice one counts, and after a crash the slice is walked once more.

The counts of the last finished walk stay until the next one is finished.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from resources.ledger.codec import Item, dump, load
from resources.ledger.items import dead_key, pending_key_of
from resources.ledger.model import NO_DATASET, UNFINISHED, FileHead, FileState, utc_now, utc_text
from resources.ledger.table import Condition, ConditionFailedError, LedgerTable

KEYS_NAMED = 3
"""Keys that are kept of a date as examples."""
KEYS_NAMED_PER_SLICE = 50
DATES_PER_ITEM = 500
"""A key has 1,024 bytes at most ("Creating object key names", Amazon S3 User Guide), a date without
keys some 150: so an item stays far below 400 KB and the slices that the settings allow below the
4 MB of a transaction (DynamoDB developer guide, "Quotas")."""
COUNTS = ("listed", "known", "missing", "pending", "dead", "forgotten")
"""What is counted of a date's objects, by name."""
PARTITION = "listing"
STATE_KEY = (PARTITION, "walk")


@dataclass(frozen=True)
class DateListing:
    """What a walk found of one file date.

    ``listed = known + missing``. A missing object is one that the ledger did not know, or not with
    these bytes, until the walk registered it. Of both, ``pending`` are to be loaded, ``dead`` are
    given up and ``forgotten`` were removed on purpose; the others are loaded.
    """

    dataset: str
    file_date: str
    listed: int = 0
    missing: int = 0
    pending: int = 0
    dead: int = 0
    forgotten: int = 0
    missing_keys: tuple[str, ...] = ()
    dead_keys: tuple[str, ...] = ()

    @property
    def known(self) -> int:
        """Objects that the ledger knew before the walk came to them."""
        return self.listed - self.missing

    @property
    def is_complete(self) -> bool:
        """Whether every object is loaded or will be; what was missing is, for it is registered."""
        return self.dead == 0


@dataclass(frozen=True)
class FinishedWalk:
    """A walk that went through the whole bucket."""

    number: int
    began_at: str
    ended_at: str


@dataclass(frozen=True)
class Walk:
    """The present walk: the keys up to ``after`` are done, in so many slices.

    ``finished`` is the last walk that came to the end, this one or a former one. Walks before
    ``kept_from`` have no slices any more.
    """

    number: int = 0
    began_at: str = ""
    after: str = ""
    slices: int = 0
    finished: FinishedWalk | None = None
    kept_from: int = 1

    @property
    def last_finished(self) -> int:
        """Number of the last finished walk, 0 when there is none."""
        return self.finished.number if self.finished else 0

    @property
    def is_under_way(self) -> bool:
        """Whether keys are left to be walked."""
        return self.number != self.last_finished


@dataclass(frozen=True)
class Slice:
    """What was found between two keys; ``after`` is the last one."""

    dates: tuple[DateListing, ...]
    after: str
    is_last: bool


@dataclass(frozen=True)
class ListingReport:
    """What a whole walk found, by dataset and file date, in their order."""

    number: int
    began_at: str
    ended_at: str
    dates: tuple[DateListing, ...]

    def of(self, dataset: str) -> "ListingReport":
        """The same walk as far as one dataset goes."""
        return replace(self, dates=tuple(each for each in self.dates if each.dataset == dataset))


@dataclass(frozen=True)
class Told:
    """What Dagster was told of a dataset's walks.

    ``failing`` are the dates that were told to be incomplete, with the dead files of each.
    """

    dataset: str
    number: int = 0
    at: str = ""
    failing: dict[str, int] = field(default_factory=dict)


def merged(listings: Iterable[DateListing]) -> tuple[DateListing, ...]:
    """One listing for each date of each dataset, in their order; counts are added up."""
    by_date: dict[tuple[str, str], list[DateListing]] = defaultdict(list)
    for each in listings:
        by_date[each.dataset, each.file_date].append(each)
    return tuple(_sum(by_date[date]) for date in sorted(by_date))


def counts(listings: Iterable[DateListing]) -> dict[str, int]:
    """Sums over dates by the names of ``COUNTS``."""
    every = list(listings)
    return {name: sum(getattr(each, name) for each in every) for name in COUNTS}


def _sum(same_date: Sequence[DateListing]) -> DateListing:
    return replace(
        same_date[0],
        listed=sum(each.listed for each in same_date),
        missing=sum(each.missing for each in same_date),
        pending=sum(each.pending for each in same_date),
        dead=sum(each.dead for each in same_date),
        forgotten=sum(each.forgotten for each in same_date),
        missing_keys=tuple(k for each in same_date for k in each.missing_keys)[:KEYS_NAMED],
        dead_keys=tuple(k for each in same_date for k in each.dead_keys)[:KEYS_NAMED],
    )


class Listing:
    """The ledger's walks."""

    def __init__(self, table: LedgerTable) -> None:
        self._table = table

    def walk(self) -> Walk:
        """The present walk, read consistently; number 0 before the first."""
        item = self._table.get(*STATE_KEY)
        return load(Walk, item) if item else Walk()

    def begin(self, before: Walk) -> Walk | None:
        """Begin the next walk; one that is under way is abandoned.

        Returns:
            ``None`` when another walker was faster.
        """
        begun = Walk(
            number=before.number + 1,
            began_at=utc_text(utc_now()),
            finished=before.finished,
            kept_from=max(before.kept_from, before.last_finished),
        )
        for number in range(before.kept_from, before.last_finished):
            self._delete_slices(number)
        try:
            self._table.put(_state(begun), _as_read(before))
        except ConditionFailedError:
            return None
        return begun

    def advance(self, before: Walk, found: Slice) -> Walk | None:
        """Keep what a slice found and move on behind it; the last slice finishes the walk.

        Returns:
            ``None`` when another walker was faster: this slice counts for nothing.
        """
        finished = before.finished
        if found.is_last:
            finished = FinishedWalk(before.number, before.began_at, utc_text(utc_now()))
        walked = replace(before, after=found.after, slices=before.slices + 1, finished=finished)
        writes = [self._table.transact_put(_state(walked), _as_read(before))]
        new = Condition("attribute_not_exists(#pk)")
        writes += [self._table.transact_put(item, new) for item in _slice_items(before, found)]
        try:
            self._table.transact(writes)
        except ConditionFailedError:
            return None
        return walked

    def report(self) -> ListingReport | None:
        """What the last finished walk found; ``None`` before there is one."""
        finished = self.walk().finished
        if finished is None:
            return None
        items = self._table.query(_slices(finished.number))
        if self.walk().finished != finished:  # its slices may be half deleted by now
            return self.report()
        dates = merged(load(DateListing, each) for item in items for each in _dates(item))
        return ListingReport(finished.number, finished.began_at, finished.ended_at, dates)

    def _delete_slices(self, number: int) -> None:
        items = self._table.query(_slices(number))
        self._table.batch_write(deletes=[(str(item["pk"]), str(item["sk"])) for item in items])

    def told(self, dataset: str) -> Told:
        """What Dagster was told of a dataset."""
        item = self._table.get(*_told_key(dataset))
        return load(Told, item) if item else Told(dataset)

    def tell(self, told: Told) -> None:
        """Note what Dagster was told."""
        pk, sk = _told_key(told.dataset)
        self._table.put({"pk": pk, "sk": sk, **dump(told)})

    def unfiled(self, heads: Iterable[FileHead]) -> set[str]:
        """Files that no list has, since whoever registered them died in the middle of it.

        Returns:
            Their file ids. A file that was loaded a moment ago may be among them.
        """
        pointers = {pointer: head for head in heads for pointer in _pointers(head)}
        found = {(item["pk"], item["sk"]) for item in self._table.batch_get(list(pointers))}
        return {head.file_id for pointer, head in pointers.items() if pointer not in found}


def _pointers(head: FileHead) -> Iterator[tuple[str, str]]:
    """Where a file must be listed: as pending, or as dead if it was buried."""
    if head.state in UNFINISHED:
        yield pending_key_of(head)
    if head.state is FileState.DEAD and head.dataset == NO_DATASET:
        yield dead_key(head)


def _state(walk: Walk) -> Item:
    pk, sk = STATE_KEY
    return {"pk": pk, "sk": sk, **dump(walk)}


def _as_read(walk: Walk) -> Condition:
    if walk.number == 0:
        return Condition("attribute_not_exists(#pk)")
    return Condition(
        "#number = :number AND #slices = :slices", {"number": walk.number, "slices": walk.slices}
    )


def _slices(number: int) -> str:
    """Partition key below which the slices of a walk stand."""
    return f"{PARTITION}#{number:08d}"


def _slice_items(walk: Walk, found: Slice) -> Iterator[Item]:
    few = list(_with_few_keys(found.dates))
    for part, start in enumerate(range(0, len(few), DATES_PER_ITEM)):
        yield {
            "pk": _slices(walk.number),
            "sk": f"{walk.slices:08d}#{part:04d}",
            "after": walk.after,
            "dates": [dict(dump(each)) for each in few[start : start + DATES_PER_ITEM]],
        }


def _with_few_keys(dates: Iterable[DateListing]) -> Iterator[DateListing]:
    """The dates, with examples for the first of them only."""
    left = KEYS_NAMED_PER_SLICE
    for each in dates:
        few = replace(each, missing_keys=each.missing_keys[:left], dead_keys=each.dead_keys[:left])
        left = max(0, left - len(few.missing_keys) - len(few.dead_keys))
        yield few


def _dates(item: Item) -> Iterator[Item]:
    dates = item["dates"]
    if isinstance(dates, list):
        yield from dates


def _told_key(dataset: str) -> tuple[str, str]:
    return PARTITION, f"told#{dataset}"
