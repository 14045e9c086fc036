"""What the ledger's tests share: keys and their contents, a ledger over any table."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from pipeline_assets.errors import CutDownloadError
from resources.ledger.dates import Dates, Refresh
from resources.ledger.files import Claim, Files
from resources.ledger.model import (
    FileHead,
    Fragment,
    Landing,
    LoadedFile,
    PendingFile,
    PlannedRun,
    RequestedFile,
    RequestKind,
    file_id,
)
from resources.ledger.registering import Registration
from resources.ledger.requests import Requests
from resources.ledger.runs import Runs
from resources.ledger.table import LedgerTable
from resources.settings import Settings

BUCKET = "landing"
DATASET = "events"
DAY = "2025-03-01"
NEXT_DAY = "2025-03-02"
KEY = f"events/dt={DAY}/a.csv"
RUN = "run-1"
OTHER_RUN = "run-2"
ROUNDS = 10
"""More than any step of a test takes."""
CONTRACT = "0123456789ab"


def landing(etag: str, key: str = KEY, *, day: str = DAY) -> Landing:
    """What a notification says of a key."""
    return Landing(
        bucket=BUCKET,
        key=key,
        etag=etag,
        size=len(etag),
        landed_at=datetime(2025, 3, 1, 12, tzinfo=UTC),
        dataset=DATASET,
        file_date=date.fromisoformat(day),
    )


def id_of(key: str = KEY) -> str:
    """File id of a key."""
    return file_id(BUCKET, key)


def fragment(head: FileHead, day: str, rows: int = 1) -> Fragment:
    """The fragment that loading a file writes for a date."""
    return Fragment(
        file_id=head.file_id,
        epoch=head.epoch,
        event_date=day,
        landing_key=head.key,
        fragment_key=f"bronze/{DATASET}/event_date={day}/{head.file_id}-{head.etag}.parquet",
        rows=rows,
        malformed=0,
    )


def outcome(head: FileHead, *days: str) -> LoadedFile:
    """What loading a file with one row on each of the days comes to."""
    return LoadedFile(tuple(fragment(head, day) for day in days), len(days), 0)


def corrupt() -> CutDownloadError:
    """A retryable fault of the file."""
    return CutDownloadError(KEY, "it ends in the middle of a record.")


def requested(pending: PendingFile) -> RequestedFile:
    """A pending file as planning puts it into a request."""
    return RequestedFile(pending.file_id, pending.epoch, pending.attempts)


def ingest_of(*files: RequestedFile, first: str = DAY, last: str = DAY) -> PlannedRun:
    """An ingest run as planning makes it."""
    return PlannedRun(DATASET, RequestKind.INGEST, first, last, files)


@dataclass
class LedgerParts:
    """A ledger over any table, and the landing bucket that HEAD sees."""

    table: LedgerTable
    settings: Settings
    held: dict[str, Landing] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dates = Dates(self.table, self.settings)
        self.files = Files(self.table, self.dates, self.settings)
        self.requests = Requests(self.table)
        self.runs = Runs(self.table, self.settings)

    def upload(self, etag: str, key: str = KEY) -> Landing:
        """Put bytes at a key; the landing is what the notification will say."""
        self.held[key] = landing(etag, key)
        return self.held[key]

    def remove(self, key: str = KEY) -> None:
        """Delete an object."""
        del self.held[key]

    def register(self, *landings: Landing) -> list[Registration]:
        """Register what notifications say."""
        return self.files.register(landings, lambda each: self.held.get(each.key))

    def land(self, etag: str = "A", key: str = KEY) -> FileHead:
        """Upload and register a new file."""
        self.register(self.upload(etag, key))
        return self.head(key)

    def head(self, key: str = KEY) -> FileHead:
        """The file's head, which must be known."""
        found = self.files.head(id_of(key))
        assert found is not None
        return found

    def pending(self) -> list[PendingFile]:
        """Pending items, in a fixed order."""
        return sorted(self.files.pending(DATASET), key=lambda each: (each.file_id, each.epoch))

    def claim(self) -> list[Claim]:
        """Claim everything that is pending, as the next run would."""
        return self.files.claim([requested(each) for each in self.pending()], DATASET)

    def claim_one(self) -> Claim:
        """Claim the only pending file."""
        (claim,) = self.claim()
        return claim

    def load(self, *days: str, run_id: str = RUN) -> FileHead:
        """Claim the only pending file and load it with a row on each of the days."""
        claim = self.claim_one()
        (head,) = self.files.finish([(claim, outcome(claim.head, *days))], run_id)
        return head

    def manifest(self, day: str = DAY) -> list[tuple[str, str]]:
        """Landing key and ETag of every fragment that counts for a date."""
        return [
            (each.landing_key, each.fragment_key.rsplit("-", 1)[1].removesuffix(".parquet"))
            for each in self.dates.manifest(DATASET, day)
        ]

    def dirty(self) -> dict[str, int]:
        """Versions of the dirty dates, by date."""
        return {each.event_date: each.version for each in self.dates.dirty(DATASET)}

    def version(self, day: str = DAY) -> int:
        """Version of a date, 0 when it is unknown."""
        head = self.dates.head(DATASET, day)
        return head.version if head else 0

    def refresh(self, day: str = DAY, run_id: str = RUN) -> bool:
        """Open and close a date; whether it is clean then."""
        opened = self.dates.open(DATASET, day, run_id)
        assert opened is not None
        return self.dates.close(opened, run_id)

    def load_all(self, *days: str) -> None:
        """What ticks and their runs do until nothing is pending."""
        for _ in range(ROUNDS):
            if not self.pending():
                return
            claims = self.claim()
            self.files.finish([(each, outcome(each.head, *days)) for each in claims], OTHER_RUN)
        raise AssertionError(f"still pending: {self.pending()}")

    def fail_all(self) -> None:
        """Runs that find every pending file corrupt, until nothing is pending."""
        for _ in range(ROUNDS):
            if not self.pending():
                return
            for claim in self.claim():
                self.files.fail(claim, corrupt(), OTHER_RUN)
        raise AssertionError(f"still pending: {self.pending()}")

    def reopened(self, day: str) -> Refresh:
        """A date's lease, taken over from the run that died with it."""
        found = self.dates.open(DATASET, day, OTHER_RUN) or self.dates.take_over(
            DATASET, day, run_id=OTHER_RUN, dead_run=RUN
        )
        assert found is not None
        return found

    def refresh_all(self) -> None:
        """What refreshes do until no date is dirty."""
        for _ in range(ROUNDS):
            if not self.dirty():
                return
            for day in self.dirty():
                self.dates.close(self.reopened(day), OTHER_RUN)
        raise AssertionError(f"still dirty: {self.dirty()}")

    def assert_clean(self, *days: str) -> None:
        """No date is dirty, and nobody holds one."""
        for head in self.dates.heads(DATASET, days).values():
            assert (head.dirty, head.lease_run) == (False, None)
        assert self.dirty() == {}
