"""Files that no notification told, from the bucket to the tables and to the check in Dagster."""

import json
from collections.abc import Iterator

import dagster as dg
import pytest
from scenario import DAYS, Pipeline, command, cut_gzip, events, json_lines, open_pipeline

from resources.ledger.model import FileState

pytestmark = pytest.mark.usefixtures("local_aws")

FIRST, SECOND = DAYS[:2]
KEYS = [f"events/dt={day}/web.jsonl" for day in DAYS]
LANDING = dg.AssetKey(["landing", "events"])
COMPLETE = dg.AssetCheckKey(LANDING, "complete")


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    with open_pipeline() as opened:
        yield opened


@pytest.fixture
def no_queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    monkeypatch.setenv("LANDFALL_LANDING_QUEUE", "")
    with open_pipeline() as opened:
        yield opened


def land(pipeline: Pipeline, *keys: str) -> None:
    for key in keys:
        day = key.split("dt=")[1][:10]
        pipeline.land(key, json_lines(events(day, range(5))))


def lose(pipeline: Pipeline) -> None:
    """Let nobody hear of what landed so far."""
    for batch in pipeline.landfall.queue.receive(1000):
        pipeline.landfall.queue.delete(batch)


def states(pipeline: Pipeline) -> dict[str, FileState]:
    return {head.key: head.state for head in pipeline.landfall.ledger.files.all()}


def told(pipeline: Pipeline) -> list[tuple[str | None, bool]]:
    """Date (``None`` for all) and verdict of every evaluation of the check, the oldest first."""
    storage = pipeline.instance.event_log_storage
    records = storage.get_asset_check_execution_history(COMPLETE, limit=100)
    evaluations = [each.evaluation for each in reversed(records) if each.evaluation]
    return [(day_of(each), each.passed) for each in evaluations]


def day_of(evaluation: dg.AssetCheckEvaluation) -> str | None:
    found = evaluation.metadata.get("file_date")
    return str(found.value) if found else None


def test_a_single_work_loads_what_no_notification_told_and_tells_dagster(
    pipeline: Pipeline,
) -> None:
    land(pipeline, *KEYS[:2])
    lose(pipeline)
    land(pipeline, KEYS[2])

    pipeline.work()

    assert states(pipeline) == dict.fromkeys(KEYS[:3], FileState.LOADED)
    assert told(pipeline) == [(None, True)]


def test_a_date_with_a_dead_file_fails_until_the_walk_that_finds_a_sound_one(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(pipeline, KEYS[0])
    pipeline.land(KEYS[1], cut_gzip(events(SECOND, range(5))))
    pipeline.work()
    assert command("reconcile").returncode == 0
    pipeline.work()

    land(pipeline, KEYS[1])
    lose(pipeline)
    monkeypatch.setenv("LANDFALL_RECONCILE_SECONDS", "0")
    with open_pipeline() as hasty:
        hasty.work()
        assert states(hasty) == dict.fromkeys(KEYS[:2], FileState.LOADED)
        verdicts = told(hasty)

    assert [each for each in verdicts if each[0]] == [(SECOND, False), (SECOND, True)]
    assert verdicts[-1] == (None, True)


def test_without_a_queue_work_finds_every_file_and_ends(no_queue: Pipeline) -> None:
    land(no_queue, *KEYS[:2])
    no_queue.work()
    assert states(no_queue) == dict.fromkeys(KEYS[:2], FileState.LOADED)

    land(no_queue, KEYS[2])
    no_queue.work()

    assert states(no_queue) == dict.fromkeys(KEYS[:3], FileState.LOADED)
    assert no_queue.work().runs == 0


def test_the_check_executed_by_hand_walks_by_itself_and_gives_the_same_result(
    pipeline: Pipeline,
) -> None:
    land(pipeline, KEYS[0])
    lose(pipeline)
    checks = dg.AssetSelection.checks(COMPLETE)
    by_hand = dg.define_asset_job("by_hand", selection=checks)
    job = dg.Definitions(
        assets=pipeline.definitions.assets,
        asset_checks=pipeline.definitions.asset_checks,
        resources=pipeline.definitions.resources,
        jobs=[by_hand],
    ).resolve_job_def("by_hand")

    result = job.execute_in_process(instance=pipeline.instance)

    (evaluation,) = result.get_asset_check_evaluations()
    assert evaluation.passed
    assert evaluation.metadata["missing"].value == 1
    assert states(pipeline) == {KEYS[0]: FileState.LANDED}


def test_the_command_registers_what_is_missing_and_reports_it_by_date(pipeline: Pipeline) -> None:
    land(pipeline, KEYS[0])
    pipeline.work()
    land(pipeline, KEYS[1])
    pipeline.land("strays/a.csv", b"a\n1\n")
    lose(pipeline)

    one = json.loads(command("reconcile", "--dataset", "events", "--all-dates", "--json").stdout)
    every = command("reconcile")

    assert one["totals"] | {"listed": 2, "missing": 1, "pending": 1, "dead": 0} == one["totals"]
    assert [each["file_date"] for each in one["dates"]] == [FIRST, SECOND]
    assert every.returncode == 0, every.stderr
    assert "3 listed, 2 known, 1 missing, 1 pending, 1 dead" in every.stdout
    assert "run `landfall work" in every.stdout
    assert "strays/a.csv" in every.stdout
    assert states(pipeline)[KEYS[1]] is FileState.LANDED


def test_a_dataset_that_there_is_not_is_named() -> None:
    with open_pipeline():
        ended = command("reconcile", "--dataset", "clicks")

    assert ended.returncode == 2
    assert "clicks" in ended.stderr
