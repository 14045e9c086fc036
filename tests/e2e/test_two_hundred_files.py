"""Two hundred files, twenty of them broken in ten ways: who is dead, why, and what mends it."""

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import dagster as dg
import pytest
from alert_inbox import letters
from landed_files import (
    BREAKAGES,
    FILES,
    LandedFile,
    broken_files,
    sound_files,
)
from scenario import (
    DAYS,
    Content,
    Pipeline,
    event,
    forget_tables,
    json_lines,
    open_pipeline,
)

from pipeline_assets import definitions
from pipeline_assets.dataset import Dataset
from pipeline_assets.datasets.events import DATASET, EVENT_TYPES, contract
from pipeline_assets.fingerprint import fingerprint
from pipeline_assets.jobs import FIRST_DATE_TAG, LAST_DATE_TAG
from resources.lake import TableName
from resources.ledger.model import DateCounts, DeadFile, FileState

if TYPE_CHECKING:
    from pandera.polars import DataFrameSchema

ATTEMPTS = "2"

pytestmark = [pytest.mark.usefixtures("local_aws"), pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    # Few runs and attempts show the same as many.
    monkeypatch.setenv("LANDFALL_QUIET_RUNS_PER_TICK", "1")
    monkeypatch.setenv("LANDFALL_MAX_ATTEMPTS", ATTEMPTS)
    monkeypatch.setenv("LANDFALL_DEAD_LETTER_QUEUE", f"letters-{uuid.uuid4().hex[:12]}")


def land(pipeline: Pipeline, files: list[LandedFile]) -> None:
    for file in files:
        pipeline.land(file.key, file.sound)


def states(pipeline: Pipeline) -> Counter[FileState]:
    return Counter(head.state for head in pipeline.landfall.ledger.files.all())


def dead(pipeline: Pipeline) -> dict[str, DeadFile]:
    datasets = {head.dataset for head in pipeline.landfall.ledger.files.all()}
    listed = [each for name in datasets for each in pipeline.landfall.ledger.files.dead(name)]
    return {each.key: each for each in listed}


def test_twenty_broken_files_of_two_hundred_die_of_their_true_causes_and_leave_no_trace_once_mended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = broken_files()
    with open_pipeline() as pipeline:
        land(pipeline, sound_files())
        for file in broken:
            pipeline.land(file.key, file.content)
        pipeline.work()

        assert states(pipeline) == {FileState.LOADED: FILES - 20, FileState.DEAD: 20}
        found = dead(pipeline)
        assert set(found) == {file.key for file in broken}
        sent = letters(pipeline.landfall)
        told = {str(letter["key"]): str(letter["message"]) for letter in sent}
        assert len(sent) == len(told), "one letter for each"
        assert set(told) == set(found)
        for file in broken:
            fault = found[file.key].error
            assert fault.kind == file.breakage.error
            for message in (fault.message, told[file.key]):
                assert message.startswith(f"{file.key}: ")
                assert file.breakage.cause in message
        assert len({breakage.cause for breakage in BREAKAGES}) == 10

        for file in broken:
            if file.key != file.sound.key:
                bucket = pipeline.landfall.bucket.name
                pipeline.landfall.aws.s3.delete_object(Bucket=bucket, Key=file.key)
        land(pipeline, [file.sound for file in broken])
        pipeline.work()

        assert states(pipeline) == {FileState.LOADED: FILES, FileState.GONE: 2}
        assert dead(pipeline) == {}
        mended = pipeline.content()

    assert mended == all_sound_from_the_start(monkeypatch)


def all_sound_from_the_start(monkeypatch: pytest.MonkeyPatch) -> Content:
    forget_tables(monkeypatch)
    with open_pipeline() as pipeline:
        land(pipeline, [*sound_files(), *(file.sound for file in broken_files())])
        pipeline.work()
        assert states(pipeline) == {FileState.LOADED: FILES}
        return pipeline.content()


@cache
def contract_with_refunds() -> "DataFrameSchema":
    import pandera.polars as pa  # noqa: PLC0415 - half a second that only validation needs

    admitted = pa.Check.isin((*EVENT_TYPES, "refund"))
    return contract().update_column("event_type", checks=admitted)


def admitting_refunds() -> Dataset:
    return replace(DATASET, contract=contract_with_refunds)


Row = dict[str, object]


def rows(pipeline: Pipeline, layer: str, name: str = "events") -> list[Row]:
    lake = pipeline.landfall.lake
    tables = (lake.read(TableName(layer, name), day) for day in DAYS)
    return [row for table in tables for row in table.to_pylist()]


def place(row: Row) -> tuple[object, object]:
    return row["_file_id"], row["_row"]


@pytest.fixture
def quarantined() -> Iterator[Pipeline]:
    """Rows in quarantine for a reason that a mended contract admits, for another, for both."""
    with open_pipeline() as pipeline:
        land(pipeline, sound_files()[:60])
        twice = {**event(DAYS[0], 1, kind="refund"), "userId": "nobody"}
        other = {**event(DAYS[0], 2), "userId": "nobody"}
        pipeline.land(f"events/dt={DAYS[0]}/spoilt.jsonl", json_lines([twice, other]))
        pipeline.work()
        yield pipeline


def test_a_contract_that_admits_quarantined_rows_moves_exactly_these_to_silver_by_a_backfill(
    quarantined: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = quarantined
    silver, quarantine = rows(pipeline, "silver"), rows(pipeline, "quarantine")
    gold, served = rows(pipeline, "gold", "daily_event_summary"), pipeline.items()
    fragments, counts = pipeline.stored("bronze/"), counted(pipeline)
    admitted = [row for row in quarantine if row["reasons"] == "event_type_isin"]
    assert 0 < len(admitted) < len(quarantine)
    assert fingerprint(admitting_refunds()) != fingerprint(DATASET)

    backfill(pipeline, monkeypatch)

    refunds = [row for row in rows(pipeline, "silver") if row["event_type"] == "refund"]
    assert sorted(map(place, refunds)) == sorted(map(place, admitted))
    assert [row for row in rows(pipeline, "silver") if row not in refunds] == silver
    left = [place(row) for row in quarantine if row not in admitted]
    assert [place(row) for row in rows(pipeline, "quarantine")] == left
    assert pipeline.stored("bronze/") == fragments
    summary = rows(pipeline, "gold", "daily_event_summary")
    assert [row for row in summary if row["event_type"] != "refund"] == gold
    added = set(pipeline.items()["daily-event-summary"]) - set(served["daily-event-summary"])
    assert all("refund" in item for item in added)
    moved = {day: sum(str(row["event_date"]) == day for row in admitted) for day in DAYS}
    assert counted(pipeline) == {
        day: replace(was, silver=was.silver + moved[day], quarantined=was.quarantined - moved[day])
        for day, was in counts.items()
    }


def counted(pipeline: Pipeline) -> dict[str, DateCounts]:
    return {day: pipeline.date(day).counts for day in DAYS}


def backfill(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run over the range of dates, silver to serving, with the mended contract."""
    with monkeypatch.context() as mended:
        mended.setattr(definitions, "datasets", lambda: (admitting_refunds(),))
        resources = pipeline.definitions.resources or {}
        code = definitions.build_defs(resources)
        job = code.resolve_job_def("events_refresh")
        ran = job.execute_in_process(
            instance=pipeline.instance,
            tags={FIRST_DATE_TAG: DAYS[0], LAST_DATE_TAG: DAYS[-1]},
        )
    assert ran.success
    assert isinstance(ran.dagster_run, dg.DagsterRun)
    assert not pipeline.dirty()
