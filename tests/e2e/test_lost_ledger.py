"""A ledger that was lost: everything is loaded again, and no date is stuck behind its tables."""

import json
from collections.abc import Iterator

import pytest
from scenario import DAYS, Pipeline, events, json_lines, open_pipeline

from pipeline_assets.environment import start

KEY = f"events/dt={DAYS[0]}/a.jsonl"


@pytest.fixture
def pipeline(local_aws: object) -> Iterator[Pipeline]:  # noqa: ARG001 - its settings are used
    with open_pipeline() as opened:
        yield opened


def lose_ledger(pipeline: Pipeline) -> None:
    aws, table = pipeline.landfall.aws, pipeline.landfall.settings.ledger_table
    aws.dynamodb.delete_table(TableName=table)
    start(pipeline.landfall)


def rows(pipeline: Pipeline) -> list[str]:
    return sorted(str(row["event_id"]) for row in pipeline.silver(DAYS[0]))


def test_dates_whose_tables_are_ahead_of_a_new_ledger_are_refreshed_and_change_again(
    pipeline: Pipeline,
) -> None:
    for count in (3, 4, 5):
        pipeline.land(KEY, json_lines(events(DAYS[0], range(count))))
        pipeline.work()
    assert pipeline.date(DAYS[0]).version > 2
    before = (rows(pipeline), pipeline.items())

    lose_ledger(pipeline)
    report = pipeline.work()

    assert (rows(pipeline), pipeline.items()) == before
    assert (report.failed_runs, pipeline.dirty()) == ([], {})
    pipeline.land(KEY, json_lines(events(DAYS[0], range(7))))
    pipeline.work()
    assert len(rows(pipeline)) == 7
    (summary,) = pipeline.items()["daily-event-summary"]
    assert json.loads(summary)["event_count"] == {"N": "7"}
    assert pipeline.dirty() == {}
