"""A date of more rows than a bucket has: the same tables, checks and refusals as in one piece."""

from collections.abc import Iterator
from typing import Any

import pytest
from scenario import (
    DAYS,
    Content,
    Pipeline,
    event,
    events,
    forget_tables,
    json_lines,
    open_pipeline,
    small_tree,
)

from pipeline_assets import date_refresh
from pipeline_assets.buckets import EncodedDate, refine_in_buckets

FIRST, SECOND, THIRD = DAYS[:3]
ROWS = "LANDFALL_MAX_ROWS_PER_BUCKET"

pytestmark = [pytest.mark.usefixtures("local_aws"), pytest.mark.timeout(600)]


@pytest.fixture
def buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Into how many buckets each date went that took several; no table of them is left open."""
    counts: list[int] = []
    made: list[EncodedDate] = []

    def counted(*given: Any, buckets: int, version: int) -> EncodedDate:
        counts.append(buckets)
        made.append(refine_in_buckets(*given, buckets=buckets, version=version))
        return made[-1]

    monkeypatch.setattr(date_refresh, "refine_in_buckets", counted)
    yield counts
    assert all(table.body.closed for each in made for table in (each.silver, each.quarantine))


def told(pipeline: Pipeline, former: set[str]) -> list[str]:
    """Every check result of every run but the former ones, as text."""
    return sorted(
        f"{each.asset_key} {each.check_name} {each.partition} {each.passed} "
        f"{sorted((name, value.value) for name, value in each.metadata.items())}"
        for run in pipeline.runs()
        if run.run_id not in former
        for each in pipeline.checks(run.run_id)
    )


def etags(pipeline: Pipeline) -> dict[str, str]:
    return {key: etag for key, (etag, *_) in pipeline.stored().items()}


def worked_off() -> tuple[Content, dict[str, str]]:
    with open_pipeline() as pipeline:
        for key, content in small_tree().items():
            pipeline.land(key, content)
        pipeline.work()
        return pipeline.content(), etags(pipeline)


def test_a_date_in_buckets_has_the_bytes_of_the_date_in_one_piece(
    monkeypatch: pytest.MonkeyPatch, buckets: list[int]
) -> None:
    whole = worked_off()
    assert not buckets

    forget_tables(monkeypatch)
    monkeypatch.setenv(ROWS, "4")
    assert worked_off() == whole
    assert max(buckets) == 12


def refused() -> tuple[str, list[str]]:
    """What a held date says, and every check; its tables stay as they were."""
    refunds = [event(SECOND, number, kind="refund") for number in range(30, 40)]
    with open_pipeline() as pipeline:
        former = {run.run_id for run in pipeline.runs()}
        for day in DAYS[:3]:
            pipeline.land(f"events/dt={day}/a.jsonl", json_lines(events(day, range(20))))
        pipeline.work()
        before = pipeline.stored()
        pipeline.land(f"events/dt={SECOND}/b.jsonl", json_lines(refunds) + b'{"cut": \n')

        pipeline.work()

        held = pipeline.dirty()[SECOND].held
        assert held is not None
        assert pipeline.stored() == before
        return held.message, told(pipeline, former)


def test_a_date_in_buckets_is_refused_as_in_one_piece_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, buckets: list[int]
) -> None:
    whole = refused()
    assert "(malformed: 1; rules broken: event_type_isin)" in whole[0]
    assert not buckets

    forget_tables(monkeypatch)
    monkeypatch.setenv(ROWS, "4")
    assert refused() == whole
    assert buckets
