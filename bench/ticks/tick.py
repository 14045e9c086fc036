"""``tick``: what a landing tick costs in a large bucket, against a small one.

Compared is the processor time of our own process: what AWS takes to answer is another's. That the
tick asks AWS for the same is a condition.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from dagster_aws.s3.sensor import get_objects

from bench.measure import Bench, Condition, Measured, Turn, at_most
from bench.stage import single_files
from bench.ticks.landed_bucket import loaded, serving
from resources.landfall import Landfall
from resources.ledger.model import RunRequest, file_id
from resources.ledger.runs import Observer
from sensors import landing

DATASET = "events"
DATES = 10
READ = ("Items", "Item", "Messages", "Contents")


@dataclass(frozen=True)
class Tick:
    """What a tick cost.

    Attributes:
        own_seconds: processor time of this process.
        seconds: from its begin to its end.
        calls: AWS calls by operation.
        items: items, messages and objects in their answers.
    """

    own_seconds: float
    seconds: float
    calls: Counter[str]
    items: int


Pairs: TypeAlias = Sequence[tuple[Tick, Tick]]
"""Ticks in the large and the small bucket, turn by turn."""


class Observed:
    """Counts the calls of this process's clients and what is read by them."""

    def __init__(self, landfall: Landfall) -> None:
        self.calls: Counter[str] = Counter()
        self.items = 0
        for client in (landfall.aws.s3, landfall.aws.sqs, landfall.aws.dynamodb, landfall.aws.sns):
            client.meta.events.register("after-call.*.*", self._count)

    def clear(self) -> None:
        """Count from here on."""
        self.calls.clear()
        self.items = 0

    def _count(self, event_name: str, parsed: dict[str, Any], **_: object) -> None:
        self.calls[event_name.partition(".")[2]] += 1
        found = [parsed[name] for name in READ if name in parsed]
        found += parsed.get("Responses", {}).values()
        self.items += sum(1 if isinstance(each, dict) else len(each) for each in found)


def measure(bench: Bench) -> Measured:
    """Ticks in both buckets in turns; what a tick found is deleted before the next."""
    sizes = bench.sizes
    data = loaded(bench.folder / "tick-loaded", DATES)
    with (
        serving(data, sizes.tick_large, bench.folder / "tick-large") as large_bucket,
        serving(data, sizes.tick_small, bench.folder / "tick-small") as small_bucket,
    ):
        ticking, other = Ticking(large_bucket), Ticking(small_bucket)
        pairs = [
            (ticking.tick(turn, sizes.tick_new), other.tick(turn, sizes.tick_new))
            for turn in range(sizes.turns)
        ]
        listing = _listing(large_bucket, sizes.tick_large)
    return Measured(
        turns=tuple(Turn(large.own_seconds, small.own_seconds) for large, small in pairs),
        sizes={
            "objects": sizes.tick_large,
            "objects of the small bucket": sizes.tick_small,
            "new objects": sizes.tick_new,
        },
        conditions=_equal(pairs),
        facts=_facts(pairs) | listing,
    )


class Ticking:
    """Landing ticks of one pipeline, each with new objects."""

    def __init__(self, landfall: Landfall) -> None:
        self._landfall = landfall
        self._counted = Observed(landfall)
        self._observer = Observer()
        landing.tick(landfall, self._observer)  # makes the connections

    def tick(self, turn: int, new: int) -> Tick:
        """A tick that finds so many new objects, which are deleted afterwards.

        Raises:
            AssertionError: it does not register and request all of them, or others.
        """
        keys = _land(self._landfall, turn, new)
        self._counted.clear()
        begin, own_begin = time.perf_counter(), time.process_time()
        requests = landing.tick(self._landfall, self._observer)
        own_seconds, seconds = time.process_time() - own_begin, time.perf_counter() - begin
        done = Tick(own_seconds, seconds, Counter(self._counted.calls), self._counted.items)
        _assert_requested(self._landfall, requests, keys)
        self._undo(requests, keys)
        return done

    def _undo(self, requests: Iterable[RunRequest], keys: Iterable[str]) -> None:
        for request in requests:
            self._landfall.ledger.requests.withdraw(request)
        for key in keys:
            self._landfall.aws.s3.delete_object(Bucket=self._landfall.bucket.name, Key=key)
        left = landing.tick(self._landfall, self._observer)
        if left or self._landfall.ledger.files.pending(DATASET):
            raise AssertionError("files that were deleted are still pending")


def _assert_requested(
    landfall: Landfall, requests: Iterable[RunRequest], keys: Iterable[str]
) -> None:
    """All new files are registered, pending and requested, and nothing else is.

    Raises:
        AssertionError: they are not.
    """
    requested = sorted(file.file_id for request in requests for file in request.run.files)
    pending = sorted(each.file_id for each in landfall.ledger.files.pending(DATASET))
    wanted = sorted(file_id(landfall.bucket.name, key) for key in keys)
    if not requested == pending == wanted or any(landfall.queue.depth()):
        raise AssertionError(f"{len(requested)} files are requested of {len(wanted)} that landed")


def _land(landfall: Landfall, turn: int, new: int) -> list[str]:
    """Put new objects over some dates; their notifications lie in the queue then."""
    days = single_files.dates(DATES)
    keys = [f"events/dt={days[each % DATES]}/new-{turn}-{each:05}.jsonl" for each in range(new)]
    for key in keys:
        landfall.aws.s3.put_object(Bucket=landfall.bucket.name, Key=key, Body=key.encode())
    return keys


def _equal(pairs: Pairs) -> tuple[Condition, ...]:
    operations = max((large.calls - small.calls).total() for large, small in pairs)
    items = max(large.items - small.items for large, small in pairs)
    return (
        Condition("AWS calls beyond those in the small bucket", operations, at_most(0)),
        Condition("items read beyond those in the small bucket", items, at_most(0)),
    )


def _facts(pairs: Pairs) -> dict[str, float]:
    large, small = pairs[-1]
    return {
        "AWS calls of a tick": large.calls.total(),
        "items read by a tick": large.items,
        "tick with the local AWS, s": large.seconds,
        "tick in the small bucket with the local AWS, s": small.seconds,
    }


def _listing(landfall: Landfall, objects: int) -> dict[str, float]:
    """What Dagster's own way of finding new objects costs.

    Raises:
        AssertionError: it did not list all objects.
    """
    counted = Observed(landfall)
    begin, own_begin = time.perf_counter(), time.process_time()
    found = get_objects(landfall.bucket.name, prefix=f"{DATASET}/", client=landfall.aws.s3)
    own_seconds, seconds = time.process_time() - own_begin, time.perf_counter() - begin
    if len(found) != objects:
        raise AssertionError(f"{len(found)} of {objects} objects are listed")
    return {
        "`dagster_aws.s3.sensor.get_objects` in the large bucket, own s": own_seconds,
        "the same with the local AWS, s": seconds,
        "AWS calls of it": counted.calls.total(),
    }
