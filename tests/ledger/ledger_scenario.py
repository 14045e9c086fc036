"""What the ledger's tests share: a key and its contents, a ledger over moto or in memory, a crash."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import boto3

from pipeline_assets.errors import CorruptFileError
from resources.ledger.dates import Dates
from resources.ledger.files import Claim, Files, Registration
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


def corrupt() -> CorruptFileError:
    """A retryable fault of the file."""
    return CorruptFileError(KEY, "it ends in the middle of a record.")


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


class CrashError(Exception):
    """The process died here."""


@dataclass
class CrashPoint:
    """The call at which a process dies: before it is sent, or after it took effect."""

    call: int
    takes_effect: bool
    operations: frozenset[str] | None = None
    """Calls that are counted, by operation; all if none are named."""
    seen: int = 0
    crashed: bool = False

    def before(self, operation: str) -> None:
        """Count a call; die if it is the one, or if the process is dead already."""
        if self.crashed:
            raise CrashError(operation)
        if self.operations is None or operation in self.operations:
            self.seen += 1
            self.crashed = self.seen == self.call
        if self.crashed and not self.takes_effect:
            raise CrashError(operation)

    def after(self, operation: str) -> None:
        """Die now if the call that took effect was the one."""
        if self.crashed:
            raise CrashError(operation)


@contextmanager
def dying(client: boto3.client, point: CrashPoint) -> Iterator[CrashPoint]:
    """Let a boto3 client die at a call; afterwards it is as good as new."""

    def before(request: Any, event_name: str, **_: Any) -> None:
        del request
        point.before(event_name.rsplit(".", 1)[1])

    def after(model: Any, **_: Any) -> None:
        point.after(model.name)

    events, service = client.meta.events, client.meta.service_model.service_name
    events.register(f"before-send.{service}", before)
    events.register(f"after-call.{service}", after)
    try:
        yield point
    finally:
        events.unregister(f"before-send.{service}", before)
        events.unregister(f"after-call.{service}", after)
