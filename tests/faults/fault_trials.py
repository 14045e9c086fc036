"""What a trial is, and what all kinds of trials share: work until idle, then compare."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from fault_lane import WORK_SECONDS, Place
from fault_processes import HarnessError, Process
from fault_tables import Content, Verdict, compare, read_content

MAX_RESTARTS = 60
RESTART_SECONDS = 0.1


class Kind(StrEnum):
    """The faults."""

    KILL_BEFORE = "kill-before"
    KILL_AFTER = "kill-after"
    STOPPED = "stopped"
    NOTIFICATIONS = "notifications"
    THROTTLING = "throttling"
    CUT = "cut"
    RESTART = "restart"
    CLOCKS = "clocks"
    RACE = "race"
    OVERWRITE = "overwrite"
    MEMORY = "memory"


STORMS = frozenset({Kind.THROTTLING, Kind.CUT, Kind.MEMORY, Kind.KILL_BEFORE, Kind.KILL_AFTER})
"""Kinds whose last fault is the one that was noted last."""


@dataclass(frozen=True)
class Trial:
    """One fault at one place; ``at`` is a call or a variant, whichever the kind goes by."""

    kind: Kind
    at: str = ""
    seed: int = 0
    real: bool = False
    """Whether its workers are `landfall` processes rather than forks."""

    @property
    def id(self) -> str:
        """Names the trial in files and on the command line."""
        parts = [self.kind.value, self.at, f"seed {self.seed}" if self.seed else ""]
        return " | ".join(part for part in [*parts, "real" if self.real else ""] if part)


@dataclass(frozen=True)
class Outcome:
    """What a trial came to; times in seconds."""

    trial: Trial
    verdict: Verdict
    files: int
    records: int
    fired: bool
    recovery: float
    seconds: float = 0.0
    cpu: float = 0.0
    faults: int = 0
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> str:
        """A line of the results' file."""
        return json.dumps(asdict(self) | {"id": self.trial.id})


@dataclass
class Run:
    """A trial under way: its place, and when its last fault was."""

    trial: Trial
    place: Place
    reference: Callable[[str], Content]
    """Content of an undisturbed run over the files of a variant; ``""`` is the scenario's own."""
    variant: str = ""
    fault_at: float = field(default_factory=time.monotonic)
    expected: tuple[str, ...] = ()
    lenient: str = ""

    def note_fault(self) -> None:
        """The last fault is now."""
        self.fault_at = time.monotonic()

    def judge(self, *, fired: bool = False) -> Outcome:
        """Compare what stands with the undisturbed run; ``fired`` if no worker notes the fault."""
        now = time.monotonic()
        faults = self.place.lines("faults")
        if self.trial.kind in STORMS and faults:
            self.fault_at = last_fault(self.place)
        found = read_content(self.place.landfall)
        verdict = compare(
            self.reference(self.variant), found, expected=self.expected, lenient=self.lenient
        )
        return Outcome(
            trial=self.trial,
            verdict=verdict,
            files=len(found.files),
            records=found.records,
            fired=fired or bool(faults),
            recovery=now - self.fault_at,
            faults=len(faults),
        )

    def work_until_idle(self) -> None:
        """Start `landfall work` again and again until one of them says that nothing waits."""
        deadline = time.monotonic() + WORK_SECONDS
        for _ in range(MAX_RESTARTS):
            process = self.place.work()
            if process.wait(WORK_SECONDS + 10) is None:
                process.kill()
            if is_idle(process) or time.monotonic() > deadline:
                return
            time.sleep(RESTART_SECONDS)


def is_idle(process: Process) -> bool:
    """Whether a worker ended of itself and said that nothing waits."""
    text = process.output.read_text() if process.output.exists() else ""
    begin = text.find("{\n")
    if begin < 0:
        return False
    try:
        report = json.loads(text[begin : text.rindex("}") + 1])
    except ValueError:
        return False
    return not report["timed_out"] and not any(report["backlog"].values())


def last_fault(place: Place) -> float:
    """Monotonic time of the workers' last fault."""
    times = [float(line.split()[1]) for line in place.lines("faults")]
    if not times:
        raise HarnessError("no fault happened")
    return max(times)
