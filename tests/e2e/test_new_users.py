"""New users of each date, whatever order dates and late files come in."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import pytest
from scenario import DAYS, Event, Pipeline, event, json_lines, open_pipeline

from resources.lake import TableName

NEW_USERS = TableName("gold", "new_users")
FIRST, SECOND, THIRD, *_ = DAYS


@pytest.fixture
def pipeline(local_aws: object) -> Iterator[Pipeline]:  # noqa: ARG001 - its settings are used
    with open_pipeline() as opened:
        yield opened


def visits(day: str, *people: int) -> list[Event]:
    """An event of each of these people."""
    return [
        {**event(day, person), "userId": f"00000000-0000-4000-8000-{person:012}"}
        for person in people
    ]


def new_users(pipeline: Pipeline) -> dict[str, int]:
    counts = {}
    for day in pipeline.landfall.lake.dates(NEW_USERS):
        (row,) = pipeline.landfall.lake.read(NEW_USERS, day).to_pylist()
        assert row["event_date"].isoformat() == day
        counts[day] = row["new_users"]
    return counts


FILES: Mapping[str, Sequence[Event]] = {
    f"events/dt={FIRST}/a.jsonl": visits(FIRST, 1, 2),
    f"events/dt={SECOND}/a.jsonl": visits(SECOND, 2, 3),
    f"events/dt={THIRD}/a.jsonl": [*visits(THIRD, 1, 3, 4), *visits(FIRST, 3, 5)],
}
EXPECTED = {FIRST: 4, SECOND: 0, THIRD: 1}


@pytest.mark.parametrize("order", list(itertools.permutations(FILES))[::2], ids=range(3))
def test_any_order_of_dates_and_late_rows_ends_with_the_same_counts(
    pipeline: Pipeline, order: Sequence[str]
) -> None:
    for key in order:
        pipeline.land(key, json_lines(FILES[key]))
        pipeline.work()

    assert new_users(pipeline) == EXPECTED


def test_a_late_file_that_moves_a_first_date_corrects_both_dates(pipeline: Pipeline) -> None:
    pipeline.land(f"events/dt={SECOND}/a.jsonl", json_lines(visits(SECOND, 1, 2)))
    pipeline.work()
    assert new_users(pipeline) == {SECOND: 2}

    pipeline.land(f"events/dt={FIRST}/late.jsonl", json_lines(visits(FIRST, 2)))
    pipeline.work()

    assert new_users(pipeline) == {FIRST: 1, SECOND: 1}
    assert {FIRST, SECOND} <= pipeline.materialized(("gold", "new_users"))


def test_an_overwrite_that_takes_a_user_away_makes_him_new_on_his_next_date(
    pipeline: Pipeline,
) -> None:
    key = f"events/dt={FIRST}/a.jsonl"
    pipeline.land(key, json_lines(visits(FIRST, 1, 2)))
    pipeline.land(f"events/dt={THIRD}/a.jsonl", json_lines(visits(THIRD, 1)))
    pipeline.work()
    assert new_users(pipeline) == {FIRST: 2, THIRD: 0}

    pipeline.land(key, json_lines(visits(FIRST, 2)))
    pipeline.work()

    assert new_users(pipeline) == {FIRST: 1, THIRD: 1}
