"""Heartbeats of runs, and who may judge them.

A run counts up a number while it works. Nobody compares clocks: an observer takes a run for dead
when the number it sees has not changed for a whole lease of its own clock.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from botocore.exceptions import BotoCoreError, ClientError

from pipeline_assets.errors import LandfallError
from resources.ledger.model import utc_now, utc_text
from resources.ledger.table import Change, LedgerTable
from resources.settings import Settings

BEATS_PER_LEASE = 4
KEPT_FOR = timedelta(days=7)
"""How long a run that never ended its heartbeat stays in the table, by DynamoDB's time to live."""


@dataclass(frozen=True)
class Sighting:
    """A heartbeat as an observer saw it first, in seconds of the observer's own clock."""

    beat: int
    since: float


@dataclass
class Observer:
    """Remembers since when each run's heartbeat stands still."""

    clock: Callable[[], float] = time.time
    seen: dict[str, Sighting] = field(default_factory=dict)

    def is_standing(self, run_id: str, beat: int, seconds: float) -> bool:
        """Note a heartbeat; tell whether it has stood still for so many seconds."""
        now = self.clock()
        before = self.seen.get(run_id)
        if before is None or before.beat != beat:
            self.seen[run_id] = Sighting(beat, now)
            return False
        return now - before.since >= seconds

    def forget_others(self, run_ids: set[str]) -> None:
        """Drop what is remembered of runs that hold nothing any more."""
        self.seen = {run: seen for run, seen in self.seen.items() if run in run_ids}

    def dump(self) -> dict[str, list[float]]:
        """What is remembered, as JSON can hold it."""
        return {run: [seen.beat, seen.since] for run, seen in self.seen.items()}

    def load(self, remembered: Mapping[str, list[float]]) -> None:
        """Take up what ``dump`` gave."""
        self.seen = {run: Sighting(int(beat), since) for run, (beat, since) in remembered.items()}


class Runs:
    """The ledger's runs."""

    def __init__(self, table: LedgerTable, settings: Settings) -> None:
        self._table = table
        self._settings = settings
        self._beating: dict[str, threading.Event] = {}

    def beat(self, run_id: str) -> int:
        """Count the run's heartbeat up by one and return it."""
        now = utc_now()
        forgotten = int((now + KEPT_FOR).timestamp())
        change = Change(set={"beat_at": utc_text(now), "expires_at": forgotten}, add={"beat": 1})
        item = self._table.update(*_run_key(run_id), change=change)
        return int(str(item["beat"]))

    def last_beat(self, run_id: str) -> int:
        """The run's heartbeat; 0 for a run that never had one."""
        item = self._table.get(*_run_key(run_id))
        return int(str(item["beat"])) if item else 0

    def start_beating(self, run_id: str) -> None:
        """Keep the run's heartbeat going until ``stop_beating``; repeatable.

        A beat that fails is left out: if they fail for a whole lease, the run is rightly taken
        for dead, and every write of its own is conditional.
        """
        if run_id in self._beating:
            return
        self.beat(run_id)
        self._beating[run_id] = stop = threading.Event()
        threading.Thread(target=self._keep, args=(run_id, stop), daemon=True).start()

    def stop_beating(self, run_id: str) -> None:
        """Let the run's heartbeat stand; repeatable."""
        stop = self._beating.pop(run_id, None)
        if stop is not None:
            stop.set()

    def _keep(self, run_id: str, stop: threading.Event) -> None:
        while not stop.wait(self._settings.lease_seconds / BEATS_PER_LEASE):
            with suppress(LandfallError, ClientError, BotoCoreError):
                self.beat(run_id)

    def end(self, run_id: str) -> None:
        """Forget a run that holds nothing any more."""
        self._table.delete(*_run_key(run_id))


def _run_key(run_id: str) -> tuple[str, str]:
    return f"run#{run_id}", "head"
