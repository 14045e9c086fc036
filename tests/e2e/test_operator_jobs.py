"""The jobs that a person launches in the UI: what the commands do, and nothing by a mere click."""

from collections.abc import Iterator

import dagster as dg
import pytest
from scenario import DAYS, Pipeline, cut_gzip, events, json_lines, open_pipeline

from pipeline_assets.operator_jobs import operator_jobs
from resources.ledger.model import FileState

FIRST = DAYS[0]
A, CUT = f"events/dt={FIRST}/a.jsonl", f"events/dt={FIRST}/cut.jsonl.gz"

pytestmark = pytest.mark.usefixtures("local_aws")


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    with open_pipeline() as opened:
        opened.land(A, json_lines(events(FIRST, range(5))))
        opened.land(CUT, cut_gzip(events(FIRST, range(3))))
        opened.work()
        yield opened


def launch(pipeline: Pipeline, name: str, /, **config: object) -> dg.ExecuteInProcessResult:
    """A run of a job, launched as the UI does."""
    job = pipeline.definitions.resolve_job_def(name)
    (node,) = job.nodes
    return job.execute_in_process(
        instance=pipeline.instance,
        run_config={"ops": {node.name: {"config": config}}},
        raise_on_error=False,
    )


def facts_of(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    """Metadata of a run's only output."""
    assert result.success
    (event,) = result.get_step_success_events()
    outputs = [each for each in result.all_events if each.is_successful_output]
    (output,) = outputs
    assert event.step_key == output.step_key
    metadata = output.step_output_data.metadata
    return {name: value.value for name, value in metadata.items()}


def test_what_changes_something_is_a_dry_run_until_it_is_told_otherwise(
    pipeline: Pipeline,
) -> None:
    replay = facts_of(launch(pipeline, "replay", all=True))
    forget = facts_of(launch(pipeline, "forget", key=A))

    assert (replay["dry_run"], replay["files"], replay["rows"]) == (True, 2, 5)
    assert (forget["dry_run"], forget["rows"], forget["fragments_deleted"]) == (True, 5, 0)
    assert A in str(replay["story"])
    assert A in str(forget["story"])
    assert (pipeline.file(A).state, pipeline.file(A).epoch) == (FileState.LOADED, 1)


def test_replay_and_forget_act_when_they_are_told_to(pipeline: Pipeline) -> None:
    ended = launch(pipeline, "replay", key=A, dry_run=False)
    assert facts_of(ended)["replayed"] == 1
    assert ended.run_id in (pipeline.file(A).history[-1].note or "")
    pipeline.work()
    assert (pipeline.file(A).state, pipeline.file(A).epoch) == (FileState.LOADED, 2)

    facts = facts_of(launch(pipeline, "forget", key=A, dry_run=False))

    assert (facts["fragments_deleted"], pipeline.file(A).state) == (1, FileState.FORGOTTEN)
    pipeline.work()
    assert pipeline.silver(FIRST) == []


def test_explain_dead_letters_and_reconcile_tell_what_the_commands_tell(pipeline: Pipeline) -> None:
    story = facts_of(launch(pipeline, "explain", name=CUT))
    row = facts_of(launch(pipeline, "explain", name=f"{A}:5"))
    dead = facts_of(launch(pipeline, "dead_letters"))
    listed = facts_of(launch(pipeline, "reconcile", dataset="events"))

    assert story["state"] == "DEAD"
    assert "given up" in str(story["story"])
    assert "in silver" in str(row["story"])
    assert dead["dead"] == 1
    assert CUT in str(dead["story"])
    assert (listed["listed"], listed["known"], listed["missing"], listed["dead"]) == (2, 2, 0, 1)


def test_a_job_that_is_asked_for_nothing_sensible_fails_and_says_why(pipeline: Pipeline) -> None:
    wrong = {
        "exactly one": launch(pipeline, "replay"),
        "no date": launch(pipeline, "replay", date="yesterday"),
        "events/none.csv": launch(pipeline, "forget", key="events/none.csv"),
        "none.csv:2": launch(pipeline, "explain", name="events/none.csv:2"),
    }

    for why, result in wrong.items():
        (failed,) = result.get_step_failure_events()
        assert why.removesuffix(":2") in str(failed.step_failure_data.error)


def test_no_job_holds_dates_or_carries_a_request(pipeline: Pipeline) -> None:
    for job in operator_jobs():
        assert job.partitions_def is None
        assert not job.tags
    launch(pipeline, "forget", key=A, dry_run=False)
    assert pipeline.landfall.ledger.requests.open("events").requests == ()
