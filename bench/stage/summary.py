"""What gold and serving say of event dates: events and users by date and type."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from pipeline_assets.datasets import events
from pipeline_assets.serving import serving_table
from resources.dynamodb_tables import ServingTable
from resources.lake import TableName
from resources.landfall import Landfall

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

SUMMARY = TableName("gold", "daily_event_summary")

Summary: TypeAlias = dict[tuple[str, str], tuple[int, int]]
"""Events and distinct users by event date and event type."""


def in_gold(landfall: Landfall, days: Iterable[str]) -> Summary:
    """What gold holds of dates."""
    return {
        (str(row["event_date"]), row["event_type"]): (row["event_count"], row["unique_users"])
        for day in days
        for row in landfall.lake.read(SUMMARY, day).to_pylist()
    }


def served(landfall: Landfall) -> Summary:
    """What the serving table holds, of every date."""
    pages = landfall.aws.dynamodb.get_paginator("scan").paginate(TableName=_table(landfall))
    return _summary(item for page in pages for item in page["Items"])


def served_on(landfall: Landfall, day: str) -> Summary:
    """What the serving table holds of a date, read consistently."""
    answer = landfall.aws.dynamodb.query(
        TableName=_table(landfall),
        KeyConditionExpression="event_date = :day",
        ExpressionAttributeValues={":day": {"S": day}},
        ConsistentRead=True,
    )
    return _summary(answer["Items"])


def _table(landfall: Landfall) -> str:
    view = next(each for each in events.DATASET.serving if each.name == SUMMARY.name)
    table = serving_table(view)
    assert isinstance(table, ServingTable)  # noqa: S101 - as its dataset declares it
    return landfall.serving.table_name(table)


def _summary(items: "Iterable[Mapping[str, AttributeValueTypeDef]]") -> Summary:
    return {
        (item["event_date"]["S"], item["event_type"]["S"]): (
            int(item["event_count"]["N"]),
            int(item["unique_users"]["N"]),
        )
        for item in items
    }
