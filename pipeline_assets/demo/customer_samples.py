"""Customers of the local CRM and of a partner, and the account of them.

The CRM's are pulled. The partner's file knows some of them as well, some with a newer and some with
an older time of update, and has customers of its own.
"""

import csv
import io
import random
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

from pipeline_assets.demo.expectation import (
    DAY,
    Account,
    DatasetSamples,
    ExpectedTable,
    Layer,
    Lookup,
    Plan,
    Row,
    SampleFile,
)
from resources.local_aws.crm_server import Customer, made_up_customers

DATASET: Final = "customers"
COLUMNS: Final = (
    "event_date",
    "customer_id",
    "full_name",
    "email",
    "phone",
    "phone_valid",
    "country",
    "loyalty_points",
    "loyalty_tier",
    "created_at",
    "updated_at",
)
SHOWN_COLUMNS: Final = ("full_name", "email", "phone", "updated_at")
SHOWN_ROWS: Final = 3

HEADER: Final = (
    "id",
    "firstName",
    "lastName",
    "emailAddress",
    "phoneNumber",
    "country",
    "loyaltyPoints",
    "createdAt",
    "updatedAt",
)
SHARED: Final = 20
"""Customers of the CRM that the partner knows too: of one half the partner's record is newer."""
OWN: Final = 10
APART: Final = timedelta(days=200)
TIERS: Final = ((10_000, "platinum"), (5_000, "gold"), (1_000, "silver"), (0, "bronze"))


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A customer as one source knows them; ``phone`` as it is written there."""

    id: str
    first_name: str
    last_name: str
    email: str
    phone: str
    country: str | None
    points: int
    created_at: datetime
    updated_at: datetime

    @property
    def e164(self) -> str | None:
        """The number as E.164 has it, None where it is none."""
        digits = "".join(filter(str.isdigit, self.phone))
        match self.country:
            case "US":
                return f"+1{digits}"
            case "GB":
                return f"+{digits}"
            case "DE":
                return f"+49{digits.removeprefix('0')}"
            case _:
                return None

    def row(self, event_date: date) -> Row:
        """The customer as a table has them, in the order of ``COLUMNS``."""
        return (
            event_date,
            self.id,
            f"{self.first_name} {self.last_name}",
            self.email.lower(),
            self.e164 or self.phone,
            self.e164 is not None,
            self.country,
            self.points,
            next(tier for least, tier in TIERS if self.points >= least),
            self.created_at,
            self.updated_at,
        )

    def cells(self) -> tuple[str | int | None, ...]:
        """The customer as the partner's file has them, in the order of ``HEADER``."""
        times = (_text(self.created_at), _text(self.updated_at))
        names = (self.id, self.first_name, self.last_name, self.email)
        return (*names, self.phone, self.country, self.points, *times)


@dataclass(frozen=True)
class Snapshot:
    """What one file of a date knows; of ``spoiled`` records nothing is kept."""

    event_date: date
    profiles: tuple[Profile, ...]
    spoiled: int = 0


def samples(plan: Plan, *, pulled_on: date) -> DatasetSamples:
    """The partner's file of the plan's first date, the CRM's of the day of the pull, and both.

    The file's bytes follow from the plan alone.
    """
    draw = random.Random(f"{DATASET}/{plan.seed}")  # noqa: S311  # no secret
    crm = tuple(_of_crm(customer) for customer in made_up_customers())
    known = _known_to_partner(draw, crm)
    told = (*known, *_told_twice(known), *_own(draw))
    bad = replace(told[-1], id=_id(draw), email="no address")
    content = partner_file((*told, bad))
    snapshots = (Snapshot(plan.first_date, told, spoiled=1), Snapshot(pulled_on, crm))
    return DatasetSamples(
        dataset=DATASET,
        files=(SampleFile(f"dt={plan.first_date}/partner.csv", content, len(told) + 1),),
        pulled=(f"dt={pulled_on}/crm.jsonl.gz",),
        accounts=accounts(snapshots),
        tables=_tables(snapshots, known[0].email),
    )


