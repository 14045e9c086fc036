"""The ledger's values, as plain data without any AWS."""

import hashlib
import traceback
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from pipeline_assets.errors import LandfallError

HISTORY_LIMIT = 50
"""Entries of a file's history that are kept, the newest ones."""
MESSAGE_LIMIT = 4000
STACK_LIMIT = 6000
NOTE_LIMIT = 500
EVENT_LIMIT = 8000
"""Characters kept of an error, of its stack, of it in each entry of a history, and of a
notification: an item holds 400 KB at most (DynamoDB developer guide, "Quotas"), and a head that
cannot be written can never end."""
NO_DATASET = "(no dataset)"
"""Stands for the dataset of an object below a prefix that no dataset has."""


class FileState(StrEnum):
    """Where a landed file stands.

    ``QUEUED`` and ``LOADING`` are kept by the run request that carries the file; a file's own
    item holds one of the others.
    """

    LANDED = "LANDED"
    QUEUED = "QUEUED"
    LOADING = "LOADING"
    LOADED = "LOADED"
    FAILED = "FAILED"
    DEAD = "DEAD"
    GONE = "GONE"
    FORGOTTEN = "FORGOTTEN"


UNFINISHED = (FileState.LANDED, FileState.FAILED)
"""States of a file's own item from which it can still be loaded."""


class RequestKind(StrEnum):
    """What a run does for the dates it was requested for."""

    INGEST = "ingest"
    REFRESH = "refresh"


class RequestState(StrEnum):
    """Whether a run has claimed the request."""

    QUEUED = "QUEUED"
    LOADING = "LOADING"


def file_id(bucket: str, key: str) -> str:
    """Short hash of bucket and key: 16 hexadecimal digits."""
    return hashlib.sha256(f"{bucket}/{key}".encode()).hexdigest()[:16]


def trace_id(file_id: str, epoch: int) -> str:
    """Id of everything that is done for one content of a file: 32 hexadecimal digits.

    It is made of file id and epoch, so every process comes to the same one (the form is that of
    W3C's "Trace Context").
    """
    return hashlib.sha256(f"{file_id}#{epoch}".encode()).hexdigest()[:32]


def utc_text(moment: datetime) -> str:
    """Moment as ISO 8601 text in UTC with milliseconds, which sorts as time does."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_due(due_at: str, wait: float, now: datetime) -> bool:
    """Whether something that was to wait some seconds is due.

    A moment much further away than the whole wait was written by a clock that runs ahead: nobody
    knows how long it still has to wait, and waiting for that clock could take hours. Small
    differences between clocks are put up with: up to twice the wait.
    """
    return not utc_text(now) < due_at <= utc_text(now + 2 * timedelta(seconds=wait))


def utc_now() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Landing:
    """An object as a notification, a listing or HEAD shows it.

    ``event`` is the notification's record as JSON; ``None`` for a listing and HEAD.
    """

    bucket: str
    key: str
    etag: str
    size: int
    landed_at: datetime
    dataset: str
    file_date: date
    event: str | None = None

    @property
    def file_id(self) -> str:
        """Id of the file at this key."""
        return file_id(self.bucket, self.key)


@dataclass(frozen=True)
class Fault:
    """An error as the ledger keeps it."""

    kind: str
    message: str
    at: str
    stage: str | None = None
    stack: str | None = None

    @classmethod
    def of(cls, error: LandfallError, at: datetime, stage: str | None = None) -> "Fault":
        """An error at a moment, cut to ``MESSAGE_LIMIT``; of its stack the innermost part."""
        stack = "".join(traceback.format_exception(error))[-STACK_LIMIT:]
        return cls(error.kind, str(error)[:MESSAGE_LIMIT], utc_text(at), stage, stack)


@dataclass(frozen=True)
class Step:
    """One entry of a file's history."""

    at: str
    state: str
    epoch: int
    attempt: int
    run_id: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class FileHead:
    """What the ledger knows of the file at one key.

    ``turn`` counts how often the head was replaced: attempts do not tell two heads apart when a
    fault counted as none.
    """

    file_id: str
    bucket: str
    key: str
    dataset: str
    etag: str
    size: int
    landed_at: str
    file_date: str
    epoch: int
    attempts: int
    state: FileState
    due_at: str
    wait: float = 0.0
    alone: bool = False
    loaded_epoch: int = 0
    dates: tuple[str, ...] = ()
    former_dates: tuple[str, ...] = ()
    records: int = 0
    malformed: int = 0
    run_id: str | None = None
    error: Fault | None = None
    event: str | None = None
    turn: int = 0
    history: tuple[Step, ...] = ()


