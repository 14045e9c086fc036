"""What visitors of an invented coffee shop do, drawn from one seed."""

import json
import random
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import Final

USERS: Final = 1_500
UNNAMED_SHARE: Final = 0.1
"""Events without an event id: they are told apart by all their other fields."""
PURCHASE_SHARE: Final = 0.3
"""Visits that end with a purchase."""
FEWEST_VIEWS: Final = 2
MOST_VIEWS: Final = 8
LONGEST_PAUSE: Final = timedelta(seconds=60)
LONGEST_VISIT: Final = (MOST_VIEWS + 2) * LONGEST_PAUSE

PRODUCTS: Final = (
    ("Café press", 34.9),
    ("Kettle", 49.0),
    ("Hand grinder", 89.5),
    ('Dripper 02, "white"', 12.95),
    ("Filter papers", 4.2),
    ("Kaffeemühle", 129.0),
)
PAGES: Final = ("/", "/search", "/brewing", "/grinders", "/about", "/help")
REFERRERS: Final = ("search", "newsletter", "direct", "social")
PLANS: Final = ("guest", "club")

Properties = Mapping[str, str | int | float]


@dataclass(frozen=True)
class Event:
    """What a visitor did. ``at`` is in UTC, ``properties`` is an object's JSON text."""

    event_type: str
    user_id: str
    at: datetime
    event_id: str | None
    session_id: str | None
    properties: str

    @property
    def identity(self) -> tuple[str | datetime | None, ...]:
        """What all reports of the event have in common, and no other event has."""
        return (self.event_id,) if self.event_id else astuple(self)


class Visitors:
    """The shop's visitors: the same seed and the same calls give the same events."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._users = [self._uuid() for _ in range(USERS)]

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._draw.getrandbits(128), version=4))

    def visits(self, begin: datetime, end: datetime, count: int) -> list[Event]:
        """So many events between two moments, in the order of time."""
        events: list[Event] = []
        while len(events) < count:
            events += self._visit(self._moment(begin, end - LONGEST_VISIT))
        return sorted(events[:count], key=lambda event: event.at)

    def purchases(self, begin: datetime, step: timedelta, count: int) -> list[Event]:
        """So many purchases at the counter, without a session."""
        draw = self._draw
        return [
            self._purchase(draw.choice(self._users), begin + step * number, None)
            for number in range(count)
        ]

    def signups(self, begin: datetime, step: timedelta, count: int) -> list[Event]:
        """So many signups, each of a new user."""
        draw = self._draw
        return [
            self._event(
                "signup", self._uuid(), begin + step * number, None, {"plan": draw.choice(PLANS)}
            )
            for number in range(count)
        ]

    def _moment(self, begin: datetime, end: datetime) -> datetime:
        return begin + timedelta(seconds=self._draw.randrange(int((end - begin).total_seconds())))

    def _visit(self, at: datetime) -> Iterator[Event]:
        draw = self._draw
        user, session = draw.choice(self._users), f"s-{draw.getrandbits(32):08x}"
        for _ in range(draw.randint(FEWEST_VIEWS, MOST_VIEWS)):
            seen = {"page": draw.choice(PAGES), "referrer": draw.choice(REFERRERS)}
            yield self._event("page_view", user, at, session, seen)
            at += self._pause()
        chosen = {"element": "add-to-basket", "product": draw.choice(PRODUCTS)[0]}
        yield self._event("click", user, at, session, chosen)
        if draw.random() < PURCHASE_SHARE:
            yield self._purchase(user, at + self._pause(), session)

    def _pause(self) -> timedelta:
        return timedelta(seconds=self._draw.randint(1, int(LONGEST_PAUSE.total_seconds())))

    def _purchase(self, user: str, at: datetime, session: str | None) -> Event:
        product, price = self._draw.choice(PRODUCTS)
        order = f"A-{self._draw.getrandbits(32):08x}"
        bought: Properties = {
            "order": order,
            "product": product,
            "price": price,
            "quantity": self._draw.randint(1, 3),
            "currency": "EUR",
        }
        return self._event("purchase", user, at, session, bought)

    def _event(
        self, kind: str, user: str, at: datetime, session: str | None, properties: Properties
    ) -> Event:
        event_id = None if self._draw.random() < UNNAMED_SHARE else self._uuid()
        text = json.dumps(properties, ensure_ascii=False, separators=(",", ":"))
        return Event(kind, user, at, event_id, session, text)
