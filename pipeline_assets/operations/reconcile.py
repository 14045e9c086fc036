"""Walks: what the landing bucket holds against what the ledger knows, slice by slice.

The sensor and a worker walk on by and by, ``reconcile`` goes all the way for a person who waits for
it. What no notification brought is registered (``comparison.py``), and what was given up and then
deleted ends (``deletions.py``). Other objects that the ledger knows and the bucket does not hold
any more are not looked for: one that was never loaded ends ``GONE`` when its load finds nothing,
and a loaded one keeps its rows.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from math import inf

from pipeline_assets.dataset import Dataset
from pipeline_assets.operations.comparison import compare
from pipeline_assets.operations.deletions import Stretch, end_deleted
from resources.landfall import Landfall
from resources.landing_zone import KEYS_PER_PAGE, ListedObject
from resources.ledger.listing import (
    DateListing,
    ListingReport,
    Slice,
    Walk,
    merged,
)
from resources.ledger.model import utc_now, utc_text
from resources.ledger.table import BATCH_GET_LIMIT

Progress = Callable[[str], None]


def reconcile(
    landfall: Landfall, dataset: Dataset | None = None, progress: Progress = lambda _: None
) -> ListingReport:
    """List everything, register what is missing, and report by dataset and file date.

    Args:
        landfall: the environment.
        dataset: list only what stands below this dataset's prefix. That is no walk of the ledger's:
            sensor and worker go on with theirs. Without it, a walk under way is given up for one
            from the start, which a sensor that ticks meanwhile helps with.
        progress: told what was done so far.
    """
    if dataset is not None:
        return _below(landfall, f"{dataset.name}/", progress)
    number = _begun(landfall).number
    walk = landfall.ledger.listing.walk()
    while walk.last_finished < number:
        progress(f"slice {walk.slices + 1} of the landing bucket, behind {walk.after or 'no key'}")
        walk = walk_on(landfall, walk) or landfall.ledger.listing.walk()
    report = landfall.ledger.listing.report()
    return report or ListingReport(number, walk.began_at, walk.began_at, ())


def _begun(landfall: Landfall) -> Walk:
    """A walk from the start, whoever begins it."""
    before = landfall.ledger.listing.walk()
    return landfall.ledger.listing.begin(before) or _begun(landfall)


def _below(landfall: Landfall, prefix: str, progress: Progress) -> ListingReport:
    began = utc_text(utc_now())
    found: tuple[DateListing, ...] = ()
    part = Slice((), "", is_last=False)
    while not part.is_last:
        part = next_slice(landfall, part.after, prefix=prefix)
        found = merged([*found, *part.dates])
        listed = sum(each.listed for each in found)
        progress(f"{listed:,} objects below {prefix}, up to {part.after or 'none'}")
    return ListingReport(0, began, utc_text(utc_now()), found)


def walk_on(landfall: Landfall, walk: Walk, deadline: float = inf) -> Walk | None:
    """Walk the next slice; ``None`` when another walker was faster."""
    return landfall.ledger.listing.advance(walk, next_slice(landfall, walk.after, deadline))


def next_slice(landfall: Landfall, after: str, deadline: float = inf, *, prefix: str = "") -> Slice:
    """Compare the objects behind a key with the ledger, and put right what differs there.

    Args:
        landfall: the environment.
        after: the last key of the slice before.
        deadline: moment of the monotonic clock after which nothing more is listed.
        prefix: what the keys begin with.
    """
    found: list[DateListing] = []
    listed: set[str] = set()
    before = after
    for objects, is_last in _listed(landfall, after, prefix):
        found += compare(landfall, objects)
        listed |= {each.key for each in objects}
        after = objects[-1].key if objects else after
        is_full = len(listed) >= landfall.settings.reconcile_keys or time.monotonic() > deadline
        if is_last or is_full:
            end_deleted(landfall, Stretch(before, None if is_last else after, prefix), listed)
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
