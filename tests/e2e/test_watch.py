"""The watchdog: what it finds in a real ledger and real queues, whom it tells, and how it exits."""

import json
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from alert_inbox import Inbox
from scenario import DAYS, LANDFALL, command

from pipeline_assets.errors import DateRefusedError
from pipeline_assets.fingerprint import fingerprint
from pipeline_assets.operations.signs import read
from pipeline_assets.operations.watch import BreachKind, Watched, watch
from pipeline_assets.registry import dataset
from resources.aws import Aws
from resources.landfall import Landfall
from resources.ledger.model import file_id, utc_now
from resources.ledger.runs import Observer
from sensors import landing, reconcile

DAY = DAYS[0]
KEY = f"events/dt={DAY}/a.csv"
REPEAT = timedelta(hours=4)
ENOUGH_SECONDS = 60.0
MANY = 20


@pytest.fixture
def landfall(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Landfall:
    monkeypatch.setenv("LANDFALL_DEAD_LETTER_QUEUE", f"letters-{uuid.uuid4().hex[:12]}")
    made = Landfall()
    made.aws = aws
    return made


def put(landfall: Landfall, key: str = KEY) -> None:
    landfall.aws.s3.put_object(Bucket=landfall.bucket.name, Key=key, Body=b"a,b\n1,2\n")


def tick(landfall: Landfall) -> None:
    landing.tick(landfall, Observer())
    reconcile.tick(landfall)


def hold(landfall: Landfall, day: str = DAY) -> None:
    """A date that its check refused."""
    landfall.ledger.dates.raise_versions([("events", day)])
    refresh = landfall.ledger.dates.open("events", day, "run")
    assert refresh is not None
    error = DateRefusedError("events", day, "too much quarantine")
    contract = fingerprint(dataset("events"))
    landfall.ledger.dates.refuse(refresh, "run", error, fingerprint=contract)


def kinds(watched: Watched) -> list[BreachKind]:
    return [each.kind for each in watched.breaches]


def said(ended: subprocess.CompletedProcess[str]) -> str:
    text = ended.stdout + ended.stderr
    assert "Traceback" not in text, text
    return text


def test_a_pipeline_that_ticks_and_has_nothing_to_do_is_well(landfall: Landfall) -> None:
    inbox = Inbox(landfall)
    tick(landfall)

    ended = command("watch", "--once")

    assert (ended.returncode, said(ended).strip()) == (0, "All is well.")
    assert inbox.read() == []


def test_without_any_tick_it_exits_with_one_and_alerts_once(landfall: Landfall) -> None:
    inbox = Inbox(landfall)

    ended = [command("watch", "--once") for _ in range(2)]

    assert [each.returncode for each in ended] == [1, 1]
    for each in ended:
        assert "landing tick" in said(each)
        assert "reconcile tick" in said(each)
        assert len(said(each).strip().splitlines()) == 2
    (alert,) = inbox.read()
    assert alert.attributes == {"kind": "watch", "count": "2"}
    assert "landing tick" in alert.text


def test_as_json_it_tells_signs_and_breaches(landfall: Landfall) -> None:
    tick(landfall)
    hold(landfall)

    ended = command("watch", "--once", "--json")

    told = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert [each["kind"] for each in told["breaches"]] == ["held"]
    assert told["signs"]["held"] == [f"events {DAY}"]
    assert told["alerted"] is True


def test_everything_that_needs_a_person_is_found_at_once_without_a_scan(
    landfall: Landfall, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(landfall)
    put(landfall, "strays/a.csv")
    tick(landfall)
    hold(landfall, DAYS[1])
    landfall.ledger.dates.raise_versions([("events", DAYS[2])])
    dead_letters = landfall.settings.landing_dead_letter_queue
    url = landfall.aws.sqs.get_queue_url(QueueName=dead_letters)["QueueUrl"]
    landfall.aws.sqs.send_message(QueueUrl=url, MessageBody="{ no notification")
    for limit in ("WATCH_PENDING", "WATCH_DIRTY", "WATCH_TICK", "RECONCILE"):
        monkeypatch.setenv(f"LANDFALL_{limit}_SECONDS", "0.001")
    strict = Landfall()
    inbox = Inbox(landfall)
    strict.aws.dynamodb.meta.events.register("before-call.dynamodb.Scan", refuse)

    watched = watch(strict, REPEAT)

    assert sorted(kinds(watched)) == sorted(BreachKind)
    texts = {each.kind: each.text for each in watched.breaches}
    assert KEY in texts[BreachKind.PENDING]
    assert DAYS[2] in texts[BreachKind.DIRTY]
    assert DAYS[1] in texts[BreachKind.HELD]
    (alert,) = inbox.read()
    assert all(text in alert.text for text in texts.values())


def refuse(**_: object) -> None:
    raise AssertionError("the whole table was read")


def test_a_reconcile_sensor_that_stands_is_told_though_the_landing_sensor_ticks(
    landfall: Landfall,
) -> None:
    landing.tick(landfall, Observer())

    assert kinds(watch(landfall, REPEAT)) == [BreachKind.RECONCILE]


def test_what_ended_and_came_back_is_alerted_again(landfall: Landfall) -> None:
    inbox = Inbox(landfall)
    watch(landfall, REPEAT)
    tick(landfall)
    assert kinds(watch(landfall, REPEAT)) == []
    landfall.aws.dynamodb.delete_item(
        TableName=landfall.settings.ledger_table,
        Key={"pk": {"S": "tick#landing"}, "sk": {"S": "head"}},
    )

    assert watch(landfall, REPEAT).alerted

    assert len(inbox.read()) == 2


def test_one_more_held_date_is_alerted_and_one_less_is_not(landfall: Landfall) -> None:
    tick(landfall)
    hold(landfall, DAYS[0])
    hold(landfall, DAYS[1])
    assert watch(landfall, REPEAT).alerted
    assert not watch(landfall, REPEAT).alerted

    landfall.ledger.dates.raise_versions([("events", DAYS[0])])
    assert not watch(landfall, REPEAT).alerted
    hold(landfall, DAYS[0])

    assert watch(landfall, REPEAT).alerted


def test_an_alert_that_could_not_be_sent_is_told_and_sent_with_the_next_look(
    landfall: Landfall, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(landfall)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("LANDFALL_ALERTS_TOPIC", landfall.alerts.topic_arn + "-of-nobody")
        ended = command("watch", "--once")

    assert ended.returncode == 1
    assert "of-nobody" in said(ended)
    assert "landing tick" in said(ended)
    assert watch(landfall, REPEAT).alerted
    assert len(inbox.read()) == 1


@pytest.mark.parametrize("topic", ["arn:aws:sns:nonsense", "arn:aws:sqs:us-east-1:1:no-topic"])
def test_a_topic_that_is_none_is_told_beside_what_is_beyond_its_limit(
    landfall: Landfall, topic: str
) -> None:
    ended = command("watch", "--once", environment={"LANDFALL_ALERTS_TOPIC": topic})

    assert ended.returncode == 1
    assert topic in said(ended)
    assert "landing tick" in said(ended)
    assert landfall.ledger.notices.alerted() == {}


@pytest.mark.usefixtures("landfall")
def test_an_alert_that_could_not_be_sent_is_nothing_to_be_well_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LANDFALL_ALERTS_TOPIC", "arn:aws:sns:nonsense")

    watched = watch(Landfall())

    assert not watched.is_well
    assert watched.refusal is not None
    assert kinds(watched) == [BreachKind.TICK, BreachKind.RECONCILE]


def test_without_an_answer_from_aws_it_says_so_and_exits_with_one(landfall: Landfall) -> None:
    tick(landfall)

    ended = command(
        "watch",
        "--once",
        environment={
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_REGION": "us-east-1",
        },
    )

    assert ended.returncode == 1
    assert "No answer from AWS" in said(ended)


def test_an_old_file_that_was_put_back_a_moment_ago_has_not_waited_long(
    landfall: Landfall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANDFALL_WATCH_PENDING_SECONDS", str(ENOUGH_SECONDS))
    patient = Landfall()
    put(landfall)
    tick(landfall)
    head = landfall.ledger.files.head(file_id(landfall.bucket.name, KEY))
    assert head is not None
    long_ago = replace(head, landed_at="2025-03-10T00:00:00.000Z")
    landfall.ledger.files.put_back([long_ago], "replayed")
    (pending,) = landfall.ledger.files.pending("events")
    assert pending.landed_at == long_ago.landed_at

    assert kinds(watch(patient)) == []

    later = read(patient, utc_now() + timedelta(seconds=2 * ENOUGH_SECONDS)).pending
    assert later is not None
    assert later.name == KEY


def test_a_date_is_dirty_since_it_first_was_however_often_files_turn_it(
    landfall: Landfall,
) -> None:
    landfall.ledger.dates.raise_versions([("events", DAY)])
    (first,) = landfall.ledger.dates.dirty("events")

    landfall.ledger.dates.raise_versions([("events", DAY)])

    (second,) = landfall.ledger.dates.dirty("events")
    assert (second.version, second.since) == (2, first.since)


def test_a_held_date_that_a_file_turns_waits_anew(landfall: Landfall) -> None:
    hold(landfall)
    (held,) = landfall.ledger.dates.dirty("events")
    assert held.since is not None

    for _ in range(MANY):  # times are kept to the millisecond
        landfall.ledger.dates.raise_versions([("events", DAY)])
        (turned,) = landfall.ledger.dates.dirty("events")
        assert turned.held is None
        if (turned.since or "") > held.since:
            return
        hold(landfall)
    raise AssertionError("it waits since before it was held")


def _heed_interrupts() -> None:
    """A test run in the background of a script passes on that interrupts are ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def watching(landfall: Landfall) -> Iterator[subprocess.Popen[str]]:
    assert landfall.ledger.ticks.last("landing") is None
    process = subprocess.Popen(  # noqa: S603  # our own command
        [LANDFALL, "watch", "--interval", "1"],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_interrupts,  # noqa: PLW1509  # no other thread holds a lock here
    )
    yield process
    process.kill()
    process.communicate(timeout=ENOUGH_SECONDS)


def test_without_once_it_goes_on_until_it_is_interrupted_and_alerts_only_changes(
    landfall: Landfall, watching: subprocess.Popen[str]
) -> None:
    inbox = Inbox(landfall)
    assert watching.stdout is not None
    lines = iter(watching.stdout.readline, "")
    assert [" tick has ended yet" in next(lines) for _ in range(4)] == [True] * 4

    tick(landfall)
    deadline = time.monotonic() + ENOUGH_SECONDS
    while "All is well" not in next(lines):
        assert time.monotonic() < deadline, "it never saw the tick"
    watching.send_signal(signal.SIGINT)

    assert watching.wait(ENOUGH_SECONDS) == 0
    assert len(inbox.read()) <= 1
