"""Forget: a file's rows leave every table and every fragment, and do not come back."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scenario import DAYS, Pipeline, command, event, events, json_lines, open_pipeline

from pipeline_assets.loading import load_file
from pipeline_assets.operations.forget import Forgotten, forget, is_done
from pipeline_assets.registry import dataset
from pipeline_assets.story import read_story
from resources.lake import TableName
from resources.landfall import Landfall
from resources.ledger.model import FileState, RequestedFile

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

FIRST, SECOND = DAYS[:2]
A, B = f"events/dt={FIRST}/a.jsonl", f"events/dt={FIRST}/b.jsonl"
BRONZE = TableName("bronze", "events")
WHY = "forgotten by a test"
DERIVED = [("silver", "events"), ("quarantine", "events")]

pytestmark = pytest.mark.usefixtures("local_aws")


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    with open_pipeline() as opened:
        yield opened


@pytest.fixture
def loaded(pipeline: Pipeline) -> Pipeline:
    """Two files of one date with five rows in common; only the first has rows on the second."""
    pipeline.land(A, json_lines([*events(FIRST, range(20)), *events(SECOND, range(3))]))
    pipeline.land(B, json_lines([*events(FIRST, range(15, 30)), event(FIRST, 90, kind="refund")]))
    pipeline.work()
    return pipeline


def fragments_of(pipeline: Pipeline, key: str) -> list[str]:
    return pipeline.landfall.lake.fragments_of(BRONZE, pipeline.file(key).file_id)


def entries_of(pipeline: Pipeline, key: str) -> list[int]:
    """Epochs of every manifest entry of a file, counted or not."""
    dates, file_id = pipeline.landfall.ledger.dates, pipeline.file(key).file_id
    return [entry.epoch for day in DAYS for entry in dates.entries_of("events", day, file_id)]


class DeadError(Exception):
    """The process died here."""


@contextmanager
def before(
    client: "S3Client | DynamoDBClient", operation: str, act: Callable[[str], None]
) -> Iterator[None]:
    """Let something happen just before each request of one operation is sent."""

    def sent(request: object, **_: object) -> None:
        act(str(getattr(request, "url", "")))

    name = f"before-send.{client.meta.service_model.service_name}.{operation}"
    client.meta.events.register(name, sent)
    try:
        yield
    finally:
        client.meta.events.unregister(name, sent)


def die(_: str) -> None:
    raise DeadError


def test_a_forgotten_files_rows_leave_every_table_and_its_neighbours_stay(loaded: Pipeline) -> None:
    own = loaded.file(A).file_id

    ended = command("forget", "--key", A, "--json")

    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert (said["rows"], said["state"], said["fragments_deleted"]) == (23, "FORGOTTEN", 2)
    assert said["dates"] == {"events": [FIRST, SECOND]}
    loaded.work()
    assert {row["_file_id"] for row in loaded.silver(FIRST)} == {loaded.file(B).file_id}
    assert len(loaded.silver(FIRST)) == 15, "its rows that were duplicates are kept now"
    assert loaded.silver(SECOND) == []
    tables = loaded.content()
    assert not any(own in str(table.to_pylist()) for _, table in tables.partitions.values())
    assert not any(SECOND in item for items in tables.items.values() for item in items)
    assert (fragments_of(loaded, A), entries_of(loaded, A)) == ([], [])
    assert len(fragments_of(loaded, B)) == 1
    assert loaded.dirty() == {}


def test_a_dry_run_forgets_nothing_and_an_unknown_key_is_named(loaded: Pipeline) -> None:
    shown = command("forget", "--key", A, "--dry-run")
    unknown = command("forget", "--key", "events/none.csv")

    assert shown.returncode == 0, shown.stderr
    assert all(text in shown.stdout for text in (A, "23", SECOND, "stays: if it must go too"))
    assert (unknown.returncode, "events/none.csv" in unknown.stderr) == (1, True)
    assert loaded.file(A).state is FileState.LOADED
    assert len(fragments_of(loaded, A)) == 2


def test_every_epochs_fragments_are_deleted(loaded: Pipeline) -> None:
    loaded.land(A, json_lines(events(FIRST, range(3))))
    loaded.work()
    assert (len(fragments_of(loaded, A)), set(entries_of(loaded, A))) == (3, {1, 2})

    done = forget(loaded.landfall, loaded.file(A), why=WHY)

    assert (done.fragments, done.dates) == (3, (FIRST, SECOND))
    assert (fragments_of(loaded, A), entries_of(loaded, A)) == ([], [])


def test_the_landed_object_stays_and_its_bytes_do_not_come_back(loaded: Pipeline) -> None:
    forget(loaded.landfall, loaded.file(A), why=WHY)
    bytes_of = json_lines([*events(FIRST, range(20)), *events(SECOND, range(3))])
    assert loaded.landfall.bucket.stat(A) is not None
    loaded.work()

    loaded.land(A, bytes_of)
    loaded.work()

    assert loaded.file(A).state is FileState.FORGOTTEN
    assert loaded.silver(SECOND) == []
    loaded.land(A, json_lines(events(SECOND, range(2))))
    loaded.work()
    assert (loaded.file(A).state, len(loaded.silver(SECOND))) == (FileState.LOADED, 2)


@pytest.mark.parametrize(
    ("client", "operation"),
    [
        ("s3", "ListObjectsV2"),
        ("s3", "DeleteObjects"),
        ("dynamodb", "Query"),
    ],
)
def test_forgetting_that_died_is_finished_by_a_second_call(
    loaded: Pipeline, client: str, operation: str
) -> None:
    dying = Landfall()
    with before(getattr(dying.aws, client), operation, die), suppress(DeadError):
        forget(dying, loaded.file(A), why=WHY)
    assert loaded.file(A).state is FileState.FORGOTTEN
    assert "landfall forget` again" in read_story(loaded.landfall, A).what_next

    assert command("forget", "--key", A).returncode == 0

    assert is_done(loaded.landfall, loaded.file(A))
    assert (fragments_of(loaded, A), entries_of(loaded, A)) == ([], [])
    loaded.work()
    assert len(loaded.silver(FIRST)) == 15


def test_a_date_that_is_refreshed_while_a_file_is_forgotten_comes_clean_by_itself(
    loaded: Pipeline,
) -> None:
    own = loaded.file(A)
    forgotten: list[Forgotten] = []

    def forget_once(url: str) -> None:
        if own.file_id in url and not forgotten:
            forgotten.append(forget(Landfall(), own, why=WHY))

    with before(loaded.landfall.aws.s3, "GetObject", forget_once):
        refreshed = loaded.materialize(DERIVED, FIRST)
    assert forgotten
    assert not refreshed.success, "the refresh missed a fragment that its manifest counted"
    assert len(loaded.silver(FIRST)) == 30, "the former table stays"

    loaded.work()

    assert loaded.dirty() == {}
    assert len(loaded.silver(FIRST)) == 15


def test_a_run_that_loads_the_file_meanwhile_leaves_only_what_a_second_call_deletes(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    landfall, files = pipeline.landfall, pipeline.landfall.ledger.files
    pipeline.land(A, json_lines(events(FIRST, range(5))))
    pipeline.worker()._tick()
    (claim,) = files.claim([RequestedFile(pipeline.file(A).file_id, 1, 0)], "events")

    forget(landfall, claim.head, why=WHY)
    loaded = load_file(landfall, dataset("events"), claim.head, tmp_path).loaded
    assert files.finish([(claim, loaded)], "a run of its own") == []
    assert len(fragments_of(pipeline, A)) == 1
    again = forget(landfall, pipeline.file(A), why=WHY)

    assert again.fragments == 1
    assert (fragments_of(pipeline, A), entries_of(pipeline, A)) == ([], [])
    pipeline.work()
    assert pipeline.content().partitions == {}


def test_what_is_replayed_while_it_is_forgotten_keeps_its_fragments(loaded: Pipeline) -> None:
    def replay_it(_: str) -> None:
        loaded.landfall.ledger.files.put_back([loaded.file(A)], "replayed by a test")

    other = Landfall()
    with before(other.aws.s3, "ListObjectsV2", replay_it):
        done = forget(other, loaded.file(A), why=WHY)

    assert (done.head.state, done.fragments) == (FileState.LANDED, 0)
    loaded.work()
    assert len(loaded.silver(FIRST)) == 30


def test_rows_that_a_held_date_still_shows_are_told(pipeline: Pipeline) -> None:
    broken = [event(FIRST, number, kind="refund") for number in range(50, 53)]
    pipeline.land(A, json_lines(events(FIRST, range(40))))
    pipeline.land(B, json_lines([*events(FIRST, range(40, 45)), *broken]))
    pipeline.work()

    forget(pipeline.landfall, pipeline.file(A), why=WHY)
    pipeline.work()

    assert pipeline.dirty()[FIRST].held is not None
    assert FIRST in (told := read_story(pipeline.landfall, A).what_next)
    assert "held" in told
