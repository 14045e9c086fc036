"""What the ledger's properties are about: three keys, what can lie there, a bucket to hold it."""

from datetime import UTC, datetime

from ledger_scenario import corrupt

from pipeline_assets.errors import (
    AwsUnreachableError,
    LandfallError,
    UnsupportedFormatError,
)
from resources.landing_zone import LandingBucket, StoredObject
from resources.settings import Settings
from sensors import landing

BUCKET = "landfall-landing"
LANDED_AT = datetime(2025, 3, 10, tzinfo=UTC)
DAYS = ("2025-03-01", "2025-03-02", "2025-03-03")
KEYS = (f"events/dt={DAYS[0]}/a.csv", f"events/dt={DAYS[0]}/b.csv", f"events/dt={DAYS[1]}/c.csv")
CONTENTS = {"A": (DAYS[0],), "B": (DAYS[0], DAYS[1]), "C": (DAYS[2],), "bad": (), "zip": ()}
"""ETags of the objects, with the event dates that their rows belong to."""
UNREADABLE: dict[str, LandfallError] = {
    "bad": corrupt(),
    "zip": UnsupportedFormatError(KEYS[0], "no format."),
}
"""Objects that cannot be loaded: one that looks as a cut download does, one for good."""
FAULTS: dict[str, LandfallError | None] = {
    "none": None,
    "the file's": corrupt(),
    "the environment's": AwsUnreachableError("nowhere", local=True),
}
"""What can keep a run from loading a sound object, this time."""
LEASE = 60.0
SETTINGS = Settings.model_construct(
    backoff_seconds=0.0,
    backoff_max_seconds=0.0,
    max_attempts=3,
    lease_seconds=LEASE,
    request_seconds=10 * LEASE,
    landing_bucket=BUCKET,
)
LIMITS = landing.Limits(max_files_per_run=2, max_dates_per_run=2, quiet_runs_per_tick=1)


class HeldBucket(LandingBucket):
    """The landing bucket as HEAD sees it: ETags by key."""

    def __init__(self) -> None:
        self.etags: dict[str, str] = {}

    @property
    def name(self) -> str:
        return BUCKET

    def stat(self, key: str) -> StoredObject | None:
        etag = self.etags.get(key)
        return StoredObject(etag, 1, LANDED_AT) if etag else None


class OnlySettings:
    """What the sensors ask of the clients: nothing but their settings."""

    settings = SETTINGS