def partner_file(profiles: Iterable[Profile]) -> bytes:
    """Customers as the partner writes them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(profile.cells() for profile in profiles)
    return text.getvalue().encode()


def accounts(snapshots: Iterable[Snapshot]) -> dict[date, Account]:
    """Account of each file date: of a customer's records of a date one is kept."""
    landed: Counter[date] = Counter()
    spoiled: Counter[date] = Counter()
    kept: dict[date, set[str]] = {}
    for each in snapshots:
        landed[each.event_date] += len(each.profiles) + each.spoiled
        spoiled[each.event_date] += each.spoiled
        kept.setdefault(each.event_date, set()).update(profile.id for profile in each.profiles)
    return {
        day: Account(
            landed[day], len(kept[day]), spoiled[day], landed[day] - spoiled[day] - len(kept[day])
        )
        for day in sorted(landed)
    }


def _tables(snapshots: Sequence[Snapshot], email: str) -> tuple[ExpectedTable, ...]:
    newest = _newest(snapshots)
    found = tuple(row for row in newest if row[COLUMNS.index("email")] == email.lower())
    by_date = {
        each.event_date: _newest(
            other for other in snapshots if other.event_date == each.event_date
        )
        for each in sorted(snapshots, key=lambda each: each.event_date)
    }
    gold = tuple(row for rows in by_date.values() for row in rows)
    lookup = Lookup("email", email.lower())
    return (
        _table(Layer.GOLD, gold),
        _table(Layer.SERVING, newest),
        replace(_table(Layer.SERVING, found), lookup=lookup),
    )


def _table(layer: Layer, rows: tuple[Row, ...]) -> ExpectedTable:
    return ExpectedTable(
        layer=layer,
        name=DATASET,
        columns=COLUMNS,
        rows=rows,
        shown=SHOWN_ROWS,
        shown_columns=SHOWN_COLUMNS,
    )


def _newest(snapshots: Iterable[Snapshot]) -> tuple[Row, ...]:
    """Of each customer the newest record, of equally new ones the later date's; sorted."""
    newest: dict[str, tuple[datetime, date, Profile]] = {}
    for each in snapshots:
        for profile in each.profiles:
            candidate = (profile.updated_at, each.event_date, profile)
            standing = newest.get(profile.id, candidate)
            newest[profile.id] = max(standing, candidate, key=lambda known: known[:2])
    rows = (profile.row(day) for _, day, profile in newest.values())
    return tuple(sorted(rows, key=lambda row: (str(row[0]), str(row[1]))))


def _of_crm(customer: Customer) -> Profile:
    """A customer as the CRM serves them; without a time of update it is that of creation."""
    created = str(customer["created_at"])
    return Profile(
        id=str(customer["id"]),
        first_name=str(customer["first_name"]),
        last_name=str(customer["last_name"]),
        email=str(customer["email_address"]),
        phone=str(customer["phone_number"]),
        country=str(customer["country"]) if customer["country"] else None,
        points=int(customer["loyalty_points"] or 0),
        created_at=datetime.fromisoformat(created),
        updated_at=datetime.fromisoformat(str(customer.get("updated_at", created))),
    )


def _known_to_partner(draw: random.Random, crm: Sequence[Profile]) -> tuple[Profile, ...]:
    """Customers of the CRM with addresses and points of their own, every other one newer."""
    return tuple(
        replace(
            profile,
            email=f"{profile.last_name}.{number}@Shop.example",
            points=draw.randrange(12_000),
            created_at=profile.created_at - 2 * APART,
            updated_at=profile.updated_at + (-APART if number % 2 else APART),
        )
        for number, profile in enumerate(draw.sample(crm, SHARED))
    )


def _told_twice(known: Sequence[Profile]) -> tuple[Profile, ...]:
    """One of them again further down, as they were a day before."""
    first = known[0]
    return (replace(first, points=0, updated_at=first.updated_at - DAY),)


def _own(draw: random.Random) -> tuple[Profile, ...]:
    begin = datetime(2024, 6, 1, 12, tzinfo=UTC)
    return tuple(
        Profile(
            id=_id(draw),
            first_name="Ines",
            last_name=f"Number {number}",
            email=f"ines{number}@shop.example",
            phone=f"212-664-76{number:02}",
            country="US",
            points=draw.randrange(12_000),
            created_at=begin,
            updated_at=begin + number * DAY,
        )
        for number in range(OWN)
    )


def _id(draw: random.Random) -> str:
    return str(uuid.UUID(int=draw.getrandbits(128), version=4))


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
