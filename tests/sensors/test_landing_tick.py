"""Ticks of the landing sensor, over moto's S3, SQS and DynamoDB."""

import threading

import pytest
from landing_scenario import (
    DAY,
    KEY,
    claimed,
    eventually,
    head,
    loaded,
    put,
    remove,
    standing,
    tick,
)

from pipeline_assets.errors import AwsUnreachableError
from resources.landfall import Landfall
from resources.ledger.model import (
    NO_DATASET,
    FileState,
    RequestKind,
)
from resources.ledger.runs import Observer
from sensors import landing


def test_a_landed_object_is_registered_its_message_settled_and_its_run_requested(
    landfall: Landfall,
) -> None:
    put(landfall)

    (request,) = tick(landfall)

    assert head(landfall).state is FileState.LANDED
    assert landfall.queue.depth() == (0, 0)
    assert (request.run.kind, request.dates) == (RequestKind.INGEST, (DAY, DAY))
    assert [file.file_id for file in request.run.files] == [head(landfall).file_id]
    assert standing(landfall) == (request,)


def test_a_tick_without_news_requests_nothing(landfall: Landfall) -> None:
    assert tick(landfall) == []
    assert standing(landfall) == ()


def test_a_repeated_tick_returns_the_request_that_still_waits_and_plans_nothing_new(
    landfall: Landfall,
) -> None:
    put(landfall)
    observer = Observer()

    assert tick(landfall, observer) == tick(landfall, observer) == list(standing(landfall))

    assert len(standing(landfall)) == 1


def test_a_request_that_a_run_has_claimed_waits_no_more(landfall: Landfall) -> None:
    put(landfall)
    (request,) = tick(landfall)
    claimed(landfall, request)

    assert tick(landfall) == []


def test_a_file_that_lands_while_its_date_is_under_way_goes_with_the_next_run(
    landfall: Landfall,
) -> None:
    put(landfall)
    (first,) = tick(landfall)
    put(landfall, f"events/dt={DAY}/b.csv")
    assert tick(landfall) == [first]

    loaded(landfall, first)

    (second,) = tick(landfall)
    assert [each.file_id for each in second.run.files] == [
        head(landfall, f"events/dt={DAY}/b.csv").file_id
    ]


