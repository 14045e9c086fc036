"""A ledger that was lost: nothing shrinks unasked, and a date materialized by hand goes on."""

import json
from collections.abc import Iterator

import pytest
from scenario import DAYS, REFRESHED, Pipeline, events, json_lines, open_pipeline

from pipeline_assets.environment import start

DAY = DAYS[0]
KEY = f"events/dt={DAY}/a.jsonl"
OTHER = f"events/dt={DAY}/b.jsonl"


@pytest.fixture
def pipeline(local_aws: object) -> Iterator[Pipeline]:  # noqa: ARG001 - its settings are used
    with open_pipeline() as opened:
        yield opened


def lose_ledger(pipeline: Pipeline) -> None:
    aws, table = pipeline.landfall.aws, pipeline.landfall.settings.ledger_table
    aws.dynamodb.delete_table(TableName=table)
    start(pipeline.landfall)


def rows(pipeline: Pipeline) -> list[str]:
    return sorted(str(row["event_id"]) for row in pipeline.silver(DAY))


def events_counted(pipeline: Pipeline) -> str:
    (summary,) = pipeline.items()["daily-event-summary"]
    count: str = json.loads(summary)["event_count"]["N"]
    return count


def test_tables_ahead_of_a_new_ledger_stay_until_a_person_asks_and_then_change_again(
    pipeline: Pipeline,
) -> None:
    for count in (3, 4, 5):
        pipeline.land(KEY, json_lines(events(DAY, range(count))))
        pipeline.work()
    pipeline.land(OTHER, json_lines(events(DAY, range(5, 9))))
    pipeline.work()
    before = (rows(pipeline), pipeline.items())
    pipeline.landfall.aws.s3.delete_object(Bucket=pipeline.landfall.bucket.name, Key=OTHER)

    lose_ledger(pipeline)
    pipeline.work()

    held = pipeline.dirty()[DAY].held
    assert held is not None
    assert "the ledger was lost or restored" in held.message
    assert "materialize the date by hand" in held.message
    assert (rows(pipeline), pipeline.items()) == before

    assert pipeline.materialize(REFRESHED, DAY).success
    assert (rows(pipeline), pipeline.dirty()) == ([f"{DAY}-{n}" for n in range(5)], {})

    pipeline.land(KEY, json_lines(events(DAY, range(7))))
    pipeline.work()
    assert (len(rows(pipeline)), events_counted(pipeline)) == (7, "7")
    assert pipeline.dirty() == {}
