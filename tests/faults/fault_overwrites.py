"""Producers who overwrite or delete a key while it is being loaded."""

from dataclasses import dataclass

from fault_lane import WORK_SECONDS, Place
from fault_processes import await_until
from fault_scenario import FIRST, OTHER_BYTES, THEN, etag
from fault_tables import read_content
from fault_trials import Outcome, Run
from fault_weather import PAUSE_SECONDS, send_messages, take_messages


@dataclass(frozen=True)
class Overwriting:
    """What happens to a key, in this order: ``B`` other bytes, ``A`` the former, ``-`` deleted."""

    key: str
    steps: str
    reversed_events: bool = False

    @classmethod
    def of(cls, text: str) -> "Overwriting":
        """Read what ``str`` wrote."""
        key, steps, *backwards = text.split(" ")
        return cls(key, steps, bool(backwards))

    def __str__(self) -> str:
        return f"{self.key} {self.steps}" + (" backwards" if self.reversed_events else "")

    def happen(self, place: Place) -> None:
        """Change the key, then put the events of it into the queue in the order that is wanted."""
        s3, bucket = place.landfall.aws.s3, place.landfall.bucket.name
        standing = take_messages(place)
        for step in self.steps:
            if step == "-":
                s3.delete_object(Bucket=bucket, Key=self.key)
            else:
                content = (OTHER_BYTES if step == "B" else THEN)[self.key]
                s3.put_object(Bucket=bucket, Key=self.key, Body=content)
        events = standing + take_messages(place)
        send_messages(place, events[::-1] if self.reversed_events else events)


ORDERS = (
    ("B", False),
    ("BA", False),
    ("BA", True),
    ("-", False),
    ("B-", False),
    ("B-", True),
    ("-B", False),
    ("-B", True),
)
"""Every order of bytes and events that ends in B, in A, or in nothing."""


def overwrite(run: Run) -> Outcome:
    """A key is overwritten or deleted while a worker stands at one of its calls."""
    what, _, call = run.trial.at.partition(" @ ")
    overwriting, place = Overwriting.of(what), run.place
    place.plan(action="pause", at=call)
    worker = place.work()
    await_until(lambda: bool(place.lines("faults")) or worker.ended.is_set(), PAUSE_SECONDS)
    overwriting.happen(place)
    (place.folder / "go").touch()
    run.note_fault()
    worker.wait(WORK_SECONDS)
    run.work_until_idle()
    run.lenient = overwriting.key if overwriting.steps.endswith("-") else ""
    run.variant = _variant(place, overwriting)
    return run.judge()


def _variant(place: Place, overwriting: Overwriting) -> str:
    """The files whose undisturbed tables must stand: by the bytes that are there in the end.

    Of a key that holds nothing any more, rows that were loaded before stay: whatever the manifest
    says was loaded is what the tables must show.
    """
    key, last = overwriting.key, overwriting.steps[-1]
    if last in "AB":
        return "" if last == "A" else f"B {key}"
    found = read_content(place.landfall).files.get(key)
    contents = {f"B {key}": OTHER_BYTES[key], "": THEN[key], f"first {key}": FIRST.get(key)}
    for variant, content in contents.items():
        if content is not None and found is not None and found.loaded_etag == etag(content):
            return variant
    return f"without {key}"
