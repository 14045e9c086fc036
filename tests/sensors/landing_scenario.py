"""A landing zone in moto, as a producer and a run see it."""

import time
from collections.abc import Callable

from resources.landfall import Landfall
from resources.ledger.model import (
    FileHead,
    LoadedFile,
    RunRequest,
    file_id,
)
from resources.ledger.runs import Observer
from sensors import landing

DAY = "2025-03-01"
KEY = f"events/dt={DAY}/a.csv"
RUN = "run-1"
PATIENCE_SECONDS = 20.0


class Clock:
    """A clock that stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def put(landfall: Landfall, key: str = KEY, body: bytes = b"a,b\n1,2\n") -> None:
    landfall.aws.s3.put_object(Bucket=landfall.bucket.name, Key=key, Body=body)


def remove(landfall: Landfall, key: str = KEY) -> None:
    landfall.aws.s3.delete_object(Bucket=landfall.bucket.name, Key=key)


def tick(landfall: Landfall, observer: Observer | None = None) -> list[RunRequest]:
    return landing.tick(landfall, observer or Observer())


def head(landfall: Landfall, key: str = KEY) -> FileHead:
    found = landfall.ledger.files.head(file_id(landfall.bucket.name, key))
    assert found is not None, f"nobody knows {key}"
    return found


def standing(landfall: Landfall) -> tuple[RunRequest, ...]:
    return landfall.ledger.requests.open("events").requests


def claimed(landfall: Landfall, request: RunRequest) -> RunRequest:
    landfall.ledger.runs.beat(RUN)
    found = landfall.ledger.requests.claim("events", request.request_id, RUN)
    assert found is not None
    return found


def loaded(landfall: Landfall, request: RunRequest) -> None:
    """Let a run load the request's files, without rows, and end."""
    claims = landfall.ledger.files.claim(claimed(landfall, request).run.files, "events")
    landfall.ledger.files.finish([(each, LoadedFile((), 0, 0)) for each in claims], RUN)
    landfall.ledger.requests.close("events", request.request_id, RUN)


def eventually(landfall: Landfall, seen: Callable[[list[RunRequest]], bool]) -> list[RunRequest]:
    """Tick until it is seen; a wait after a failure is a few hundredths of a second here."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        waiting = tick(landfall)
        if seen(waiting):
            return waiting
        assert time.monotonic() < deadline, "it never happened"
