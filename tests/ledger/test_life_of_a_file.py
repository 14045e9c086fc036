"""The arrows of a file's life that need the ticks and the runs around the ledger.

Each name is the arrow. How an attempt ends (``LOADED``, ``FAILED``, ``DEAD``) is
``test_ledger_loading``'s, and what dead runs and withdrawn requests leave is ``test_dead_runs``'s.
"""

from collections.abc import Callable

import pytest
from ledger_pipeline import Pipeline
from ledger_scenario import corrupt
from ledger_surroundings import BUCKET, KEYS

from pipeline_assets.report import carried_by, state_of
from resources.ledger.model import FileHead, FileState, file_id

KEY = KEYS[0]
Way = Callable[[Pipeline], None]


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


def notified(pipeline: Pipeline) -> None:
    messages, pipeline.messages = pipeline.messages, []
    pipeline.settle(messages)


def landed(pipeline: Pipeline, etag: str = "A") -> None:
    pipeline.upload(KEY, etag)
    notified(pipeline)


def queued(pipeline: Pipeline, etag: str = "A") -> None:
    landed(pipeline, etag)
    pipeline.tick()


def loading(pipeline: Pipeline, etag: str = "A") -> None:
    queued(pipeline, etag)
    pipeline.claim(pipeline.new_run(pipeline.standing()[0]))


def failed(pipeline: Pipeline) -> None:
    loading(pipeline)
    (run,) = pipeline.runs
    pipeline.read(run, corrupt())
    pipeline.finish(run)
    pipeline.end(run)


def loaded(pipeline: Pipeline, etag: str = "A") -> None:
    loading(pipeline, etag)
    (run,) = pipeline.runs
    pipeline.read(run)
    pipeline.finish(run)
    pipeline.end(run)


def dead(pipeline: Pipeline) -> None:
    loaded(pipeline, "zip")


def gone(pipeline: Pipeline) -> None:
    landed(pipeline)
    pipeline.delete(KEY)
    notified(pipeline)


def forgotten(pipeline: Pipeline) -> None:
    loaded(pipeline)
    pipeline.forget(head(pipeline))


WAYS: dict[FileState, Way] = {
    FileState.LANDED: landed,
    FileState.QUEUED: queued,
    FileState.LOADING: loading,
    FileState.LOADED: loaded,
    FileState.FAILED: failed,
    FileState.DEAD: dead,
    FileState.GONE: gone,
    FileState.FORGOTTEN: forgotten,
}


def head(pipeline: Pipeline) -> FileHead:
    found = pipeline.ledger.files.head(file_id(BUCKET, KEY))
    assert found is not None
    return found


def state(pipeline: Pipeline) -> FileState:
    """As a person is told it, the run request that carries the file taken into account."""
    return state_of(head(pipeline), carried_by(pipeline.standing()))


def brought_to(pipeline: Pipeline, wanted: FileState) -> None:
    WAYS[wanted](pipeline)
    assert state(pipeline) is wanted


def test_there_is_a_way_to_every_state() -> None:
    assert set(WAYS) == set(FileState)


def test_the_first_event_of_a_key_lands_it(pipeline: Pipeline) -> None:
    landed(pipeline)

    assert (state(pipeline), head(pipeline).epoch) == (FileState.LANDED, 1)


def test_the_first_listing_of_a_key_lands_it(pipeline: Pipeline) -> None:
    pipeline.upload(KEY, "A", notified=False)

    pipeline.list_bucket()

    assert (state(pipeline), head(pipeline).epoch) == (FileState.LANDED, 1)


@pytest.mark.parametrize("before", list(FileState))
def test_other_bytes_land_any_file_with_its_next_epoch(
    pipeline: Pipeline, before: FileState
) -> None:
    brought_to(pipeline, before)
    epoch = head(pipeline).epoch

    landed(pipeline, "B")

    assert (head(pipeline).etag, head(pipeline).epoch) == ("B", epoch + 1)
    assert state(pipeline) is FileState.LANDED


@pytest.mark.parametrize("before", list(FileState))
def test_a_replay_lands_any_file_with_its_next_epoch(pipeline: Pipeline, before: FileState) -> None:
    brought_to(pipeline, before)
    epoch, etag = head(pipeline).epoch, head(pipeline).etag

    pipeline.ledger.files.put_back([head(pipeline)], "replayed")

    assert (head(pipeline).etag, head(pipeline).epoch) == (etag, epoch + 1)
    assert state(pipeline) is FileState.LANDED


@pytest.mark.parametrize("before", list(FileState))
def test_forgetting_any_file_is_its_next_epoch_and_last(
    pipeline: Pipeline, before: FileState
) -> None:
    brought_to(pipeline, before)
    epoch = head(pipeline).epoch

    pipeline.forget(head(pipeline))

    assert state(pipeline) is FileState.FORGOTTEN
    assert head(pipeline).epoch == epoch + (before is not FileState.FORGOTTEN)


@pytest.mark.parametrize("before", list(FileState))
def test_an_event_that_head_does_not_confirm_moves_no_file(
    pipeline: Pipeline, before: FileState
) -> None:
    pipeline.upload(KEY, "C")
    late, pipeline.messages = pipeline.messages, []
    brought_to(pipeline, before)
    known = head(pipeline)

    pipeline.settle(late)

    assert (head(pipeline), state(pipeline)) == (known, before)


@pytest.mark.parametrize("before", [FileState.LANDED, FileState.FAILED])
def test_the_sensor_queues_a_file_that_is_due(pipeline: Pipeline, before: FileState) -> None:
    brought_to(pipeline, before)

    pipeline.tick()

    assert state(pipeline) is FileState.QUEUED


def test_a_run_that_claims_a_queued_file_is_loading_it(pipeline: Pipeline) -> None:
    brought_to(pipeline, FileState.LOADING)

    ((run,), (request,)) = pipeline.runs, pipeline.standing()
    assert request.run_id == run.run_id
    assert [claim.attempt for claim in run.claims] == [1]
    assert pipeline.ledger.runs.last_beat(run.run_id) == 1


@pytest.mark.parametrize(
    "before",
    [FileState.LANDED, FileState.QUEUED, FileState.LOADING, FileState.FAILED, FileState.DEAD],
)
def test_deleting_the_object_of_a_file_that_was_not_loaded_leaves_it_gone(
    pipeline: Pipeline, before: FileState
) -> None:
    brought_to(pipeline, before)
    pipeline.delete(KEY)

    notified(pipeline)

    assert state(pipeline) is FileState.GONE
    assert pipeline.ledger.pending() == []


@pytest.mark.parametrize("before", [FileState.LOADED, FileState.FORGOTTEN])
def test_deleting_the_object_of_a_file_that_was_loaded_moves_nothing(
    pipeline: Pipeline, before: FileState
) -> None:
    brought_to(pipeline, before)
    pipeline.delete(KEY)

    notified(pipeline)

    assert state(pipeline) is before
