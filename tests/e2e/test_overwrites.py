"""Keys that are overwritten or deleted while the pipeline works: the end is what is there."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest
from scenario import DAYS, Pipeline, events, json_lines, open_pipeline

from resources.landfall import Landfall
from resources.ledger.model import FileHead, FileState, file_id
from resources.ledger.runs import Observer
from sensors import landing, notifications

FIRST, SECOND, THIRD, FOURTH, _ = DAYS
DATES = {"A": (FIRST,), "B": (FIRST, SECOND), "C": (THIRD,)}
"""What lies at a key, one after the other, with the dates of its rows."""
HISTORIES = ("AB", "ABA", "ABC")

Order: TypeAlias = tuple[int, ...]
Happening: TypeAlias = tuple[str, Callable[[Mapping[str, Any], "Watched"], bool]]

pytestmark = [pytest.mark.usefixtures("local_aws"), pytest.mark.timeout(600)]


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    monkeypatch.setenv("LANDFALL_QUIET_RUNS_PER_TICK", "1")
    with open_pipeline() as opened:
        yield opened


def key_of(number: int) -> str:
    return f"events/dt={FOURTH}/{number:02}.jsonl"


def content(number: int, letter: str) -> bytes:
    """Bytes of a key: each letter's rows are of their own dates, and no other key has them."""
    first = 1000 * number + 100 * ord(letter)
    records = [each for day in DATES[letter] for each in events(day, range(first, first + 2))]
    return json_lines(records)


def put(pipeline: Pipeline, number: int, letter: str) -> None:
    pipeline.land(key_of(number), content(number, letter))


def remove(pipeline: Pipeline, number: int) -> None:
    bucket = pipeline.landfall.bucket.name
    pipeline.landfall.aws.s3.delete_object(Bucket=bucket, Key=key_of(number))


def head(pipeline: Pipeline, number: int) -> FileHead:
    return pipeline.file(key_of(number))


def assert_silver_holds(pipeline: Pipeline, letters: Mapping[int, str]) -> None:
    """Silver has the rows of these bytes and no other, and nothing waits."""
    lines = [line for key, at in letters.items() for line in content(key, at).splitlines()]
    days = {key.split("event_date=")[1][:10] for key in pipeline.stored("silver/")}
    found = [row["event_id"] for day in days for row in pipeline.silver(day)]
    assert sorted(map(str, found)) == sorted(json.loads(line)["eventId"] for line in lines)
    assert not pipeline.dirty()


def queue_url(landfall: Landfall) -> str:
    name = landfall.settings.landing_queue
    return str(landfall.aws.sqs.get_queue_url(QueueName=name)["QueueUrl"])


def intercepted(landfall: Landfall) -> str:
    """The notification that came just now, taken out of the queue."""
    sqs, url = landfall.aws.sqs, queue_url(landfall)
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return message["Body"]


def histories_in_every_order() -> list[tuple[str, Order]]:
    return [
        (letters, order)
        for letters in HISTORIES
        for order in itertools.permutations(range(len(letters)))
    ]


def deliver(landfall: Landfall, bodies: Sequence[str]) -> None:
    """Let notifications come, and the next tick register what they say."""
    for body in bodies:
        landfall.aws.sqs.send_message(QueueUrl=queue_url(landfall), MessageBody=body)
    notifications.drain(landfall)


@pytest.mark.parametrize("between", ["nothing", "one load", "loads"])
def test_overwrites_end_with_the_bytes_that_are_there_whatever_order_their_notifications_come_in(
    pipeline: Pipeline, between: str
) -> None:
    keys = dict(enumerate(histories_in_every_order()))
    notified: dict[int, list[str]] = {key: [] for key in keys}
    for place in range(3):
        for key, (letters, _) in keys.items():
            if place < len(letters):
                put(pipeline, key, letters[place])
                notified[key].append(intercepted(pipeline.landfall))
        if place == 0 and between == "one load":
            deliver(pipeline.landfall, [bodies[0] for bodies in notified.values()])
            pipeline.work()
    for place in range(3):
        now = [(key, order) for key, (_, order) in keys.items() if place < len(order)]
        deliver(pipeline.landfall, [notified[key][order[place]] for key, order in now])
        if between == "loads":
            pipeline.work()
    pipeline.work()

    assert {head(pipeline, key).state for key in keys} == {FileState.LOADED}
    assert_silver_holds(pipeline, {key: letters[-1] for key, (letters, _) in keys.items()})


@dataclass(frozen=True)
class Watched:
    """A file whose load is watched."""

    key: str
    file_id: str


def is_fetched(parameters: Mapping[str, Any], file: Watched) -> bool:
    return bool(parameters["Key"] == file.key)


def is_written(parameters: Mapping[str, Any], file: Watched) -> bool:
    return file.file_id in parameters["Key"]


