"""Which trials there are, and their running: in lanes, resumable, each kept as a line of JSON."""

import hashlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from fault_calls import is_write
from fault_crashes import CRASHES
from fault_lane import Lanes
from fault_oracle import Calls, Oracle
from fault_overwrites import ORDERS, Overwriting, overwrite
from fault_processes import HERE, PROJECT
from fault_rivals import RIVALS
from fault_scenario import DAY, FRESH, OVERWRITTEN, SOUND
from fault_trials import Kind, Outcome, Run, Trial
from fault_weather import WEATHER

RUNNERS: Mapping[Kind, Callable[[Run], Outcome]] = {
    **CRASHES,
    **WEATHER,
    **RIVALS,
    Kind.OVERWRITE: overwrite,
}
SEEDED = {
    Kind.NOTIFICATIONS: 30,
    Kind.THROTTLING: 55,
    Kind.CUT: 55,
    Kind.CLOCKS: 20,
    Kind.RACE: 30,
}
"""Trials of the kinds that go by a seed alone."""
RESTARTS = 50
OVERWRITES = 96
MEMORY_TRIALS = 12
REAL_TRIALS = 1
"""Trials of every kind that are done once more with real processes."""
JUDGED = ("pipeline_assets/**/*.py", "resources/**/*.py", "sensors/**/*.py")
JUDGES = ("fault_[!rn]*.py", "fault_rivals.py", "hook/*.py")


def plan(calls: Calls, seed: int) -> list[Trial]:
    """Every trial of a whole campaign; the same for the same calls and seed."""
    every = [*calls.common, *calls.differing]
    trials = [Trial(kind, call) for kind in (Kind.KILL_BEFORE, Kind.KILL_AFTER) for call in every]
    trials += [Trial(Kind.STOPPED, call) for call in every if is_write(call)]
    for kind, number in SEEDED.items():
        trials += [Trial(kind, seed=seed + each) for each in range(number)]
    trials += [
        Trial(Kind.RESTART, call, seed=number % 2 + 1)
        for number, call in enumerate(_spread(calls.common, RESTARTS))
    ]
    trials += list(_overwrites(calls, seed))
    trials += [
        Trial(Kind.MEMORY, SOUND[each % len(SOUND)], seed=seed + each // len(SOUND))
        for each in range(MEMORY_TRIALS)
    ]
    return trials + list(_real(trials, seed))


def _spread(calls: Sequence[str], number: int) -> list[str]:
    """So many of the calls, from the first to the last."""
    number = min(number, len(calls))
    return [calls[each * len(calls) // number] for each in range(number)]


def _overwrites(calls: Calls, seed: int) -> Iterator[Trial]:
    """Each call up to the end of the first ingest, with keys and orders taken in turn."""
    last = max(n for n, call in enumerate(calls.common) if f"date={DAY}" in call)
    ingest = calls.common[: last + 1]
    ways = [(key, *order) for order in ORDERS for key in (FRESH, OVERWRITTEN)]
    for number in range(OVERWRITES):
        again, place = divmod(number, len(ingest))
        way = ways[(number + seed + again * len(ORDERS)) % len(ways)]
        yield Trial(Kind.OVERWRITE, f"{Overwriting(*way)} @ {ingest[place]}")


def _real(trials: Sequence[Trial], seed: int) -> Iterator[Trial]:
    lot = random.Random(seed)  # noqa: S311 - repeatable, no secret
    for kind in Kind:
        own = [trial for trial in trials if trial.kind is kind]
        yield from (replace(trial, real=True) for trial in lot.sample(own, REAL_TRIALS))


def fingerprint() -> str:
    """Short hash of the code under test and of what decides on the trials."""
    digest = hashlib.sha256()
    judged = [path for pattern in JUDGED for path in PROJECT.glob(pattern)]
    judges = [path for pattern in JUDGES for path in HERE.glob(pattern)]
    for path in sorted([*judged, *judges]):
        digest.update(str(path.relative_to(PROJECT)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@dataclass
class Results:
    """Outcomes in a file, a line each, by the fingerprint that they were found with."""

    path: Path
    fingerprint: str

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def read(self) -> dict[str, dict[str, Any]]:
        """Outcomes by trial id; the last one where a trial was repeated."""
        if not self.path.exists():
            return {}
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        return {each["id"]: each for each in lines if each["fingerprint"] == self.fingerprint}

    def add(self, facts: dict[str, Any]) -> None:
        """Append one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, self.path.open("a") as file:
            file.write(json.dumps({**facts, "fingerprint": self.fingerprint}) + "\n")


def run_trial(trial: Trial, lanes: Lanes, oracle: Oracle, *, keep: Path | None = None) -> Outcome:
    """Run one trial in a place of its own; its folder goes to ``keep``, or away."""
    begin = time.monotonic()
    with lanes.place(trial.kind.value, keep=keep) as place:
        place.real = trial.real
        outcome = RUNNERS[trial.kind](Run(trial, place, oracle.content))
    cpu = sum(process.cpu for process in place.everything())
    return replace(outcome, seconds=time.monotonic() - begin, cpu=cpu)


@dataclass
class Campaign:
    """Runs trials in lanes side by side until none is left or time is up."""

    lanes: Lanes
    oracle: Oracle
    tell: Callable[[Outcome], None]
    deadline: float

    def run(self, trials: Sequence[Trial], lanes: int) -> None:
        """Run them all; what a lane's own fault raises ends the campaign."""
        todo: Queue[Trial] = Queue()
        for trial in trials:
            todo.put(trial)
        faults: list[Exception] = []
        workers = [
            threading.Thread(target=self._run_lane, args=(todo, faults)) for _ in range(lanes)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if faults:
            raise faults[0]

    def _run_lane(self, todo: "Queue[Trial]", faults: list[Exception]) -> None:
        while not faults and time.monotonic() < self.deadline:
            try:
                trial = todo.get_nowait()
            except Empty:
                return
            try:
                self.tell(run_trial(trial, self.lanes, self.oracle))
            except Exception as fault:  # noqa: BLE001 - told by the thread that joins this one
                fault.add_note(f"in trial {trial.id!r}")
                faults.append(fault)
