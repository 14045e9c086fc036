"""What is always true of the ledger, and what is true once nothing is left to do."""

import itertools

from ledger_pipeline import Pipeline, etag_of
from ledger_scenario import DATASET
from ledger_surroundings import BUCKET, CONTENTS, DAYS, SETTINGS, UNREADABLE

from resources.ledger.model import UNFINISHED, FileHead, FileState, Step, file_id

ARROWS = {
    FileState.LANDED: {FileState.LOADED, FileState.FAILED, FileState.DEAD, FileState.GONE},
    FileState.FAILED: {FileState.LOADED, FileState.FAILED, FileState.DEAD, FileState.GONE},
    FileState.LOADED: set[FileState](),
    FileState.DEAD: {FileState.GONE},
    FileState.GONE: set[FileState](),
    FileState.FORGOTTEN: set[FileState](),
}
"""Where a file may go within an epoch. ``QUEUED`` and ``LOADING`` are its run request's."""
NEW_EPOCH = {FileState.LANDED, FileState.FORGOTTEN}
"""How an epoch may begin: other bytes or a replay, or being forgotten."""
TRIES = {
    FileState.LOADED: {1},
    FileState.FAILED: {0, 1},
    FileState.DEAD: {1},
    FileState.GONE: {0},
}
"""How many attempts the way into a state counts; a fault of the environment is none."""


def files_move_only_along_the_arrows(pipeline: Pipeline) -> None:
    for head in pipeline.ledger.files.all():
        assert head.attempts <= SETTINGS.max_attempts
        for before, after in itertools.pairwise(head.history):
            _assert_step(before, after)


def _assert_step(before: Step, after: Step) -> None:
    was, now = FileState(before.state), FileState(after.state)
    if after.epoch != before.epoch:
        assert (after.epoch, after.attempt) == (before.epoch + 1, 0)
        assert now in NEW_EPOCH, f"{was} -> {now} with a new epoch"
        return
    assert now in ARROWS[was], f"{was} -> {now}"
    assert after.attempt - before.attempt in TRIES[now]


def entries_count_if_and_only_if_their_file_was_loaded_with_their_epoch(
    pipeline: Pipeline,
) -> None:
    loaded = [
        (head, pipeline.read_as[head.file_id, head.loaded_epoch])
        for head in pipeline.ledger.files.all()
        if head.loaded_epoch
    ]
    for day in DAYS:
        expected = {
            (head.file_id, head.loaded_epoch, etag)
            for head, etag in loaded
            if day in CONTENTS[etag]
        }
        counting = pipeline.ledger.dates.manifest(DATASET, day)
        found = {(each.file_id, each.epoch, etag_of(each.fragment_key)) for each in counting}
        assert found == expected


def dates_with_a_change_since_their_last_clean_version_are_dirty(pipeline: Pipeline) -> None:
    """Or are owed by a file whose pending item still leads to them."""
    pending = {(each.file_id, each.epoch) for each in pipeline.ledger.pending()}
    owed: set[str] = set()
    for head in pipeline.ledger.files.all():
        unsettled = head.epoch if head.state is FileState.FORGOTTEN else head.loaded_epoch
        if unsettled and (head.file_id, unsettled) in pending:
            owed |= {*head.dates, *head.former_dates}
    for day in set(DAYS) - owed - set(pipeline.ledger.dirty()):
        assert pipeline.tables[day].fragments == pipeline.manifest_of(day)


def no_attempt_at_a_file_is_requested_twice(pipeline: Pipeline) -> None:
    files = [file for request in pipeline.standing() for file in request.run.files]
    assert len(set(files)) == len(files)


def dead_files_are_reported_or_led_to(pipeline: Pipeline) -> None:
    """A dead file's letter was sent, is in the outbox, or its pending item leads a run to it."""
    led_to = {(each.file_id, each.epoch) for each in pipeline.ledger.pending()}
    outbox = {(each.file_id, each.epoch) for each in pipeline.ledger.files.unreported()}
    for head in in_state(pipeline, FileState.DEAD):
        assert (head.file_id, head.epoch) in pipeline.letters | outbox | led_to


INVARIANTS = (
    files_move_only_along_the_arrows,
    entries_count_if_and_only_if_their_file_was_loaded_with_their_epoch,
    dates_with_a_change_since_their_last_clean_version_are_dirty,
    no_attempt_at_a_file_is_requested_twice,
    dead_files_are_reported_or_led_to,
)


def in_state(pipeline: Pipeline, *states: FileState) -> list[FileHead]:
    return [head for head in pipeline.ledger.files.all() if head.state in states]


def head_of(pipeline: Pipeline, key: str) -> FileHead:
    head = pipeline.ledger.files.head(file_id(BUCKET, key))
    assert head is not None, f"{key} landed and nobody knows it"
    return head


def assert_at_rest(pipeline: Pipeline) -> None:
    """Nothing is unfinished, and tables and lists say what the heads say."""
    ledger = pipeline.ledger
    assert in_state(pipeline, *UNFINISHED) == []
    dead = {each.file_id for each in ledger.files.dead(DATASET)}
    assert dead == {head.file_id for head in in_state(pipeline, FileState.DEAD)}
    for key, etag in pipeline.bucket.etags.items():
        head = head_of(pipeline, key)
        assert head.etag == etag
        ended = {FileState.DEAD} if etag in UNREADABLE else {FileState.LOADED, FileState.DEAD}
        assert head.state in ended | {FileState.FORGOTTEN}
    for day in DAYS:
        assert pipeline.tables[day].fragments == pipeline.manifest_of(day)
        assert not (known := ledger.dates.head(DATASET, day)) or not known.dirty
        _assert_nothing_of_what_was_forgotten(pipeline, day)


def _assert_nothing_of_what_was_forgotten(pipeline: Pipeline, day: str) -> None:
    for head in in_state(pipeline, FileState.FORGOTTEN):
        assert not any(head.file_id in fragment for fragment in pipeline.tables[day].fragments)
