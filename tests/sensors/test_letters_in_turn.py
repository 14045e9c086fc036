"""Letters and alerts when more of them wait than a tick sends, or one of the two is refused."""

import logging
import uuid

import pytest
from alert_inbox import Inbox, letters
from landing_scenario import head, put, tick
from reconcile_scenario import with_settings

from pipeline_assets.operations.dead_letters import send_letters
from resources.landfall import Landfall
from sensors import notifications


@pytest.fixture(autouse=True)
def own_queue(local_aws: object, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - first
    monkeypatch.setenv("LANDFALL_DEAD_LETTER_QUEUE", f"letters-{uuid.uuid4().hex[:12]}")


def strays(landfall: Landfall, *names: str) -> list[str]:
    """Objects that no dataset can load: a tick finds them dead."""
    keys = [f"strays/{name}.csv" for name in names]
    for key in keys:
        put(landfall, key)
    return keys


def test_letters_whose_alert_is_refused_keep_no_later_letter_waiting(
    landfall: Landfall,
) -> None:
    inbox = Inbox(landfall)
    keys = strays(landfall, *"abcde")
    few = with_settings(landfall, max_letters_per_tick=2)
    deaf = with_settings(few, alerts_topic=landfall.alerts.topic_arn + "-of-nobody")
    for _ in range(3):
        tick(deaf)
    assert sorted(str(each["key"]) for each in letters(landfall)) == keys
    assert len(landfall.ledger.files.unreported()) == 5

    for _ in range(3):
        tick(few)

    assert sorted(each.attributes["count"] for each in inbox.read()) == ["1", "2", "2"]
    assert letters(landfall) == []
    assert (landfall.ledger.files.unreported(), landfall.ledger.notices.posted()) == ([], [])


def test_a_file_that_was_replayed_before_its_alert_leaves_no_mark(
    landfall: Landfall,
) -> None:
    inbox = Inbox(landfall)
    (key,) = strays(landfall, "a")
    tick(with_settings(landfall, alerts_topic=landfall.alerts.topic_arn + "-of-nobody"))
    assert len(landfall.ledger.notices.posted()) == 1
    landfall.ledger.files.put_back([head(landfall, key)], "replayed")

    tick(landfall)

    assert inbox.read() == []
    assert (landfall.ledger.files.unreported(), landfall.ledger.notices.posted()) == ([], [])


def test_a_slow_queue_takes_a_call_of_letters_each_tick_and_holds_none_up(
    landfall: Landfall,
) -> None:
    strays(landfall, *(f"{number:02}" for number in range(25)))
    notifications.drain(landfall)
    slow = with_settings(landfall, max_tick_seconds=1e-9)

    sent = []
    for _ in range(3):
        send_letters(slow)
        sent.append(len(letters(landfall)))

    assert sent == [10, 10, 5]


def test_a_tick_reads_no_more_of_the_list_than_it_may_send(landfall: Landfall) -> None:
    strays(landfall, *"abcde")
    notifications.drain(landfall)
    few = with_settings(landfall, max_letters_per_tick=2)

    sending = send_letters(few)

    assert (sending.reported, sending.left) == (2, 2)


def test_the_log_says_that_more_may_wait_than_were_counted(
    landfall: Landfall, caplog: pytest.LogCaptureFixture
) -> None:
    strays(landfall, *"abc")
    deaf = with_settings(
        landfall, max_letters_per_tick=2, alerts_topic=landfall.alerts.topic_arn + "-of-nobody"
    )

    with caplog.at_level(logging.WARNING, "landfall.dead_letters"):
        tick(deaf)

    assert "2 or more" in caplog.text
