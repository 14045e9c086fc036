"""The reconcile sensor: what the landing bucket holds against what the ledger knows.

A walk lists the whole bucket in slices and registers what no notification brought: unknown keys,
known keys with other bytes, and files that a crash left out of the lists that planning reads. A
tick costs as much as the slices that it walks, however much is stored.

Objects that the ledger knows and the bucket does not hold any more are not looked for: one that was
never loaded ends ``GONE`` when its load finds nothing, and a loaded one keeps its rows.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from math import inf

from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import UnknownDatasetError
from pipeline_assets.landings import current, landing
from pipeline_assets.registry import datasets
from resources.landfall import Landfall
from resources.landing_zone import (
    KEYS_PER_PAGE,
    ListedObject,
)
from resources.ledger.listing import DateListing, Slice, Walk, merged
from resources.ledger.model import (
    NO_DATASET,
    UNFINISHED,
    FileHead,
    FileState,
    Landing,
    utc_now,
)
from resources.ledger.registering import Registration
from resources.ledger.table import BATCH_GET_LIMIT
from resources.ledger.ticks import RECONCILE
from resources.settings import Settings

REGISTERED = frozenset({Registration.NEW, Registration.OVERWRITTEN})
REST_WITHOUT_QUEUE_SECONDS = 5.0
"""A worker that found nothing new lists a bucket without a queue again after so long."""


def wait(walk: Walk, settings: Settings, now: datetime) -> timedelta:
    """How long it is until there is something to walk; zero when there is.

    A walk that began later than now was begun by a clock that runs ahead: nobody waits for it.
    """
    if walk.is_under_way or walk.number == 0 or not settings.landing_queue:
        return timedelta(0)
    interval = timedelta(seconds=settings.reconcile_seconds)
    left = datetime.fromisoformat(walk.began_at) + interval - now
    return left if timedelta(0) < left <= interval else timedelta(0)


def tick(landfall: Landfall) -> Walk:
    """Walk on for as long as a tick may take, a slice at least; begin the next walk when it is due.

    Returns:
        The walk as it stands then. Where another walker was faster, the tick is over.
    """
    deadline = time.monotonic() + landfall.settings.max_tick_seconds
    walk = landfall.ledger.listing.walk()
    if wait(walk, landfall.settings, utc_now()):
        return walk
    on = walk if walk.is_under_way else landfall.ledger.listing.begin(walk)
    while on and on.is_under_way:
        on = walk_on(landfall, on, deadline)
        if time.monotonic() > deadline:
            break
    landfall.ledger.ticks.note(RECONCILE)
    return on or landfall.ledger.listing.walk()


def walk_on(landfall: Landfall, walk: Walk, deadline: float = inf) -> Walk | None:
    """Walk the next slice; ``None`` when another walker was faster."""
    return landfall.ledger.listing.advance(walk, next_slice(landfall, walk.after, deadline))


def next_slice(landfall: Landfall, after: str, deadline: float = inf, *, prefix: str = "") -> Slice:
    """Compare the objects behind a key with the ledger, and register what is missing there.

    Args:
        landfall: the environment.
        after: the last key of the slice before.
        deadline: moment of the monotonic clock after which nothing more is listed.
        prefix: what the keys begin with.
    """
    found: list[DateListing] = []
    listed = 0
    for objects, is_last in _listed(landfall, after, prefix):
        found += compare(landfall, objects)
        listed += len(objects)
        after = objects[-1].key if objects else after
        is_full = listed >= landfall.settings.reconcile_keys or time.monotonic() > deadline
        if is_last or is_full:
            return Slice(merged(found), after, is_last)
    raise AssertionError("a listing always has a last page")


def _listed(
    landfall: Landfall, after: str, prefix: str
) -> Iterator[tuple[Sequence[ListedObject], bool]]:
    """The objects behind a key, as many at a time as one batch of heads; true for the last."""
    size = min(KEYS_PER_PAGE, landfall.settings.reconcile_keys)
    while True:
        page = landfall.bucket.list_after(after, prefix=prefix, limit=size)
        for start in range(0, max(1, len(page.objects)), BATCH_GET_LIMIT):
            end = start + BATCH_GET_LIMIT
            yield page.objects[start:end], page.is_last and end >= len(page.objects)
        after = page.objects[-1].key if page.objects else after


def compare(landfall: Landfall, objects: Sequence[ListedObject]) -> list[DateListing]:
    """Register those of the objects that are missing in the ledger; count all of them."""
    landings = [_landing(landfall.bucket.name, each) for each in objects]
    heads = landfall.ledger.files.heads(each.file_id for each in landings)
    known = {
        each.file_id: heads[each.file_id]
        for each in landings
        if is_known(each, heads.get(each.file_id))
    }
    unfiled = landfall.ledger.listing.unfiled(known.values())
    todo = [each for each in landings if each.file_id not in known or each.file_id in unfiled]
    registered = _register(landfall, todo)
    counts = (
        count(each, heads.get(each.file_id), registered.get(each.file_id)) for each in landings
    )
    return [each for each in counts if each is not None]


def _landing(bucket: str, listed: ListedObject) -> Landing:
    prefix = listed.key.split("/", 1)[0]
    for dataset in datasets():
        if dataset.name == prefix:
            return landing(dataset, bucket, listed.key, listed.stored)
    return Landing(
        bucket=bucket,
        key=listed.key,
        etag=listed.stored.etag,
        size=listed.stored.size,
        landed_at=listed.stored.modified_at,
        dataset=NO_DATASET,
        file_date=listed.stored.modified_at.astimezone(UTC).date(),
    )


def is_known(landed: Landing, head: FileHead | None) -> bool:
    """Whether the ledger knows the object as it is listed.

    Below no dataset the bytes do not matter. A file that was deleted and landed again is not known.
    """
    if head is None or head.state is FileState.GONE:
        return False
    return head.etag == landed.etag or landed.dataset == NO_DATASET


def _register(landfall: Landfall, missing: Sequence[Landing]) -> Mapping[str, Registration]:
    """Register what is missing, as the landing sensor does; what was found, by file id."""
    found: dict[str, Registration] = {}
    by_dataset: dict[str, list[Landing]] = defaultdict(list)
    for each in missing:
        by_dataset[each.dataset].append(each)
    for dataset in datasets():
        own = by_dataset[dataset.name]
        answers = landfall.ledger.files.register(own, partial(_current, landfall, dataset))
        found |= {each.file_id: answer for each, answer in zip(own, answers, strict=True)}
    names = tuple(dataset.name for dataset in datasets())
    for each in by_dataset[NO_DATASET]:
        landfall.ledger.files.bury(each, UnknownDatasetError(each.key, names))
        found[each.file_id] = Registration.NEW
    return found


def _current(landfall: Landfall, dataset: Dataset, landed: Landing) -> Landing | None:
    return current(landfall, dataset, landed.key)


def count(
    landed: Landing, head: FileHead | None, registered: Registration | None
) -> DateListing | None:
    """One listed object as a listing of its date.

    Args:
        landed: the object as it is listed.
        head: what the ledger knew of its key before.
        registered: what registering found, if it was to be registered.

    Returns:
        ``None`` for one that was deleted since it was listed.
    """
    known = is_known(landed, head)
    is_missing = registered in REGISTERED and not known
    if registered is Registration.STALE and (head is None or head.state is FileState.GONE):
        return None
    state = FileState.DEAD if landed.dataset == NO_DATASET else FileState.LANDED
    if head is not None and not is_missing:
        state = head.state
    own_date = head is not None and head.dataset == landed.dataset
    return DateListing(
        dataset=landed.dataset,
        file_date=head.file_date if head and own_date else landed.file_date.isoformat(),
        listed=1,
        missing=int(is_missing),
        pending=int(state in UNFINISHED),
        dead=int(state is FileState.DEAD),
        forgotten=int(state is FileState.FORGOTTEN),
        missing_keys=(landed.key,) if is_missing else (),
        dead_keys=(landed.key,) if state is FileState.DEAD else (),
    )


class Walker:
    """Walks for one that works on its own: asks the ledger only when a walk may be due."""

    def __init__(self, landfall: Landfall, finished: Callable[[], object]) -> None:
        self._landfall = landfall
        self._finished = finished
        self._rests_until = 0.0
        self._late_from = self._later()
        self._former: int | None = None

    def is_done(self) -> bool:
        """Whether no walk is due, or a whole one began and ended since nothing is left to do."""
        walk = self._due()
        if walk is None:
            return True
        if self._former is None:
            self._former = walk.number
        return walk.last_finished > self._former

    def walk(self, *, busy: bool) -> bool:
        """Walk on if a walk is due.

        Args:
            busy: something else was done. Then a walk waits, but not for ever; and without a queue
                whatever was walked before says nothing now.

        Returns:
            Whether there is more of the walk.
        """
        if busy:
            self._former = None
            self._rests_until *= self._landfall.queue.exists
        if busy and time.monotonic() < self._late_from:
            return False
        before = self._due()
        if before is None:
            return False
        after = tick(self._landfall)
        if after.is_under_way:
            return True
        self._rest(after)
        if after.last_finished != before.last_finished:
            self._finished()
        return False

    def _due(self) -> Walk | None:
        """The present walk, if there is something to walk."""
        if time.monotonic() < self._rests_until:
            return None
        walk = self._landfall.ledger.listing.walk()
        left = wait(walk, self._landfall.settings, utc_now()).total_seconds()
        self._rests_until = time.monotonic() + left
        return None if left else walk

    def _rest(self, walk: Walk) -> None:
        left = wait(walk, self._landfall.settings, utc_now()).total_seconds()
        if not self._landfall.queue.exists:
            left = REST_WITHOUT_QUEUE_SECONDS
        self._rests_until = time.monotonic() + left
        self._late_from = self._later()

    def _later(self) -> float:
        return time.monotonic() + self._landfall.settings.reconcile_seconds
