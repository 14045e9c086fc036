"""Notifications that are not as they should be, and keys that try every rule of naming.

Objects are landed for real, and what is to be loaded is loaded through to bronze.
"""

import json
import logging
from pathlib import PurePosixPath
from urllib.parse import quote_plus

import pytest
from landing_scenario import DAY, eventually, head, put, remove, tick

from pipeline_assets.loading import LoadReport, load_files
from pipeline_assets.registry import dataset
from resources.landfall import Landfall
from resources.ledger.model import FileState

EVENT = {
    "eventType": "click",
    "userId": "6f1c2a5e-3b7d-4c1a-9d55-0a7f5e1b2c3d",
    "timestamp": f"{DAY}T09:00:00Z",
}
BODY = json.dumps(EVENT).encode() + b"\n"
FOLDER = f"events/dt={DAY}/"
LONGEST_KEY = 1024
"""Bytes of an object's key in UTF-8 (Amazon S3 User Guide, "Naming Amazon S3 objects")."""
ODD_NAMES = {
    "dots": "../a.jsonl",
    "dots within": "x/../../a.jsonl",
    "spaces": " a  b .jsonl",
    "plus": "a+b+.jsonl",
    "percent": "100%+%2F%20.jsonl",
    "unicode": "日本/ключ=1/übung-🛬.jsonl",
    "url": "a&b=c?d#e;f.jsonl",
    "quotes": 'it\'s "a" \\ file.jsonl',
    "no name": "",
    "longest": "a" * (LONGEST_KEY - len(FOLDER) - len(".jsonl")) + ".jsonl",
    "longest in unicode": "é" * ((LONGEST_KEY - len(FOLDER) - len(".jsonl")) // 2) + ".jsonl",
}


def record(bucket: str, key: str, etag: str = "abc", name: str = "ObjectCreated:Put") -> object:
    """One record of a notification, as S3 writes it."""
    return {
        "eventName": name,
        "eventTime": f"{DAY}T12:30:00.123Z",
        "s3": {
            "bucket": {"name": bucket},
            "object": {"key": quote_plus(key), "size": len(BODY), "eTag": etag},
        },
    }


def notify(landfall: Landfall, *records: object) -> None:
    """Send a notification to the landing queue."""
    say(landfall, json.dumps({"Records": records}))


def say(landfall: Landfall, body: str) -> None:
    name = landfall.settings.landing_queue
    url = landfall.aws.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    landfall.aws.sqs.send_message(QueueUrl=url, MessageBody=body)


def become_dead_letters(landfall: Landfall, messages: int) -> None:
    """Tick until redrive has moved the messages, and nothing else waits."""
    eventually(landfall, lambda _: landfall.queue.dead_letters() == messages)
    assert landfall.queue.depth() == (0, 0)


def load(landfall: Landfall) -> LoadReport:
    """What the requested run does for bronze."""
    report = LoadReport()
    for request in tick(landfall):
        claimed = landfall.ledger.requests.claim("events", request.request_id, "run-1")
        assert claimed is not None
        claims = landfall.ledger.files.claim(claimed.run.files, "events")
        load_files(landfall, dataset("events"), claims, run_id="run-1", report=report)
    return report


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
def test_an_object_is_loaded_to_bronze_whatever_its_key(landfall: Landfall, name: str) -> None:
    key = FOLDER + name
    assert len(key.encode()) <= LONGEST_KEY
    put(landfall, key, BODY)

    report = load(landfall)

    assert [each.error for each in report.failed] == []
    assert [each.key for each in report.loaded] == [key]
    loaded = head(landfall, key)
    assert (loaded.state, loaded.records, loaded.dates) == (FileState.LOADED, 1, (DAY,))
    (entry,) = landfall.ledger.dates.manifest("events", DAY)
    assert (entry.landing_key, entry.rows) == (key, 1)
    assert PurePosixPath(entry.fragment_key).parent.name == f"event_date={DAY}"
    lake = landfall.settings.lake_bucket
    assert landfall.aws.s3.head_object(Bucket=lake, Key=entry.fragment_key)["ContentLength"]


def test_keys_that_a_path_would_make_one_stay_two_files(landfall: Landfall) -> None:
    put(landfall, f"{FOLDER}a.jsonl", BODY)
    put(landfall, f"{FOLDER}x/../a.jsonl", BODY)

    report = load(landfall)

    assert len(report.loaded) == 2
    assert len(landfall.ledger.dates.manifest("events", DAY)) == 2


def test_an_event_of_a_foreign_bucket_registers_nothing_and_names_the_bucket(
    landfall: Landfall, caplog: pytest.LogCaptureFixture
) -> None:
    notify(landfall, record("somebody-elses", f"{FOLDER}a.jsonl"))

    with caplog.at_level(logging.WARNING, "landfall.landing"):
        become_dead_letters(landfall, 1)

    assert "somebody-elses" in caplog.text
    assert list(landfall.ledger.files.all()) == []


def test_a_foreign_removal_takes_no_file_of_the_same_key(landfall: Landfall) -> None:
    key = f"{FOLDER}a.jsonl"
    put(landfall, key, BODY)
    tick(landfall)
    notify(landfall, record("somebody-elses", key, name="ObjectRemoved:Delete"))

    become_dead_letters(landfall, 1)

    assert head(landfall, key).state is FileState.LANDED


def test_of_a_message_with_foreign_records_the_own_ones_are_registered_before_it_is_a_dead_letter(
    landfall: Landfall,
) -> None:
    key = f"{FOLDER}a.jsonl"
    etag = landfall.aws.s3.put_object(Bucket=landfall.bucket.name, Key=key, Body=BODY)["ETag"]
    tick(landfall)
    own = record(landfall.bucket.name, f"{FOLDER}b.jsonl", etag.strip('"'))
    notify(landfall, record("somebody-elses", key), own)

    become_dead_letters(landfall, 1)

    keys = {each.key for each in landfall.ledger.files.all()}
    assert keys == {key, f"{FOLDER}b.jsonl"}
    assert head(landfall, f"{FOLDER}b.jsonl").epoch == 1


@pytest.mark.parametrize("body", ["no json", "[]", '{"Records": [{"eventName": "ObjectCreated"}]}'])
def test_a_message_that_cannot_be_read_ends_as_a_dead_letter_behind_the_landing_queue(
    landfall: Landfall, body: str
) -> None:
    say(landfall, body)
    put(landfall, f"{FOLDER}a.jsonl", BODY)

    become_dead_letters(landfall, 1)

    assert head(landfall, f"{FOLDER}a.jsonl").state is FileState.LANDED


def test_an_event_of_an_object_that_never_was_ends_gone(landfall: Landfall) -> None:
    key = f"{FOLDER}a.jsonl"
    notify(landfall, record(landfall.bucket.name, key))

    report = load(landfall)

    assert (report.loaded, report.failed, report.passed_over) == ([], [], 1)
    assert head(landfall, key).state is FileState.GONE
    assert landfall.ledger.files.pending("events") == []


def test_an_object_that_is_deleted_while_its_run_waits_ends_gone(landfall: Landfall) -> None:
    key = f"{FOLDER}a.jsonl"
    put(landfall, key, BODY)
    (request,) = tick(landfall)
    remove(landfall, key)
    claims = landfall.ledger.files.claim(request.run.files, "events")
    report = LoadReport()

    load_files(landfall, dataset("events"), claims, run_id="run-1", report=report)

    assert report.passed_over == 1
    assert head(landfall, key).state is FileState.GONE
