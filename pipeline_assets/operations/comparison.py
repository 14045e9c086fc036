"""Objects of the landing bucket against the ledger: what is missing there is registered.

Missing are unknown keys, known keys with other bytes, files that had gone, and files that a crash
left out of the lists that planning reads.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import UnknownDatasetError
from pipeline_assets.landings import current, landing_below
from pipeline_assets.registry import datasets
from resources.landfall import Landfall
from resources.landing_zone import ListedObject
from resources.ledger.listing import DateListing
from resources.ledger.model import NO_DATASET, UNFINISHED, FileHead, FileState, Landing
from resources.ledger.registering import Registration

REGISTERED = frozenset({Registration.NEW, Registration.OVERWRITTEN})


def compare(landfall: Landfall, objects: Sequence[ListedObject]) -> list[DateListing]:
    """Register those of the objects that are missing in the ledger; count all of them."""
    landings = [landing_below(landfall.bucket.name, each.key, each.stored) for each in objects]
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
