"""Rows that nothing dates go by the date of their file, where they may be alone."""

from collections.abc import Iterator

import pytest
from scenario import DAYS, Pipeline, event, events, json_lines, open_pipeline

from resources.ledger.model import DateCounts

DAY = DAYS[0]
KEY = "events/undated.jsonl"
RAW = b"Traceback (most recent call last):\n"


@pytest.fixture
def pipeline(local_aws: object) -> Iterator[Pipeline]:  # noqa: ARG001 - its settings are used
    with open_pipeline() as opened:
        yield opened


def landed_on(pipeline: Pipeline) -> str:
    """The file's date: its key has none, so it is the day on which it landed."""
    return pipeline.file(KEY).file_date


def counts_of(pipeline: Pipeline, day: str) -> DateCounts:
    counts = pipeline.date(day).counts
    assert counts is not None
    return counts


def test_some_broken_rows_of_a_sound_file_hold_no_date(pipeline: Pipeline) -> None:
    soon = {**event(DAY, 99), "timestamp": "soon"}
    pipeline.land(KEY, json_lines([*events(DAY, range(30)), soon]) + RAW)

    pipeline.work()

    assert pipeline.dirty() == {}
    assert counts_of(pipeline, DAY).silver == 30
    alone = counts_of(pipeline, landed_on(pipeline))
    assert (alone.bronze, alone.silver, alone.quarantined) == (2, 0, 2)


def test_a_file_of_which_too_much_is_broken_holds_the_date_of_what_is(pipeline: Pipeline) -> None:
    pipeline.land(KEY, json_lines(events(DAY, range(10))) + 5 * RAW)

    pipeline.work()

    held = pipeline.dirty()[landed_on(pipeline)].held
    assert held is not None
    assert "5 of 5 rows (33.3%)" in held.message
    assert counts_of(pipeline, DAY).silver == 10


def test_rows_that_have_a_date_are_held_against_it_alone(pipeline: Pipeline) -> None:
    refunds = [event(DAYS[1], number, kind="refund") for number in range(3)]
    pipeline.land(KEY, json_lines([*events(DAY, range(100)), *refunds]))

    pipeline.work()

    assert list(pipeline.dirty()) == [DAYS[1]]
