"""Alerts, over moto's SNS with an SQS queue as the subscriber."""

import pytest
from alert_inbox import Inbox

from pipeline_assets.errors import AlertsTopicError, NotProvisionedError
from resources.alerts import TEXT_LIMIT, Alert, AlertKind
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
    assert len(received.subject) < 100


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


@pytest.mark.usefixtures("landfall")
def test_what_sns_takes_for_no_topic_is_told_with_its_code_and_the_mend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_topic = "arn:aws:sns:nonsense"
    monkeypatch.setenv("LANDFALL_ALERTS_TOPIC", no_topic)

    with pytest.raises(AlertsTopicError, match=r"nonsense.*Invalid.*LANDFALL_ALERTS_TOPIC"):
        Landfall().alerts.publish(alert())


def test_a_missing_topic_is_named_and_not_made(landfall: Landfall) -> None:
    arn = landfall.alerts.topic_arn
    landfall.aws.sns.delete_topic(TopicArn=arn)

    with pytest.raises(NotProvisionedError, match=landfall.settings.alerts_topic):
        Landfall().alerts.publish(alert())

    assert arn not in topics(landfall)


def topics(landfall: Landfall) -> set[str]:
    pages = landfall.aws.sns.get_paginator("list_topics").paginate()
    return {each["TopicArn"] for page in pages for each in page["Topics"]}


@pytest.fixture
def account(landfall: Landfall, monkeypatch: pytest.MonkeyPatch) -> Landfall:
    """moto, taken for an account that Landfall may not change."""
    monkeypatch.setenv("LANDFALL_ENV", "aws")
    monkeypatch.setenv("AWS_ENDPOINT_URL", landfall.settings.local_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "own")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", landfall.aws.sns.meta.region_name)
    return Landfall()


def test_in_an_account_a_name_is_that_of_its_own_topic(
    landfall: Landfall, account: Landfall
) -> None:
    inbox = Inbox(landfall)

    account.alerts.publish(alert())

    assert len(inbox.read()) == 1
    assert account.alerts.topic_arn == landfall.alerts.topic_arn


def test_in_an_account_a_missing_topic_is_named_and_not_made(
    landfall: Landfall, account: Landfall
) -> None:
    arn = landfall.alerts.topic_arn
    account.aws.sns.delete_topic(TopicArn=arn)

    with pytest.raises(NotProvisionedError, match=account.settings.alerts_topic):
        account.alerts.publish(alert())

    assert arn not in topics(account)
