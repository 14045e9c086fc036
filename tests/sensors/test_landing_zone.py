"""The landing bucket and its queue: notifications as they come, objects as they are."""

import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.errors import NotProvisionedError, ObjectChangedError, ObjectGoneError
from resources.landfall import Landfall
from resources.landing_zone import EventKind, ObjectEvent, read_notification

KEY = "events/dt=2025-03-01/a.csv"


def notification(key: str = KEY, name: str = "ObjectCreated:Put", **stored: object) -> str:
    """What S3 sends for one object; keys are URL-encoded, spaces as plus signs."""
    facts = {"key": quote_plus(key), "size": 7, "eTag": "abc", **stored}
    record = {
        "eventName": name,
        "eventTime": "2025-03-01T12:30:00.123Z",
        "s3": {"bucket": {"name": "landing"}, "object": facts},
    }
    return json.dumps({"Records": [record]})


def test_a_notification_says_what_landed_and_when() -> None:
    (event,) = read_notification(notification())

    at = datetime(2025, 3, 1, 12, 30, 0, 123_000, tzinfo=UTC)
    assert event == ObjectEvent(EventKind.CREATED, "landing", KEY, "abc", 7, at, event.record)


def test_an_event_keeps_its_whole_record() -> None:
    body = notification(sequencer="0055AED6DCD90281E5")

    (event,) = read_notification(body)

    assert json.loads(event.record) == json.loads(body)["Records"][0]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_key_is_read_as_it_was_written(key: str) -> None:
    (event,) = read_notification(notification(key))

    assert event.key == key


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ObjectCreated:CompleteMultipartUpload", EventKind.CREATED),
        ("s3:ObjectCreated:Copy", EventKind.CREATED),
        ("ObjectRemoved:Delete", EventKind.REMOVED),
        ("ObjectRemoved:DeleteMarkerCreated", EventKind.REMOVED),
    ],
)
def test_every_way_to_come_and_go_is_known(name: str, kind: EventKind) -> None:
    (event,) = read_notification(notification(name=name))

    assert event.kind is kind


def test_events_of_other_kinds_are_left_out() -> None:
    assert read_notification(notification(name="ObjectTagging:Put")) == ()


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        "7",
        "null",
        "{}",
        '{"Records": 7}',
        '{"Records": [{}]}',
        '{"Records": [7]}',
        notification(size="large"),
        notification(size=10**300),
        notification(size=-1),
        notification().replace('"size": 7', '"size": 1e999'),
        notification().replace(KEY.rpartition("/")[2], "\\ud800"),
        notification().replace("2025-03-01T12:30:00.123Z", "9999-12-31T23:59:59-05:00"),
        notification().replace("2025-03-01T", "yesterday "),
    ],
)
def test_what_is_no_notification_is_a_value_error(body: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_notification(body)


def test_exactly_the_registered_bytes_are_downloaded(landfall: Landfall, tmp_path: Path) -> None:
    body = bytes(range(256)) * 10_000
    etag = landfall.aws.s3.put_object(Bucket=landfall.bucket.name, Key=KEY, Body=body)["ETag"]

    landfall.bucket.download(KEY, etag.strip('"'), tmp_path / "object")

    assert (tmp_path / "object").read_bytes() == body


def test_other_bytes_than_the_registered_ones_are_refused(
    landfall: Landfall, tmp_path: Path
) -> None:
    etag = landfall.aws.s3.put_object(Bucket=landfall.bucket.name, Key=KEY, Body=b"A")["ETag"]
    landfall.aws.s3.put_object(Bucket=landfall.bucket.name, Key=KEY, Body=b"B")

    with pytest.raises(ObjectChangedError, match=KEY):
        landfall.bucket.download(KEY, etag.strip('"'), tmp_path / "object")


def test_a_deleted_object_is_gone(landfall: Landfall, tmp_path: Path) -> None:
    with pytest.raises(ObjectGoneError, match=KEY):
        landfall.bucket.download(KEY, "abc", tmp_path / "object")
    assert landfall.bucket.stat(KEY) is None


def test_a_queue_is_read_up_to_its_limit_and_the_rest_stays(landfall: Landfall) -> None:
    for number in range(25):
        key = f"events/dt=2025-03-01/{number}.csv"
        landfall.aws.s3.put_object(Bucket=landfall.bucket.name, Key=key, Body=b"a")

    batches = list(landfall.queue.receive(20))

    assert [len(batch) for batch in batches] == [10, 10]
    assert landfall.queue.depth() == (5, 20)
    for batch in batches:
        landfall.queue.delete(batch)
    assert landfall.queue.depth() == (5, 0)


def test_a_queue_that_is_missing_is_named_and_no_other(landfall: Landfall) -> None:
    settings = landfall.settings
    assert landfall.dead_letters.depth() == 0  # so that it knows the queue's address
    for name in (settings.landing_dead_letter_queue, settings.dead_letter_queue):
        url = landfall.aws.sqs.get_queue_url(QueueName=name)["QueueUrl"]
        landfall.aws.sqs.delete_queue(QueueUrl=url)

    with pytest.raises(NotProvisionedError, match=f"queue {settings.landing_dead_letter_queue} "):
        landfall.queue.dead_letters()
    for queue in (landfall.dead_letters, Landfall().dead_letters):
        with pytest.raises(NotProvisionedError, match=f"queue {settings.dead_letter_queue} "):
            queue.depth()
