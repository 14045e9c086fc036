"""What the sensors' tests share: pending files, requests and dirty dates, as plain values."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pipeline_assets.registry import dataset
from resources.ledger.model import (
    DirtyDate,
    Fault,
    PendingFile,
    PlannedRun,
    RequestedFile,
    RequestKind,
    RequestState,
    RunRequest,
    file_id,
    utc_text,
)
from sensors.landing import Limits

EVENTS = dataset("events")
NOW = datetime(2025, 3, 20, 12, tzinfo=UTC)
LIMITS = Limits(max_files_per_run=10, max_dates_per_run=5, quiet_runs_per_tick=2)
STRICT = Limits(max_files_per_run=1, max_dates_per_run=5, quiet_runs_per_tick=2)


def march(number: int) -> str:
    """A day of March 2025."""
    return f"2025-03-{number:02d}"


def pending(
    day: str, name: str = "a", *, after: int = 0, alone: bool = False, due_in: float = 0.0
) -> PendingFile:
    """A file that landed some minutes ``after`` the first, due in so many seconds."""
    return PendingFile(
        file_id=file_id("landing", f"events/dt={day}/{name}"),
        dataset="events",
        epoch=1,
        attempts=0,
        file_date=day,
        landed_at=utc_text(NOW - timedelta(days=1) + timedelta(minutes=after)),
        due_at=utc_text(NOW + timedelta(seconds=due_in)),
        wait=max(0.0, due_in),
        alone=alone,
    )


def of(*files: PendingFile) -> tuple[RequestedFile, ...]:
    """Files as a request carries them."""
    return tuple(RequestedFile(each.file_id, each.epoch, each.attempts) for each in files)


def request(
    first: str,
    last: str | None = None,
    *,
    files: Sequence[PendingFile] = (),
    kind: RequestKind = RequestKind.INGEST,
) -> RunRequest:
    """A standing request."""
    run = PlannedRun("events", kind, first, last or first, of(*files))
    return RunRequest("request", run, RequestState.LOADING, run_id="run")


def dirty(
    day: str, *, due_in: float = 0.0, alone: bool = False, held_by: str | None = None
) -> DirtyDate:
    """A dirty date, held by a contract of that fingerprint if one is given."""
    fault = Fault("DateRefusedError", "12 of 20 rows are invalid", utc_text(NOW))
    return DirtyDate(
        dataset="events",
        event_date=day,
        version=3,
        due_at=utc_text(NOW + timedelta(seconds=due_in)),
        wait=max(0.0, due_in),
        alone=alone,
        held=fault if held_by else None,
        fingerprint=held_by,
    )


def spans(runs: Sequence[PlannedRun]) -> list[tuple[str, str]]:
    """First and last date of each run."""
    return [(run.first_date, run.last_date) for run in runs]
