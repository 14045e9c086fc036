"""An object of the landing bucket as the ledger registers it."""

from datetime import UTC

from pipeline_assets.dataset import Dataset
from pipeline_assets.partitions import file_date
from pipeline_assets.registry import datasets
from resources.landfall import Landfall
from resources.landing_zone import StoredObject
from resources.ledger.model import NO_DATASET, Landing


def prefix_of(key: str) -> str:
    """What a key begins with up to its first slash, the whole of it if it has none."""
    return key.split("/", 1)[0]


def landing_below(bucket: str, key: str, stored: StoredObject) -> Landing:
    """What a key holds, as a file of the dataset below whose prefix it stands, or of none."""
    for dataset in datasets():
        if dataset.name == prefix_of(key):
            return landing(dataset, bucket, key, stored)
    return stray(bucket, key, stored)


def stray(bucket: str, key: str, stored: StoredObject) -> Landing:
    """What a key below no dataset's prefix holds; its date is the one of its landing in UTC."""
    return Landing(
        bucket=bucket,
        key=key,
        etag=stored.etag,
        size=stored.size,
        landed_at=stored.modified_at,
        dataset=NO_DATASET,
        file_date=stored.modified_at.astimezone(UTC).date(),
    )


def landing(dataset: Dataset, bucket: str, key: str, stored: StoredObject) -> Landing:
    """What a key holds since ``stored.modified_at``, as a file of a dataset."""
    return Landing(
        bucket=bucket,
        key=key,
        etag=stored.etag,
        size=stored.size,
        landed_at=stored.modified_at,
        dataset=dataset.name,
        file_date=file_date(key, stored.modified_at, dataset),
    )


def current(landfall: Landfall, dataset: Dataset, key: str) -> Landing | None:
    """What a key of the landing bucket holds now, by HEAD; ``None`` when nothing does."""
    stored = landfall.bucket.stat(key)
    if stored is None:
        return None
    return landing(dataset, landfall.bucket.name, key, stored)
