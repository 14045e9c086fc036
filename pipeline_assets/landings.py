"""An object of the landing bucket as the ledger registers it."""

from pipeline_assets.dataset import Dataset
from pipeline_assets.partitions import file_date
from resources.landfall import Landfall
from resources.landing_zone import StoredObject
from resources.ledger.model import Landing


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
