"""The watchdog: what a schedule outside of Dagster asks, so that a daemon that died is noticed too.

``breaches`` judges the signs, ``watch`` reads them, has them judged and alerts. The ledger keeps
what was alerted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from botocore.exceptions import ClientError

from pipeline_assets.errors import LandfallError
from pipeline_assets.operations.signs import Signs, Waiting, read
from pipeline_assets.show import age
from resources.alerts import Alert, AlertKind
from resources.landfall import Landfall
from resources.ledger.model import utc_now, utc_text
from resources.ledger.ticks import LANDING, RECONCILE, Alerted
from resources.settings import Settings


class BreachKind(StrEnum):
    """What can be beyond its limit."""

    PENDING = "pending"
    DIRTY = "dirty"
    TICK = "tick"
    RECONCILE = "reconcile"
    DEAD = "dead"
    HELD = "held"
    NOTIFICATIONS = "notifications"


@dataclass(frozen=True)
class Limits:
    """From when on a person is asked; ages are in seconds.

    A reconcile tick counts only when it walked, and between walks it may rest.
    """

    pending_seconds: float
    dirty_seconds: float
    tick_seconds: float
    reconcile_seconds: float
    dead: int

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """The limits of the settings."""
        return cls(
            settings.watch_pending_seconds,
            settings.watch_dirty_seconds,
            settings.watch_tick_seconds,
            settings.watch_tick_seconds + settings.reconcile_seconds,
            settings.watch_dead,
        )


@dataclass(frozen=True)
class Breach:
    """One thing that is beyond its limit, in a line; ``count`` says how bad it is."""

    kind: BreachKind
    text: str
    count: int = 1


@dataclass(frozen=True)
class Watched:
    """The outcome of one look; ``refusal`` says why an alert was not sent, or not remembered."""

    signs: Signs
    breaches: tuple[Breach, ...]
    alerted: bool
    refusal: str | None = None

    @property
    def is_well(self) -> bool:
        """Whether nothing is beyond its limit, and whoever is to be told of that can be."""
        return not self.breaches and self.refusal is None


def watch(landfall: Landfall, repeat: timedelta | None = None) -> Watched:
    """Look once, and alert what is new or worse than when it was alerted.

    Args:
        landfall: the environment.
        repeat: after how long the same is alerted again; ``None`` for never.

    Raises:
        EnvironmentFaultError: the ledger or a queue refuses or does not answer.
    """
    signs = read(landfall, utc_now())
    found = breaches(signs, Limits.of(landfall.settings))
    alerted = False
    try:
        new = _news(landfall, found, repeat)
        if new:
            landfall.alerts.publish(_alert(found))
            alerted = True
        _remember(landfall, found, new)
    except (LandfallError, ClientError) as error:
        what = "the alert was sent, but not remembered" if alerted else "no alert was sent"
        return Watched(signs, found, alerted, refusal=f"{what}: {error}")
    return Watched(signs, found, alerted)


def breaches(signs: Signs, limits: Limits) -> tuple[Breach, ...]:
    """What is beyond its limit."""
    return tuple(
        each
        for each in (
            _tick_breach(BreachKind.TICK, LANDING, signs.tick_seconds, limits.tick_seconds),
            _tick_breach(
                BreachKind.RECONCILE, RECONCILE, signs.reconcile_seconds, limits.reconcile_seconds
            ),
            _waiting_breach(BreachKind.PENDING, signs.pending, limits.pending_seconds),
            _waiting_breach(BreachKind.DIRTY, signs.dirty, limits.dirty_seconds),
            _dead_breach(signs.dead, limits.dead),
            _held_breach(signs.held),
            _notifications_breach(signs.notifications),
        )
        if each is not None
    )


def _tick_breach(kind: BreachKind, name: str, seconds: float | None, limit: float) -> Breach | None:
    if seconds is not None and seconds <= limit:
        return None
    since = "has ended yet" if seconds is None else f"ended for {age(seconds)}"
    text = (
        f"No {name} tick {since} (limit {age(limit)}): see that Dagster's daemon runs "
        f"and the {name} sensor is on, or run `landfall work`."
    )
    return Breach(kind, text)


def _waiting_breach(kind: BreachKind, waiting: Waiting | None, limit: float) -> Breach | None:
    if waiting is None or waiting.seconds <= limit:
        return None
    text = (
        f"{waiting.name} is {kind.value} for {age(waiting.seconds)} (limit "
        f"{age(limit)}): `landfall status`, and the failed runs, say why."
    )
    return Breach(kind, text)


def _dead_breach(dead: int, limit: int) -> Breach | None:
    if dead <= limit:
        return None
    text = f"{_count(dead, 'file')} dead (limit {limit}): `landfall dead-letters` lists them."
    return Breach(BreachKind.DEAD, text, dead)


def _held_breach(held: Sequence[str]) -> Breach | None:
    if not held:
        return None
    text = (
        f"{_count(len(held), 'date')} held, the first is {held[0]}: `landfall status` has the "
        "reason."
    )
    return Breach(BreachKind.HELD, text, len(held))


def _notifications_breach(notifications: int) -> Breach | None:
    if not notifications:
        return None
    text = (
        f"{_count(notifications, 'notification')} in the landing queue's dead-letter queue: they "
        "are no notifications of the landing bucket, or could not be settled; receive and delete "
        "them there, then run `landfall reconcile`."
    )
    return Breach(BreachKind.NOTIFICATIONS, text, notifications)


def _count(number: int, what: str) -> str:
    return f"{number} {what} is" if number == 1 else f"{number} {what}s are"


def _news(landfall: Landfall, found: Sequence[Breach], repeat: timedelta | None) -> list[Breach]:
    """What is new or worse than when it was alerted."""
    known, now = landfall.ledger.notices.alerted(), utc_now()
    return [each for each in found if is_news(each, known.get(each.kind), now, repeat)]


def _remember(landfall: Landfall, found: Sequence[Breach], new: Sequence[Breach]) -> None:
    """Bring what is remembered of alerts up to date."""
    notices = landfall.ledger.notices
    known = notices.alerted()
    eased = [
        replace(known[each.kind], count=each.count)
        for each in found
        if each not in new and each.count < known[each.kind].count
    ]
    told = [Alerted(each.kind.value, utc_text(utc_now()), each.count) for each in new]
    notices.remember([*told, *eased])
    notices.forget(known.keys() - {each.kind for each in found})


def is_news(
    breach: Breach, before: Alerted | None, now: datetime, repeat: timedelta | None
) -> bool:
    """Whether a breach is to be alerted: not known yet, worse than it was, or long ago."""
    if before is None or breach.count > before.count:
        return True
    return repeat is not None and now - datetime.fromisoformat(before.at) >= repeat


def _alert(found: Sequence[Breach]) -> Alert:
    what = ", ".join(each.kind.value for each in found)
    text = "\n".join(each.text for each in found)
    return Alert(AlertKind.WATCH, f"Landfall needs a person: {what}", text, {"count": len(found)})
