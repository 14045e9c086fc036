"""What the watchdog judges: plain signs and limits in, breaches and news out."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline_assets.operations.signs import Signs, Waiting
from pipeline_assets.operations.watch import Breach, BreachKind, Limits, breaches, is_news
from resources.ledger.model import utc_now, utc_text
from resources.ledger.ticks import Alerted
from resources.settings import Settings

LIMITS = Limits(
    pending_seconds=3600, dirty_seconds=3600, tick_seconds=600, reconcile_seconds=1500, dead=0
)
WELL = Signs(None, None, 5.0, 5.0, dead=0, held=(), notifications=0)
REPEAT = timedelta(hours=4)


def test_nothing_beyond_a_limit_is_no_breach() -> None:
    waiting = Waiting("events/a.csv", 3600.0)
    at_limit = Signs(waiting, waiting, 600.0, 1500.0, dead=0, held=(), notifications=0)

    assert breaches(WELL, LIMITS) == breaches(at_limit, LIMITS) == ()


@pytest.mark.parametrize(
    ("signs", "kind", "told"),
    [
        (replace(WELL, tick_seconds=601.0), BreachKind.TICK, "10 min"),
        (replace(WELL, tick_seconds=None), BreachKind.TICK, "yet"),
        (replace(WELL, reconcile_seconds=1501.0), BreachKind.RECONCILE, "reconcile sensor"),
        (replace(WELL, reconcile_seconds=None), BreachKind.RECONCILE, "yet"),
        (replace(WELL, pending=Waiting("a.csv", 7200.0)), BreachKind.PENDING, "a.csv"),
        (replace(WELL, dirty=Waiting("events 2025", 7200.0)), BreachKind.DIRTY, "events 2025"),
        (replace(WELL, dead=1), BreachKind.DEAD, "1 file is dead"),
        (replace(WELL, held=("events 2025",)), BreachKind.HELD, "events 2025"),
        (replace(WELL, notifications=3), BreachKind.NOTIFICATIONS, "3 notifications"),
    ],
)
def test_each_sign_beyond_its_limit_is_a_breach_of_its_own(
    signs: Signs, kind: BreachKind, told: str
) -> None:
    (breach,) = breaches(signs, LIMITS)

    assert breach.kind is kind
    assert told in breach.text


def test_a_reconcile_tick_may_rest_as_long_as_there_is_nothing_to_walk() -> None:
    limits = Limits.of(Settings(watch_tick_seconds=10, reconcile_seconds=100))

    assert (limits.tick_seconds, limits.reconcile_seconds) == (10, 110)


def test_fewer_dead_files_than_allowed_are_no_breach() -> None:
    patient = replace(LIMITS, dead=2)

    assert breaches(replace(WELL, dead=2), patient) == ()
    assert len(breaches(replace(WELL, dead=3), patient)) == 1


def test_what_was_alerted_is_news_again_when_it_is_worse_or_long_ago() -> None:
    now = utc_now()
    dead = Breach(BreachKind.DEAD, "2 files are dead", 2)
    lately = Alerted("dead", utc_text(now - REPEAT / 2), 2)

    assert is_news(dead, None, now, REPEAT)
    assert not is_news(dead, lately, now, REPEAT)
    assert is_news(replace(dead, count=3), lately, now, REPEAT)
    long_ago = replace(lately, at=utc_text(now - REPEAT))
    assert is_news(dead, long_ago, now, REPEAT)
    assert not is_news(dead, long_ago, now, None)
