"""Alerts, over moto's SNS with an SQS queue as the subscriber."""

import pytest
from alert_inbox import Inbox

from pipeline_assets.errors import NotProvisionedError
from resources.alerts import SUBJECT_LIMIT, TEXT_LIMIT, Alert, AlertKind
from resources.aws import Aws
from resources.landfall import Landfall


@pytest.fixture
def landfall(aws: Aws) -> Landfall:
    made = Landfall()
    made.aws = aws
    return made


def alert(subject: str = "Landfall: 3 files are dead", text: str = "a, b and c") -> Alert:
    return Alert(AlertKind.DEAD_FILES, subject, text, {"count": 3})


def test_an_alert_reaches_a_subscriber_with_what_it_filters_by(landfall: Landfall) -> None:
    inbox = Inbox(landfall)

    landfall.alerts.publish(alert())

    (received,) = inbox.read()
    assert (received.subject, received.text) == ("Landfall: 3 files are dead", "a, b and c")
    assert received.attributes == {"kind": "dead_files", "count": "3"}


@pytest.mark.parametrize("subject", ["Landfall: ü\nb\x07", "Landfall: " + "é" * 200])
def test_a_subject_becomes_one_that_sns_takes(landfall: Landfall, subject: str) -> None:
    inbox = Inbox(landfall)

    landfall.alerts.publish(alert(subject))

    (received,) = inbox.read()
    assert received.subject.startswith("Landfall: ?")
    assert received.subject.isascii()
    assert received.subject.isprintable()
    assert len(received.subject) <= SUBJECT_LIMIT


def test_a_text_longer_than_sns_takes_is_cut_at_a_whole_letter(landfall: Landfall) -> None:
    inbox = Inbox(landfall)

    landfall.alerts.publish(alert(text="日" * TEXT_LIMIT))

    (received,) = inbox.read()
    assert set(received.text) == {"日"}
    assert len(received.text.encode()) < TEXT_LIMIT


def test_a_topic_is_found_by_its_arn_too(
    landfall: Landfall, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(landfall)
    monkeypatch.setenv("LANDFALL_ALERTS_TOPIC", landfall.alerts.topic_arn)

    Landfall().alerts.publish(alert())

    assert len(inbox.read()) == 1


def test_a_topic_that_does_not_exist_is_named(
    landfall: Landfall, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = landfall.alerts.topic_arn + "-of-nobody"
    monkeypatch.setenv("LANDFALL_ALERTS_TOPIC", missing)

    with pytest.raises(NotProvisionedError, match=missing):
        Landfall().alerts.publish(alert())
