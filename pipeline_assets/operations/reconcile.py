"""The landing bucket against the ledger, the whole of it now, for a person who waits for it."""

from collections.abc import Callable

from pipeline_assets.dataset import Dataset
from resources.landfall import Landfall
from resources.ledger.listing import (
    DateListing,
    ListingReport,
    Slice,
    Walk,
    merged,
)
from resources.ledger.model import utc_now, utc_text
from sensors.reconcile import next_slice, walk_on

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
