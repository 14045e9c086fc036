"""The reconcile sensor: when a walk through the landing bucket is due, and how far a tick goes.

What a walk does is ``pipeline_assets/operations/reconcile.py``. A tick costs as much as the slices
that it walks, however much is stored.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from pipeline_assets.operations.reconcile import walk_on
from resources.landfall import Landfall
from resources.ledger.listing import Walk
from resources.ledger.model import utc_now
from resources.ledger.ticks import RECONCILE
from resources.settings import Settings

REST_WITHOUT_QUEUE_SECONDS = 5.0
"""A worker that found nothing new lists a bucket without a queue again after so long."""


def wait(walk: Walk, settings: Settings, now: datetime) -> timedelta:
    """How long it is until there is something to walk; zero when there is.

    A walk that began later than now was begun by a clock that runs ahead: nobody waits for it.
    """
    if walk.is_under_way or walk.number == 0 or not settings.landing_queue:
        return timedelta(0)
    interval = timedelta(seconds=settings.reconcile_seconds)
    left = datetime.fromisoformat(walk.began_at) + interval - now
    return left if timedelta(0) < left <= interval else timedelta(0)


def tick(landfall: Landfall) -> Walk:
    """Walk on for as long as a tick may take, a slice at least; begin the next walk when it is due.

    Returns:
        The walk as it stands then. Where another walker was faster, the tick is over.
    """
    deadline = time.monotonic() + landfall.settings.max_tick_seconds
    walk = landfall.ledger.listing.walk()
    if wait(walk, landfall.settings, utc_now()):
        return walk
    on = walk if walk.is_under_way else landfall.ledger.listing.begin(walk)
    while on and on.is_under_way:
        on = walk_on(landfall, on, deadline)
        if time.monotonic() > deadline:
            break
    landfall.ledger.ticks.note(RECONCILE)
    return on or landfall.ledger.listing.walk()


class Walker:
    """Walks for one that works on its own: asks the ledger only when a walk may be due."""

    def __init__(self, landfall: Landfall, finished: Callable[[], object]) -> None:
        self._landfall = landfall
        self._finished = finished
        self._rests_until = 0.0
        self._late_from = self._later()
        self._former: int | None = None

    def is_done(self) -> bool:
        """Whether no walk is due, or a whole one began and ended since nothing is left to do."""
        walk = self._due()
        if walk is None:
            return True
        if self._former is None:
            self._former = walk.number
        return walk.last_finished > self._former

    def walk(self, *, busy: bool) -> bool:
        """Walk on if a walk is due.

        Args:
            busy: something else was done. Then a walk waits, but not for ever; and without a queue
                whatever was walked before says nothing now.

        Returns:
            Whether there is more of the walk.
        """
        if busy:
            self._former = None
            self._rests_until *= self._landfall.queue.exists
        if busy and time.monotonic() < self._late_from:
            return False
        before = self._due()
        if before is None:
            return False
        after = tick(self._landfall)
        if after.is_under_way:
            return True
        self._rest(after)
        if after.last_finished != before.last_finished:
            self._finished()
        return False

    def _due(self) -> Walk | None:
        """The present walk, if there is something to walk."""
        if time.monotonic() < self._rests_until:
            return None
        walk = self._landfall.ledger.listing.walk()
        left = wait(walk, self._landfall.settings, utc_now()).total_seconds()
        self._rests_until = time.monotonic() + left
        return None if left else walk

    def _rest(self, walk: Walk) -> None:
        left = wait(walk, self._landfall.settings, utc_now()).total_seconds()
        if not self._landfall.queue.exists:
            left = REST_WITHOUT_QUEUE_SECONDS
        self._rests_until = time.monotonic() + left
        self._late_from = self._later()

    def _later(self) -> float:
        return time.monotonic() + self._landfall.settings.reconcile_seconds