def is_turned(parameters: Mapping[str, Any], file: Watched) -> bool:
    item = parameters["Item"]
    return bool(item.get("key") == {"S": file.key} and item["state"] == {"S": "LOADED"})


HAPPENINGS: tuple[Happening, ...] = (
    ("s3.GetObject", is_fetched),
    ("s3.PutObject", is_written),
    ("dynamodb.PutItem", is_turned),
)
"""What a load does with a file, one after the other: other bytes come just before."""


@contextmanager
def just_before(
    landfall: Landfall, moments: Mapping[int, Happening], act: Callable[[int], None]
) -> Iterator[None]:
    """Act once on the file of each number, just before what happens to it at its moment."""
    left = dict(moments)
    clients = {"s3": landfall.aws.s3.meta.events, "dynamodb": landfall.aws.dynamodb.meta.events}

    def watch(params: Mapping[str, Any], event_name: str, **_: object) -> None:
        for number, (name, concerns) in list(left.items()):
            file = Watched(key_of(number), file_id(landfall.bucket.name, key_of(number)))
            if event_name.endswith(name) and concerns(params, file) and number in left:
                del left[number]
                act(number)

    names = {name for name, _ in moments.values()}
    for name in names:
        clients[name.split(".")[0]].register(f"provide-client-params.{name}", watch)
    yield
    for name in names:
        clients[name.split(".")[0]].unregister(f"provide-client-params.{name}", watch)
    assert not left, "these moments never came"


def test_other_bytes_that_come_while_the_former_are_loaded_are_the_ones_that_stay(
    pipeline: Pipeline,
) -> None:
    moments = dict(enumerate([*HAPPENINGS, *HAPPENINGS]))
    producer = Landfall()

    def overwrite(number: int) -> None:
        body = content(number, "B")
        bucket = producer.bucket.name
        producer.aws.s3.put_object(Bucket=bucket, Key=key_of(number), Body=body)
        if number >= len(HAPPENINGS):  # noticed at once by a tick of another process
            notifications.drain(producer)

    for number in moments:
        put(pipeline, number, "A")
    with just_before(pipeline.landfall, moments, overwrite):
        pipeline.work()

    heads = [head(pipeline, number) for number in moments]
    assert {(each.state, each.epoch, each.attempts) for each in heads} == {(FileState.LOADED, 2, 1)}
    assert_silver_holds(pipeline, dict.fromkeys(moments, "B"))


def test_an_object_that_is_deleted_before_it_was_loaded_is_gone_and_afterwards_keeps_its_rows(
    pipeline: Pipeline,
) -> None:
    before_its_run, while_it_runs, afterwards, landed_again, replaced = range(5)
    for number in range(5):
        put(pipeline, number, "A")
    notifications.drain(pipeline.landfall)
    remove(pipeline, before_its_run)
    fetched = {while_it_runs: HAPPENINGS[0]}
    with just_before(pipeline.landfall, fetched, lambda number: remove(pipeline, number)):
        pipeline.work()
    for number in (afterwards, landed_again, replaced):
        remove(pipeline, number)
    pipeline.work()

    gone = {before_its_run, while_it_runs}
    assert {key for key in range(5) if head(pipeline, key).state is FileState.GONE} == gone
    loaded = dict.fromkeys(set(range(5)) - gone, "A")
    assert_silver_holds(pipeline, loaded)

    for number in (before_its_run, while_it_runs, landed_again):
        put(pipeline, number, "A")
    put(pipeline, replaced, "C")
    pipeline.work()
    assert {head(pipeline, key).state for key in range(5)} == {FileState.LOADED}
    assert head(pipeline, landed_again).epoch == 1, "the same bytes are not loaded twice"
    assert_silver_holds(pipeline, {**dict.fromkeys(range(5), "A"), replaced: "C"})


def test_files_of_a_run_that_died_are_tried_again_one_by_one_and_later_ones_together(
    pipeline: Pipeline,
) -> None:
    suspects, others = range(3), range(3, 7)
    for number in suspects:
        put(pipeline, number, "A")
    (request,) = landing.tick(pipeline.landfall, Observer())
    pipeline.landfall.ledger.runs.beat("killed")
    assert pipeline.landfall.ledger.requests.claim("events", request.request_id, "killed")
    for number in others:
        put(pipeline, number, "A")
    pipeline.work()

    heads = [head(pipeline, number) for number in (*suspects, *others)]
    assert {each.state for each in heads} == {FileState.LOADED}
    assert [each.attempts for each in heads] == [2] * len(suspects) + [1] * len(others)
    assert len({heads[number].run_id for number in suspects}) == len(suspects)
    assert len({heads[number].run_id for number in others}) == 1
    assert len(pipeline.runs("events_ingest")) == len(suspects) + 1