def test_a_backlog_that_a_tick_cannot_take_in_is_planned_once_it_is_known_whole(
    landfall: Landfall, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = landfall.settings.model_copy(update={"max_messages_per_tick": 10})
    monkeypatch.setattr(landfall.aws, "settings", few)
    for number in range(15):
        put(landfall, f"events/dt={DAY}/{number}.csv")

    assert tick(landfall) == []
    (request,) = tick(landfall)

    assert len(request.run.files) == 15


def test_a_backlog_that_keeps_coming_is_planned_after_its_patience(
    landfall: Landfall, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"max_messages_per_tick": 10, "gather_seconds": 0.0}
    monkeypatch.setattr(landfall.aws, "settings", landfall.settings.model_copy(update=few))
    for number in range(15):
        put(landfall, f"events/dt={DAY}/{number}.csv")

    (request,) = tick(landfall)

    assert len(request.run.files) == 10


def test_what_lands_while_a_tick_waits_is_requested_by_it(landfall: Landfall) -> None:
    landed = threading.Timer(0.5, put, [landfall])
    landed.start()

    (request,) = landing.tick(landfall, Observer(), wait_seconds=8)

    landed.join()
    assert [file.file_id for file in request.run.files] == [head(landfall).file_id]


def test_landing_the_same_bytes_again_requests_nothing(landfall: Landfall) -> None:
    put(landfall)
    (request,) = tick(landfall)
    loaded(landfall, request)
    before = head(landfall)

    put(landfall)

    assert tick(landfall) == []
    assert head(landfall) == before
    assert landfall.queue.depth() == (0, 0)


def test_landing_other_bytes_requests_their_run(landfall: Landfall) -> None:
    put(landfall)
    (request,) = tick(landfall)
    loaded(landfall, request)

    put(landfall, body=b"a,b\n3,4\n")

    (again,) = tick(landfall)
    assert [each.epoch for each in again.run.files] == [2]
    assert again.request_id != request.request_id


def test_an_upload_and_its_overwrite_in_one_tick_request_one_run(landfall: Landfall) -> None:
    put(landfall)
    put(landfall, body=b"a,b\n3,4\n")

    (request,) = tick(landfall)

    stored = landfall.bucket.stat(KEY)
    assert stored is not None
    assert head(landfall).etag == stored.etag
    assert [each.epoch for each in request.run.files] == [head(landfall).epoch]


@pytest.mark.parametrize(
    "name",
    ["a b.csv", "a+b.csv", "a%20b.csv", "100%.csv", "übung.csv", "日本/ключ=1.csv", "a&b=c?.csv"],
)
def test_a_key_is_registered_as_it_is_whatever_its_letters(landfall: Landfall, name: str) -> None:
    key = f"events/dt={DAY}/{name}"
    put(landfall, key)

    assert len(tick(landfall)) == 1

    assert head(landfall, key).key == key
    assert landfall.bucket.stat(key) is not None


def test_a_message_that_cannot_be_read_is_a_dead_letter_and_keeps_nobody_waiting(
    landfall: Landfall,
) -> None:
    name = landfall.settings.landing_queue
    url = landfall.aws.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    landfall.aws.sqs.send_message(QueueUrl=url, MessageBody="{ not a notification")
    put(landfall)

    assert len(tick(landfall)) == 1
    eventually(landfall, lambda _: landfall.queue.dead_letters() == 1)

    assert landfall.queue.depth() == (0, 0)


def test_s3s_test_event_is_settled_without_a_word(landfall: Landfall) -> None:
    name = landfall.settings.landing_queue
    url = landfall.aws.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    body = '{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "landing"}'
    landfall.aws.sqs.send_message(QueueUrl=url, MessageBody=body)

    assert tick(landfall) == []

    assert landfall.queue.depth() == (0, 0)
    assert landfall.queue.dead_letters() == 0


@pytest.mark.parametrize("key", ["nobody/a.csv", "stray.csv"])
def test_an_object_below_no_dataset_is_dead_at_once_and_named(landfall: Landfall, key: str) -> None:
    put(landfall, key)

    assert tick(landfall) == []

    (dead,) = landfall.ledger.files.dead(NO_DATASET)
    assert dead.error.kind == "UnknownDatasetError"
    assert key in dead.error.message
    assert "events/" in dead.error.message
    assert head(landfall, key).state is FileState.DEAD


def test_an_object_below_no_dataset_that_was_deleted_and_landed_again_is_dead_again(
    landfall: Landfall,
) -> None:
    put(landfall, "stray.csv")
    tick(landfall)
    remove(landfall, "stray.csv")
    tick(landfall)
    assert head(landfall, "stray.csv").state is FileState.GONE

    put(landfall, "stray.csv")
    tick(landfall)

    again = head(landfall, "stray.csv")
    assert (again.state, again.epoch) == (FileState.DEAD, 2)
    assert [each.key for each in landfall.ledger.files.dead(NO_DATASET)] == ["stray.csv"]


def test_the_deletion_of_an_object_that_nobody_knew_changes_nothing(landfall: Landfall) -> None:
    put(landfall)
    remove(landfall)
    landfall.queue.delete(next(landfall.queue.receive(1)))

    assert tick(landfall) == []

    assert list(landfall.ledger.files.all()) == []


def test_an_object_that_is_deleted_before_it_was_loaded_is_gone(landfall: Landfall) -> None:
    put(landfall)
    tick(landfall)

    remove(landfall)
    tick(landfall)

    assert head(landfall).state is FileState.GONE
    assert landfall.ledger.files.pending("events") == []


def test_a_late_notice_of_removal_takes_nothing_from_a_key_that_holds_bytes(
    landfall: Landfall,
) -> None:
    put(landfall)
    remove(landfall)
    put(landfall)

    tick(landfall)

    assert head(landfall).state is FileState.LANDED
    assert len(landfall.ledger.files.pending("events")) == 1


def test_an_object_that_came_and_went_before_the_tick_requests_nothing(landfall: Landfall) -> None:
    put(landfall)
    remove(landfall)

    assert tick(landfall) == []

    assert head(landfall).state is FileState.GONE


def test_a_tick_that_dies_before_it_registered_leaves_the_message(
    landfall: Landfall,
) -> None:
    name = landfall.settings.landing_queue
    url = landfall.aws.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    landfall.aws.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "0"})
    put(landfall)
    events = landfall.aws.dynamodb.meta.events

    def die(**_: object) -> None:
        raise AwsUnreachableError("nowhere", local=True)

    events.register("before-call.dynamodb.PutItem", die)
    with pytest.raises(AwsUnreachableError):
        tick(landfall)
    events.unregister("before-call.dynamodb.PutItem", die)

    assert landfall.queue.depth()[0] == 1
    assert len(tick(landfall)) == 1
    assert landfall.queue.depth() == (0, 0)
