"""Letters and alerts of files that died, over moto's SQS, SNS and DynamoDB."""

import json
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from alert_inbox import Inbox, letters
from landing_scenario import KEY, RUN, claimed, eventually, head, put, tick

from pipeline_assets.errors import CutDownloadError, FileError, UnsupportedFormatError
from pipeline_assets.operations.dead_letters import send_letters
from resources.dead_letters import letter_id
from resources.landfall import Landfall
from resources.ledger.model import FileHead, FileState, trace_id
from resources.local_aws.provision import provision


@pytest.fixture(autouse=True)
def own_queue(local_aws: object, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - first
    monkeypatch.setenv("LANDFALL_DEAD_LETTER_QUEUE", f"letters-{uuid.uuid4().hex[:12]}")


def strays(landfall: Landfall, *names: str) -> list[str]:
    """Objects that no dataset can load: a tick finds them dead."""
    keys = [f"strays/{name}.csv" for name in names]
    for key in keys:
        put(landfall, key)
    return keys


def die(landfall: Landfall, error: FileError) -> FileHead:
    """Let the file at ``KEY`` fail as a run would, until it is dead."""
    while head(landfall).state is not FileState.DEAD:
        (request,) = eventually(landfall, bool)
        (claim,) = landfall.ledger.files.claim(claimed(landfall, request).run.files, "events")
        landfall.ledger.files.fail(claim, error, RUN)
        landfall.ledger.requests.close("events", request.request_id, RUN)
    return head(landfall)


def drop_queue(landfall: Landfall) -> None:
    name = landfall.settings.dead_letter_queue
    landfall.aws.sqs.delete_queue(
        QueueUrl=landfall.aws.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    )


@contextmanager
def before_call(landfall: Landfall, call: str, do: Callable[..., None]) -> Iterator[None]:
    """Let something happen where a request to AWS would leave this process."""
    client = {"sqs": landfall.aws.sqs, "sns": landfall.aws.sns, "dynamodb": landfall.aws.dynamodb}
    events = client[call.split(".")[1]].meta.events
    events.register(call, do)
    yield
    events.unregister(call, do)


class PowerCutError(Exception): ...


def cut(**_: object) -> None:
    raise PowerCutError


def test_a_dead_file_is_one_letter_with_everything_that_is_known_of_it(landfall: Landfall) -> None:
    put(landfall)
    tick(landfall)
    dead = die(landfall, CutDownloadError(KEY, "it is cut."))
    tick(landfall)

    (letter,) = letters(landfall)

    known = {name: letter[name] for name in ("bucket", "key", "etag", "size", "dataset", "epoch")}
    assert known == {
        "bucket": landfall.bucket.name,
        "key": KEY,
        "etag": dead.etag,
        "size": dead.size,
        "dataset": "events",
        "epoch": 1,
    }
    event = letter["event"]
    assert isinstance(event, dict)
    assert event["s3"]["object"]["eTag"] == dead.etag
    assert letter["event_source"] == "notification"
    assert letter["id"] == f"{dead.file_id}-1"
    attempts = letter["attempts"]
    assert isinstance(attempts, list)
    assert [(each["attempt"], each["run_id"], each["state"]) for each in attempts] == [
        (1, RUN, "FAILED"),
        (2, RUN, "FAILED"),
        (3, RUN, "DEAD"),
    ]
    assert attempts[0]["at"] < attempts[1]["at"] < attempts[2]["at"]
    assert "it is cut" in str(attempts[0]["message"])
    assert (letter["error_class"], letter["stage"]) == ("CutDownloadError", "bronze")
    assert letter["message"] == f"{KEY}: it is cut."
    assert "CutDownloadError" in str(letter["stack"])
    assert dead.error is not None
    assert (letter["at"], letter["run_id"]) == (dead.error.at, RUN)
    assert letter["trace_id"] == trace_id(dead.file_id, 1)


def test_a_death_is_reported_once(landfall: Landfall) -> None:
    inbox = Inbox(landfall)
    (key,) = strays(landfall, "a b")

    tick(landfall)

    (alert,) = inbox.read()
    assert key in alert.subject
    assert "no dataset is called 'strays'" in alert.text
    assert f"landfall explain '{key}'" in alert.text
    assert f"landfall replay --key '{key}'" in alert.text
    assert alert.attributes == {"kind": "dead_files", "count": "1"}
    assert [each["key"] for each in letters(landfall)] == [key]

    tick(landfall)

    assert (inbox.read(), letters(landfall)) == ([], [])


def test_files_that_die_in_one_tick_have_a_letter_each_and_one_alert_for_all(
    landfall: Landfall,
) -> None:
    inbox = Inbox(landfall)
    keys = strays(landfall, *(f"{number:02}" for number in range(25)))

    tick(landfall)

    (alert,) = inbox.read()
    assert alert.attributes["count"] == "25"
    assert sum(key in alert.text for key in keys) == 20
    assert "and 5 more" in alert.text
    assert sorted(str(each["key"]) for each in letters(landfall)) == keys


def test_a_tick_sends_no_more_letters_than_its_limit_and_the_next_ones_the_rest(
    landfall: Landfall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANDFALL_MAX_LETTERS_PER_TICK", "2")
    few = Landfall()
    keys = strays(landfall, *"abcde")

    sent = []
    for _ in range(3):
        tick(few)
        sent.append(letters(landfall))

    assert [len(each) for each in sent] == [2, 2, 1]
    assert sorted(str(each["key"]) for part in sent for each in part) == keys


def test_a_file_that_is_no_longer_dead_when_its_letter_is_due_has_none(landfall: Landfall) -> None:
    inbox = Inbox(landfall)
    put(landfall)
    tick(landfall)
    drop_queue(landfall)
    die(landfall, UnsupportedFormatError(KEY, "it is a picture."))
    put(landfall, body=b"other bytes")
    provision(landfall.aws, ())

    tick(landfall)

    assert head(landfall).epoch == 2
    assert (inbox.read(), letters(landfall)) == ([], [])
    assert landfall.ledger.files.unreported() == []


def test_a_file_that_was_replayed_and_died_again_has_a_letter_of_its_own(
    landfall: Landfall,
) -> None:
    put(landfall)
    tick(landfall)
    first = die(landfall, UnsupportedFormatError(KEY, "it is a picture."))
    tick(landfall)
    landfall.ledger.files.put_back([first], "replayed")
    die(landfall, UnsupportedFormatError(KEY, "it is a picture."))
    tick(landfall)

    assert sorted(str(each["id"]) for each in letters(landfall)) == [
        letter_id(first.file_id, 1),
        letter_id(first.file_id, 2),
    ]


def test_without_a_queue_a_tick_goes_on_says_so_once_and_sends_when_there_is_one(
    landfall: Landfall, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox(landfall)
    drop_queue(landfall)
    strays(landfall, "a", "b")
    put(landfall)

    with caplog.at_level(logging.WARNING, "landfall.dead_letters"):
        assert len(tick(landfall)) == 1

    (record,) = caplog.records
    assert landfall.settings.dead_letter_queue in record.getMessage()
    assert len(landfall.ledger.files.unreported()) == 2
    assert inbox.read() == []

    provision(landfall.aws, ())
    tick(landfall)

    assert len(letters(landfall)) == 2
    assert [each.attributes["count"] for each in inbox.read()] == ["2"]
    assert landfall.ledger.files.unreported() == []


def test_an_alert_that_is_refused_is_tried_again_without_a_second_letter(
    landfall: Landfall, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(landfall)
    strays(landfall, "a")
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("LANDFALL_ALERTS_TOPIC", landfall.alerts.topic_arn + "-of-nobody")
        deaf = Landfall()
        tick(deaf)
        tick(deaf)
    assert len(letters(landfall)) == 1
    assert len(landfall.ledger.files.unreported()) == 1

    tick(landfall)

    assert len(inbox.read()) == 1
    assert letters(landfall) == []
    assert landfall.ledger.files.unreported() == []


@pytest.mark.parametrize(
    ("call", "sent"),
    [
        ("before-call.sqs.SendMessageBatch", 1),
        ("after-call.sqs.SendMessageBatch", 2),
        ("before-call.sns.Publish", 1),
        ("after-call.sns.Publish", 1),
    ],
)
def test_a_crash_at_any_call_loses_no_letter_and_repeats_it_under_the_same_id(
    landfall: Landfall, call: str, sent: int
) -> None:
    inbox = Inbox(landfall)
    strays(landfall, "a")
    with before_call(landfall, call, cut), pytest.raises(PowerCutError):
        tick(landfall)

    tick(landfall)

    found = letters(landfall)
    assert len(found) == sent
    assert len({str(each["id"]) for each in found}) == 1
    assert inbox.read()
    assert landfall.ledger.files.unreported() == []


def test_a_letter_that_is_refused_alone_is_sent_with_the_next_tick(landfall: Landfall) -> None:
    inbox = Inbox(landfall)
    strays(landfall, "a", "b", "c")

    def refuse_the_first(params: dict[str, Any], **_: object) -> None:
        body = json.loads(params["body"])
        body["Entries"] = body["Entries"][1:]
        params["body"] = json.dumps(body).encode()

    def say_so(parsed: dict[str, Any], **_: object) -> None:
        fault = {"Id": "0", "SenderFault": False, "Code": "InternalError", "Message": "later"}
        parsed["Failed"] = [fault]

    with (
        before_call(landfall, "before-call.sqs.SendMessageBatch", refuse_the_first),
        before_call(landfall, "after-call.sqs.SendMessageBatch", say_so),
    ):
        tick(landfall)
    assert len(letters(landfall)) == 2
    assert [each.attributes["count"] for each in inbox.read()] == ["2"]

    tick(landfall)

    assert len(letters(landfall)) == 1
    assert [each.attributes["count"] for each in inbox.read()] == ["1"]


def test_two_that_report_at_once_leave_nothing_behind_and_send_no_letter_twice(
    landfall: Landfall,
) -> None:
    strays(landfall, "a")

    def report(**_: object) -> None:
        send_letters(Landfall())

    with before_call(landfall, "before-call.sns.Publish", report):
        tick(landfall)

    assert len(letters(landfall)) == 1
    assert landfall.ledger.files.unreported() == []
