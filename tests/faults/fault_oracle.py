"""What undisturbed runs come to: references that trials are held to, and the calls they make."""

import threading
from dataclasses import dataclass, field

from fault_lane import WORK_SECONDS, Lanes, Place, land
from fault_processes import HarnessError
from fault_scenario import FIRST, OTHER_BYTES, UNFINISHED
from fault_tables import Content, read_content
from fault_trials import is_idle

RECORDINGS = 2


@dataclass(frozen=True)
class Calls:
    """Calls of an undisturbed run: those of every recording, and those of some only."""

    common: tuple[str, ...]
    differing: tuple[str, ...]


@dataclass
class Oracle:
    """References by variant, each worked out when it is first asked for."""

    lanes: Lanes
    _known: dict[str, Content] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def content(self, variant: str) -> Content:
        """What an undisturbed run leaves of a variant's files.

        Variants: ``""`` the scenario itself; ``B key`` with other bytes at the key; ``first key``
        with its first bytes; ``without key`` with nothing there.
        """
        with self._lock:
            if variant not in self._known:
                with self.lanes.place("reference") as place:
                    _change(place, variant)
                    self._known[variant] = _undisturbed(place)
            return self._known[variant]

    def record(self, recordings: int = RECORDINGS) -> Calls:
        """Record undisturbed runs, one worker after the other.

        Raises:
            HarnessError: two of them left different contents.
        """
        recorded = []
        for _ in range(recordings):
            with self.lanes.place("recording") as place:
                place.plan(record=True)
                content = _undisturbed(place)
                if self._known.setdefault("", content) != content:
                    raise HarnessError("two undisturbed runs left different contents")
                recorded.append([line.partition(" ")[2] for line in place.lines("calls")])
        common = set(recorded[0]).intersection(*recorded)
        return Calls(
            tuple(call for call in recorded[0] if call in common),
            tuple(sorted(set().union(*recorded) - common)),
        )


def _change(place: Place, variant: str) -> None:
    what, _, key = variant.partition(" ")
    if what == "B":
        land(place, {key: OTHER_BYTES[key]})
    if what == "first":
        land(place, {key: FIRST[key]})
    if what == "without":
        place.landfall.aws.s3.delete_object(Bucket=place.landfall.bucket.name, Key=key)


def _undisturbed(place: Place) -> Content:
    worker = place.work()
    code = worker.wait(WORK_SECONDS)
    if not is_idle(worker):
        ended = "is not done" if code is None else f"ended with {code}"
        raise HarnessError(f"an undisturbed run {ended}: {worker.output.read_text()}")
    content = read_content(place.landfall)
    if content.unfinished != UNFINISHED:
        raise HarnessError(f"an undisturbed run is not finished: {content.unfinished}")
    if content.letters != content.letters_due:
        raise HarnessError(f"an undisturbed run sent the dead letters {set(content.letters)}")
    return content
