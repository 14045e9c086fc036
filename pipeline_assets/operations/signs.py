"""Signs of how the pipeline does: a few numbers, for the watchdog to judge.

No scan: reading them costs as much as there is unfinished, dead and dirty.

Ages are differences of clocks: the watcher's against that of whoever wrote the moment (S3 for a
file, a worker for a date, whoever ran the sensor for a tick). With a watcher whose clock is ahead,
everything is told that much too early, with one behind that much too late; nothing is younger than
zero seconds. So limits belong well above what two clocks may be apart, or the watcher on a machine
that keeps its time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline_assets.operations.dead_letters import landing_dead_letter_depth
from pipeline_assets.registry import datasets
from resources.landfall import Landfall
from resources.ledger.model import NO_DATASET, FileHead, FileState, PendingFile, utc_text
from resources.ledger.ticks import LANDING, RECONCILE

HEADS_PER_LOOK = 100


@dataclass(frozen=True)
class Waiting:
    """The file or date that has waited longest, and for how many seconds."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Signs:
    """How the pipeline does.

    ``pending`` and ``dirty`` are the oldest of each, ``tick_seconds`` is the age of the last
    landing tick and ``reconcile_seconds`` that of the last reconcile tick which walked (``None`` if
    none ever ended), ``held`` names dates, ``notifications`` counts those that were not settled.
    """

    pending: Waiting | None
    dirty: Waiting | None
    tick_seconds: float | None
    reconcile_seconds: float | None
    dead: int
    held: tuple[str, ...]
    notifications: int


def read(landfall: Landfall, now: datetime) -> Signs:
    """Collect the signs."""
    ledger = landfall.ledger
    names = [each.name for each in datasets()]
    dirty = [each for name in names for each in ledger.dates.dirty(name)]
    return Signs(
        pending=_longest_pending(landfall, names, now),
        dirty=_longest(
            (f"{each.dataset} {each.event_date}", each.since or each.due_at, now)
            for each in dirty
            if not each.held
        ),
        tick_seconds=_since_tick(landfall, LANDING, now),
        reconcile_seconds=_since_tick(landfall, RECONCILE, now),
        dead=sum(len(ledger.files.dead(name)) for name in (*names, NO_DATASET)),
        held=tuple(f"{each.dataset} {each.event_date}" for each in dirty if each.held),
        notifications=landing_dead_letter_depth(landfall) or 0,
    )


def _since_tick(landfall: Landfall, name: str, now: datetime) -> float | None:
    ended = landfall.ledger.ticks.last(name)
    return _age(utc_text(ended), now) if ended else None


def _longest_pending(landfall: Landfall, names: Sequence[str], now: datetime) -> Waiting | None:
    """The file that has waited longest.

    An old file that was put back a moment ago has not waited since it landed. Only its head knows,
    so the heads of those that may be over the limit are read, the oldest first, until one is.
    """
    limit = landfall.settings.watch_pending_seconds
    pending = [each for name in names for each in landfall.ledger.files.pending(name)]
    old = sorted(
        (each for each in pending if _age(each.landed_at, now) > limit),
        key=lambda each: each.landed_at,
    )
    for start in range(0, len(old), HEADS_PER_LOOK):
        longest = _of_heads(landfall, old[start : start + HEADS_PER_LOOK], now)
        if longest is not None and longest.seconds > limit:
            return longest
    young = (each for each in pending if _age(each.landed_at, now) <= limit)
    return _longest((each.file_id, each.landed_at, now) for each in young)


def _of_heads(landfall: Landfall, files: Sequence[PendingFile], now: datetime) -> Waiting | None:
    heads = landfall.ledger.files.heads(each.file_id for each in files).values()
    return _longest((head.key, _since(head), now) for head in heads)


def _since(head: FileHead) -> str:
    """Since when the file's epoch waits: its history forgets this after many attempts."""
    steps = (
        step.at
        for step in head.history
        if step.epoch == head.epoch and step.state == FileState.LANDED
    )
    return next(steps, head.landed_at)


def _longest(waiting: Iterable[tuple[str, str, datetime]]) -> Waiting | None:
    found = (Waiting(name, _age(since, now)) for name, since, now in waiting)
    return max(found, key=lambda each: each.seconds, default=None)


def _age(since: str, now: datetime) -> float:
    return max(0.0, (now - datetime.fromisoformat(since)).total_seconds())