@dataclass(frozen=True)
class PendingFile:
    """A file that is not finished: what planning needs to know of it."""

    file_id: str
    dataset: str
    epoch: int
    attempts: int
    file_date: str
    landed_at: str
    due_at: str
    wait: float = 0.0
    alone: bool = False


@dataclass(frozen=True)
class RequestedFile:
    """A file in a run request, with the epoch and the attempts it had when it was planned."""

    file_id: str
    epoch: int
    attempts: int


@dataclass(frozen=True)
class PlannedRun:
    """A run that planning wants: which files and dates travel together."""

    dataset: str
    kind: RequestKind
    first_date: str
    last_date: str
    files: tuple[RequestedFile, ...] = ()
    versions: tuple[tuple[str, int], ...] = ()

    @property
    def content(self) -> str:
        """Short hash of everything that makes this run differ from another."""
        parts = [self.kind, self.dataset, self.first_date, self.last_date]
        parts += [f"{f.file_id}:{f.epoch}:{f.attempts}" for f in self.files]
        parts += [f"{day}:{version}" for day, version in self.versions]
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class RunRequest:
    """A planned run that stands in the ledger until its run has ended.

    ``request_id`` is also the run key: it names the content of the request (files, epochs,
    attempts, versions) and the plan that made it, so a repeated tick asks for the same run and a
    later attempt for another one.
    """

    request_id: str
    run: PlannedRun
    state: RequestState
    run_id: str | None = None
    created_at: str = ""

    @property
    def dates(self) -> tuple[str, str]:
        """First and last date, both included."""
        return self.run.first_date, self.run.last_date

    def covers(self, day: str) -> bool:
        """Whether the request's range of dates holds the day."""
        return self.run.first_date <= day <= self.run.last_date


@dataclass(frozen=True)
class Fragment:
    """A file's rows for one event date, as the manifest of that date knows it."""

    file_id: str
    epoch: int
    event_date: str
    landing_key: str
    fragment_key: str
    rows: int
    malformed: int


@dataclass(frozen=True)
class LoadedFile:
    """The outcome of reading one file: its fragments, written, and its records, counted."""

    fragments: tuple[Fragment, ...]
    records: int
    malformed: int


@dataclass(frozen=True)
class DateCounts:
    """The account of an event date: ``bronze = silver + quarantined + duplicates``."""

    bronze: int = 0
    silver: int = 0
    quarantined: int = 0
    duplicates: int = 0


@dataclass(frozen=True)
class DateHead:
    """What the ledger knows of one event date of a dataset."""

    dataset: str
    event_date: str
    version: int
    clean_version: int | None = None
    lease_run: str | None = None
    leased_version: int = 0
    leased_at: str | None = None
    taken_over: bool = False
    refreshed_at: str | None = None
    refresh_seconds: float = 0.0
    counts: DateCounts = field(default_factory=DateCounts)

    @property
    def dirty(self) -> bool:
        """Whether the tables of the date are behind its fragments."""
        return self.version != self.clean_version


@dataclass(frozen=True)
class DirtyDate:
    """An event date that waits for its refresh, or is held.

    ``since`` is when it became dirty, or when a file turned it after it was held.
    """

    dataset: str
    event_date: str
    version: int
    due_at: str
    wait: float = 0.0
    attempts: int = 0
    alone: bool = False
    held: Fault | None = None
    fingerprint: str | None = None
    since: str | None = None


@dataclass(frozen=True)
class DeadFile:
    """A file that nothing tries again by itself."""

    file_id: str
    dataset: str
    epoch: int
    key: str
    attempts: int
    error: Fault


@dataclass(frozen=True)
class UnreportedFile:
    """A file that died and whose dead letter was not sent yet."""

    file_id: str
    epoch: int
