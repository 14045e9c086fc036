"""A latest table over gold that tests write, and what goes over the wire."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from resources.aws import Aws
from resources.dynamodb_latest import LatestCounts, LatestTableStore
from resources.dynamodb_newest import MARK
from resources.dynamodb_tables import LatestTable
from resources.frames import to_arrow
from resources.lake import UNREAD, Lake, TableName
from resources.local_aws.provision import TableKeys, provision

TABLE = LatestTable("people", "person_id", "updated_at", "people", ("email",))
GOLD = TableName("gold", "people")
FIRST, SECOND, THIRD = "2025-01-01", "2025-01-02", "2025-01-03"
WRITES = ("PutItem", "UpdateItem", "DeleteItem")
SCHEMA = pl.Schema(
    {
        "event_date": pl.Date(),
        "person_id": pl.String(),
        "email": pl.String(),
        "updated_at": pl.Datetime("us", "UTC"),
    }
)

People = Mapping[str, int]
"""Day of January on which each was updated."""


def people(day: str, updated: People) -> pl.DataFrame:
    rows = [
        {
            "event_date": date.fromisoformat(day),
            "person_id": name,
            "email": f"{name}@{day}" if name != "nomail" else None,
            "updated_at": datetime(2025, 1, at, tzinfo=UTC),
        }
        for name, at in updated.items()
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


class Served:
    """The table, its store, and the gold that it is made of."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.lake = Lake(aws)
        self.store = LatestTableStore(aws, sleep=lambda _: None)
        self.name = f"{aws.settings.serving_prefix}{TABLE.name}"

    def write_gold(self, dates: Mapping[str, People]) -> dict[str, pl.DataFrame]:
        frames = {day: people(day, updated) for day, updated in dates.items()}
        for day, frame in frames.items():
            table = to_arrow("people", frame)
            self.lake.replace(GOLD, day, table, version=None, expected=UNREAD)
        return frames

    def refresh(self, dates: Mapping[str, People]) -> dict[str, LatestCounts]:
        frames = self.write_gold(dates)
        counts = self.store.refresh(TABLE, frames)
        assert not any(each.faults for each in self.store.compare(TABLE, frames).values())
        return counts

    def items(self) -> list[dict[str, Any]]:
        return self.aws.dynamodb.scan(TableName=self.name, ConsistentRead=True)["Items"]

    def newest(self) -> dict[str, tuple[str, int]]:
        """Of each person the date that the item is from, and the day of its update."""
        assert not any(MARK in item for item in self.items())
        return {
            item["person_id"]["S"]: (item["event_date"]["S"], int(item["updated_at"]["S"][8:10]))
            for item in self.items()
        }


def provisioned(aws: Aws) -> Served:
    """An empty table."""
    made = Served(aws)
    provision(aws, [TableKeys(made.name, TABLE.key, indexed=TABLE.lookups)])
    return made


@contextmanager
def at_the_wire(
    aws: Aws, operations: tuple[str, ...], act: Callable[[AWSPreparedRequest], AWSResponse | None]
) -> Iterator[None]:
    """Answer, or note, calls at the wire; ``None`` sends the request after all."""

    def hook(request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
        return act(request)

    events = aws.dynamodb.meta.events
    for operation in operations:
        events.register(f"before-send.dynamodb.{operation}", hook)  # type: ignore[arg-type]  # stubs: no answers
    try:
        yield
    finally:
        for operation in operations:
            events.unregister(f"before-send.dynamodb.{operation}", hook)  # type: ignore[arg-type]  # stubs: no answers


@contextmanager
def counted_writes(aws: Aws) -> Iterator[list[str]]:
    written: list[str] = []

    def count(request: AWSPreparedRequest) -> None:
        written.append(str(request.url))

    with at_the_wire(aws, WRITES, count):
        yield written
