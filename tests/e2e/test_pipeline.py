"""Small files through every layer: what they must come to, however and how often they land."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import polars as pl
import pytest
from scenario import (
    DAYS,
    LAYERS,
    REFRESHED,
    Content,
    Pipeline,
    command,
    cut_gzip,
    event,
    events,
    forget_tables,
    json_lines,
    open_pipeline,
    small_tree,
)

from pipeline_assets import definitions
from pipeline_assets.dataset import Dataset
from pipeline_assets.datasets.events import DATASET
from pipeline_assets.report import status
from resources.ledger.model import DateCounts, FileState

FIRST, SECOND, THIRD, FOURTH, FIFTH = DAYS
WHOLE = (("bronze", "events"), *REFRESHED)
AFTER_BRONZE = WHOLE[1:]
SILVER = (("silver", "events"), ("quarantine", "events"))


pytestmark = [pytest.mark.usefixtures("local_aws"), pytest.mark.timeout(600)]


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    # Two dates already share a run, so that few runs show the same as many.
    monkeypatch.setenv("LANDFALL_QUIET_RUNS_PER_TICK", "1")
    with open_pipeline() as opened:
        yield opened


def test_late_rows_reach_their_date_and_the_same_tree_again_changes_nothing(
    pipeline: Pipeline,
) -> None:
    for key, content in small_tree().items():
        pipeline.land(key, content)
    pipeline.work()

    assert [pipeline.date(day).counts for day in DAYS] == [
        DateCounts(bronze=47, silver=42, quarantined=0, duplicates=5),
        DateCounts(bronze=27, silver=25, quarantined=2, duplicates=0),
        DateCounts(bronze=8, silver=7, quarantined=0, duplicates=1),
        DateCounts(bronze=11, silver=10, quarantined=0, duplicates=1),
        DateCounts(bronze=5, silver=5, quarantined=0, duplicates=0),
    ]
    objects, fragments = pipeline.stored(), pipeline.stored("bronze/")
    items, runs = pipeline.items(), len(pipeline.runs())

    for key, content in small_tree().items():
        pipeline.land(key, content)
    pipeline.work()

    assert pipeline.stored() == objects
    assert pipeline.stored("bronze/") == fragments
    assert pipeline.items() == items
    assert len(pipeline.runs()) == runs


def landed_in_parts(*parts: list[tuple[str, bytes]]) -> Content:
    with open_pipeline() as pipeline:
        for part in parts:
            for key, content in part:
                pipeline.land(key, content)
            pipeline.work()
        return pipeline.content()


def test_the_order_of_landing_leaves_no_trace_in_any_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDFALL_QUIET_RUNS_PER_TICK", "1")
    tree = list(small_tree().items())
    in_order = landed_in_parts(tree)

    forget_tables(monkeypatch)
    assert landed_in_parts(tree[::-1]) == in_order
    forget_tables(monkeypatch)
    assert landed_in_parts(tree[::2], tree[1::2]) == in_order


def test_one_broken_gzip_among_fifty_good_files_dies_alone_and_is_replaced_by_a_sound_one() -> None:
    broken = f"events/dt={FIRST}/broken.jsonl.gz"
    with open_pipeline() as pipeline:
        for number in range(50):
            key = f"events/dt={FIRST}/{number:02}.jsonl"
            pipeline.land(key, json_lines([event(FIRST, number)]))
        pipeline.land(broken, cut_gzip(events(FIRST, range(50, 60))))
        pipeline.step()

        states = Counter(head.state for head in pipeline.landfall.ledger.files.all())
        assert states == {FileState.LOADED: 50, FileState.DEAD: 1}
        assert pipeline.date(FIRST).counts.silver == 50
        (run,) = pipeline.runs()
        failed = [each for each in pipeline.checks(run.run_id) if not each.passed]
        assert [each.check_name for each in failed] == ["files_loaded"]

        worked = command("work", "--until-idle")
        dead = pipeline.file(broken)
        assert worked.returncode == 1, worked.stdout + worked.stderr
        assert (dead.state, dead.attempts) == (FileState.DEAD, 1)
        assert dead.error is not None
        assert dead.error.kind == "CorruptFileError"
        assert broken in dead.error.message
        assert dead.error.message in worked.stdout
        assert dead.error.message in command("explain", broken).stdout

        pipeline.land(broken, json_lines(events(FIRST, range(50, 60))))
        pipeline.work()
        assert pipeline.file(broken).state is FileState.LOADED
        assert pipeline.date(FIRST).counts.silver == 60
        assert not pipeline.landfall.ledger.files.dead("events")
        assert not status(pipeline.landfall).needs_a_person


def test_a_date_over_the_quarantine_threshold_is_held_and_its_neighbours_go_on(
    pipeline: Pipeline,
) -> None:
    for day in DAYS[:3]:
        pipeline.land(f"events/dt={day}/a.jsonl", json_lines(events(day, range(20))))
    pipeline.work()
    objects, items = pipeline.stored(), pipeline.items()["daily-event-summary"]
    refunds = [event(SECOND, number, kind="refund") for number in range(30, 40)]
    for day in DAYS[:3]:
        more = refunds if day == SECOND else events(day, range(20, 25))
        pipeline.land(f"events/dt={day}/b.jsonl", json_lines(more))

    report = pipeline.work()

    assert list(pipeline.dirty()) == [SECOND]
    held = pipeline.dirty()[SECOND].held
    assert held is not None
    assert "event_type" in held.message
    assert [pipeline.date(day).counts.silver for day in DAYS[:3]] == [25, 20, 25]
    changed = {key for key, was in objects.items() if pipeline.stored()[key] != was}
    # Nobody was new.
    unchanged = {key for key in objects if SECOND in key or "new_users" in key}
    assert changed == objects.keys() - unchanged
    assert not [key for key in set(pipeline.stored()) - set(objects) if SECOND in key]
    kept = set(items) & set(pipeline.items()["daily-event-summary"])
    assert [SECOND in item for item in kept] == [True]

    ended = Counter((run.job_name, run.status) for run in pipeline.runs())
    assert ended == {
        ("events_ingest", dg.DagsterRunStatus.SUCCESS): 1,
        ("events_ingest", dg.DagsterRunStatus.FAILURE): 1,
        ("events_refresh", dg.DagsterRunStatus.SUCCESS): 2,
    }
    assert len(report.failed_runs) == 1
    (failed,) = (run for run in pipeline.runs() if run.is_failure)
    refusing = [
        each
        for each in pipeline.checks(failed.run_id)
        if each.check_name == "quarantine_share" and not each.passed
    ]
    assert [each.partition for each in refusing if each.partition] == [SECOND]
    assert [each.metadata.get("failing_dates") for each in refusing if not each.partition] == [
        dg.MetadataValue.json([SECOND])
    ]
    assert status(pipeline.landfall).needs_a_person

    pipeline.land(f"events/dt={SECOND}/c.jsonl", json_lines(events(SECOND, range(40, 140))))
    pipeline.work()
    assert not pipeline.dirty()
    assert pipeline.date(SECOND).counts.silver == 120
    assert not status(pipeline.landfall).needs_a_person


def test_with_one_file_a_run_ten_files_are_exactly_ten_ingest_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LANDFALL_MAX_FILES_PER_RUN", "1")
    days = [*DAYS, *[FIRST] * 5]
    with open_pipeline() as pipeline:
        for number, day in enumerate(days):
            pipeline.land(f"events/dt={day}/{number}.jsonl", json_lines([event(day, number)]))
        pipeline.work()

        assert len(pipeline.runs("events_ingest")) == len(days)
        assert sum(pipeline.date(day).counts.silver for day in DAYS) == len(days)


def test_a_single_file_is_one_run_through_every_layer_and_every_check(pipeline: Pipeline) -> None:
    pipeline.land(f"events/dt={FIRST}/a.jsonl", json_lines(events(FIRST, range(3))))
    pipeline.work()

    (run,) = pipeline.runs()
    assert run.is_success
    assert [pipeline.materialized(asset) for asset in LAYERS] == [{FIRST}] * len(LAYERS)
    declared = {
        check.name
        for asset in definitions.dataset_assets(DATASET)
        if isinstance(asset, dg.AssetsDefinition)
        for check in asset.check_specs
    }
    evaluated = pipeline.checks(run.run_id)
    assert {each.check_name for each in evaluated} == declared
    assert all(each.passed for each in evaluated)
    assert {each.metadata["event_date"].value for each in evaluated} == {FIRST}


def test_bronze_by_hand_loads_the_files_of_its_date_again_and_changes_no_row(
    pipeline: Pipeline,
) -> None:
    first, second = (f"events/dt={FIRST}/{name}.jsonl" for name in "ab")
    pipeline.land(first, json_lines(events(FIRST, range(5)) + events(SECOND, range(5))))
    pipeline.land(second, json_lines(events(FIRST, range(3, 9))))
    pipeline.work()
    before = pipeline.content()

    assert pipeline.materialize([LAYERS[0]], FIRST).success
    assert [pipeline.file(key).epoch for key in (first, second)] == [2, 2]
    assert sorted(pipeline.dirty()) == [FIRST, SECOND]
    assert pipeline.materialize([LAYERS[0]], FIRST, {"keys": [second]}).success
    assert [pipeline.file(key).epoch for key in (first, second)] == [2, 3]

    pipeline.work()
    assert not pipeline.dirty()
    assert pipeline.content() == before


def test_silver_by_hand_leaves_its_date_to_the_next_tick_and_an_empty_date_writes_nothing(
    pipeline: Pipeline,
) -> None:
    pipeline.land(f"events/dt={FIRST}/a.jsonl", json_lines(events(FIRST, range(5))))
    pipeline.work()
    before, objects = pipeline.content(), pipeline.stored()

    assert pipeline.materialize(WHOLE, FIFTH).success
    assert pipeline.stored() == objects
    assert not pipeline.dirty()

    assert pipeline.materialize(SILVER, FIRST).success
    assert list(pipeline.dirty()) == [FIRST]
    assert pipeline.work().runs == 1
    assert not pipeline.dirty()
    assert pipeline.content() == before


def with_broken_gold() -> Dataset:
    summary, *others = DATASET.gold
    negative = pl.lit(-1, pl.Int64).alias("event_count")
    broken = replace(summary, build=lambda silver: summary.build(silver).with_columns(negative))
    return replace(DATASET, gold=(broken, *others))


def test_gold_that_breaks_its_contract_refuses_the_date_until_the_code_is_mended(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.land(f"events/dt={FIRST}/a.jsonl", json_lines(events(FIRST, range(5))))
    pipeline.work()
    served, gold = pipeline.items(), pipeline.stored("gold/")
    with monkeypatch.context() as broken:
        broken.setattr(definitions, "datasets", lambda: (with_broken_gold(),))
        resources = pipeline.definitions.resources or {}
        faulty = replace(pipeline, definitions=definitions.build_defs(resources))
        assert not faulty.materialize(AFTER_BRONZE, FIRST).success

    held = pipeline.dirty()[FIRST].held
    assert held is not None
    assert "gold/daily_event_summary" in held.message
    assert (pipeline.items(), pipeline.stored("gold/")) == (served, gold)
    pipeline.work()
    assert not pipeline.dirty()


def test_a_missing_fragment_refuses_its_date_and_is_named(pipeline: Pipeline) -> None:
    key = f"events/dt={FIRST}/a.jsonl"
    pipeline.land(key, json_lines(events(FIRST, range(5))))
    pipeline.work()
    objects = pipeline.stored()
    (fragment,) = pipeline.stored("bronze/")
    lake = pipeline.landfall.settings.lake_bucket
    pipeline.landfall.aws.s3.delete_object(Bucket=lake, Key=fragment)
    pipeline.land(f"events/dt={FIRST}/b.jsonl", json_lines(events(FIRST, range(5, 9))))
    pipeline.work()

    held = pipeline.dirty()[FIRST].held
    assert held is not None
    assert fragment in held.message
    assert pipeline.stored() == objects

    assert pipeline.materialize([LAYERS[0]], FIRST, {"keys": [key]}).success
    pipeline.work()
    assert pipeline.date(FIRST).counts.silver == 9
