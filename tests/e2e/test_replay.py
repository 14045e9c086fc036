"""Replay: landed files are loaded again without being uploaded again."""

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest
from scenario import (
    DAYS,
    LANDFALL,
    Pipeline,
    command,
    cut_gzip,
    event,
    events,
    json_lines,
    open_pipeline,
    small_tree,
)

from pipeline_assets.datasets.events import DATASET
from pipeline_assets.errors import NothingSelectedError, UnknownDatasetError, WrongSelectionError
from pipeline_assets.landings import landing
from pipeline_assets.operations.forget import forget
from pipeline_assets.operations.replay import (
    Fate,
    Selection,
    judge,
    plan_replay,
    replay,
    select,
)
from resources.ledger.model import NO_DATASET, FileState

FIRST, SECOND, THIRD = DAYS[:3]
A, B = f"events/dt={FIRST}/a.jsonl", f"events/dt={SECOND}/b.jsonl"
USAGE_ERROR = 2

pytestmark = pytest.mark.usefixtures("local_aws")


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    with open_pipeline() as opened:
        yield opened


@pytest.fixture
def loaded(pipeline: Pipeline) -> Pipeline:
    """Two files; the second has a row of the third date."""
    pipeline.land(A, json_lines(events(FIRST, range(20))))
    pipeline.land(B, json_lines([*events(SECOND, range(9)), event(THIRD, 1)]))
    pipeline.work()
    return pipeline


def keys_of(pipeline: Pipeline, selection: Selection) -> list[str]:
    return [head.key for head in select(pipeline.landfall, selection)]


def do(pipeline: Pipeline, selection: Selection) -> list[Fate]:
    """Replay a selection; what was made of its files, by key."""
    plan = plan_replay(pipeline.landfall, select(pipeline.landfall, selection))
    assert replay(pipeline.landfall, plan, why="replayed by a test") == len(plan.again)
    return [each.fate for each in (*plan.again, *plan.left)]


def test_replaying_everything_loads_each_file_once_more_and_ends_with_the_same_tables(
    pipeline: Pipeline,
) -> None:
    for key, content in small_tree().items():
        pipeline.land(key, content)
    pipeline.work()
    before = pipeline.content()
    objects = objects_of(pipeline)

    ended = command("replay", "--all", "--json")

    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert (said["replayed"], said["left"]) == (len(small_tree()), [])
    waiting = {pipeline.file(key).state for key in small_tree()}
    assert waiting == {FileState.LANDED}
    assert pipeline.content() == before, "rows stay until they are loaded again"
    pipeline.work()
    epochs = {(pipeline.file(key).epoch, pipeline.file(key).state) for key in small_tree()}
    assert epochs == {(2, FileState.LOADED)}
    assert pipeline.content() == before
    assert objects_of(pipeline) == objects, "nothing was uploaded"


def objects_of(pipeline: Pipeline) -> dict[str, str]:
    s3, bucket = pipeline.landfall.aws.s3, pipeline.landfall.bucket.name
    found = s3.list_object_versions(Bucket=bucket).get("Versions", [])
    return {each["Key"]: each["VersionId"] for each in found}


def test_a_dry_run_shows_files_rows_dates_and_tables_and_changes_nothing(loaded: Pipeline) -> None:
    said = json.loads(command("replay", "--key", B, "--dry-run", "--json").stdout)

    (file,) = said["files"]
    assert (file["key"], file["state"], file["rows"]) == (B, "LOADED", 10)
    assert said["rows"] == 10
    assert said["dates"] == {"events": [SECOND, THIRD]}
    tables = ("silver", "quarantine", "gold", "serving")
    assert {name.split("/")[0] for name in said["partitions"]} == set(tables)
    assert all(days == [SECOND, THIRD] for days in said["partitions"].values())
    assert said["replayed"] is None
    told = command("replay", "--all", "--dry-run").stdout
    assert all(text in told for text in (A, B, "30", THIRD, "serving/daily_event_summary"))
    assert {loaded.file(key).epoch for key in (A, B)} == {1}


def test_a_date_names_its_files_and_those_with_rows_on_it(loaded: Pipeline) -> None:
    loaded.land(f"events/dt={THIRD}/cut.jsonl.gz", cut_gzip(events(THIRD, range(3))))
    loaded.work()
    cut = f"events/dt={THIRD}/cut.jsonl.gz"

    assert keys_of(loaded, Selection(date=FIRST)) == [A]
    assert keys_of(loaded, Selection(date=THIRD)) == [B, cut]
    assert keys_of(loaded, Selection(date=THIRD, dead=True)) == [cut]
    assert keys_of(loaded, Selection(all=True, dead=True, dataset="events")) == [cut]
    assert keys_of(loaded, Selection(key=f"s3://{loaded.landfall.bucket.name}/{A}")) == [A]
    assert keys_of(loaded, Selection(key=loaded.file(B).file_id)) == [B]
    with pytest.raises(NothingSelectedError, match=DAYS[4]):
        keys_of(loaded, Selection(date=DAYS[4]))
    with pytest.raises(NothingSelectedError):
        keys_of(loaded, Selection(key=A, dead=True))


def test_a_dead_file_is_tried_again_and_dies_again_with_its_history(loaded: Pipeline) -> None:
    cut = f"events/dt={FIRST}/cut.jsonl.gz"
    loaded.land(cut, cut_gzip(events(FIRST, range(3))))
    loaded.work()

    assert do(loaded, Selection(all=True, dead=True)) == [Fate.SAME_BYTES]
    assert loaded.landfall.ledger.files.dead("events") == []
    loaded.work()

    head = loaded.file(cut)
    assert (head.state, head.epoch, head.attempts) == (FileState.DEAD, 2, 1)
    assert "replayed by a test" in [step.note for step in head.history]


def test_bytes_that_no_notification_told_of_are_what_a_replay_loads(loaded: Pipeline) -> None:
    loaded.land(A, json_lines(events(FIRST, range(5))))
    for messages in loaded.landfall.queue.receive(10):
        loaded.landfall.queue.delete(messages)

    assert do(loaded, Selection(key=A)) == [Fate.OTHER_BYTES]
    loaded.work()

    assert len(loaded.silver(FIRST)) == 5
    assert loaded.file(A).epoch == 2


def test_a_file_whose_object_is_gone_is_left_with_its_rows_and_named(loaded: Pipeline) -> None:
    bucket = loaded.landfall.bucket.name
    loaded.landfall.aws.s3.delete_object(Bucket=bucket, Key=A)
    loaded.work()

    ended = command("replay", "--all")

    assert ended.returncode == 0, ended.stderr
    assert A in ended.stdout
    assert "its object is gone" in ended.stdout
    assert (loaded.file(A).epoch, loaded.file(B).epoch) == (1, 2)
    loaded.work()
    assert len(loaded.silver(FIRST)) == 20


def test_a_forgotten_file_comes_back_only_by_its_key(loaded: Pipeline) -> None:
    forget(loaded.landfall, loaded.file(A), why="forgotten by a test")

    assert keys_of(loaded, Selection(all=True)) == [B]
    with pytest.raises(NothingSelectedError):
        keys_of(loaded, Selection(date=FIRST))
    assert do(loaded, Selection(key=A)) == [Fate.SAME_BYTES]
    loaded.work()

    assert (loaded.file(A).state, len(loaded.silver(FIRST))) == (FileState.LOADED, 20)


def test_an_object_below_no_dataset_is_left_with_the_mend(loaded: Pipeline) -> None:
    loaded.land("strays/a.csv", b"a,b\n1,2\n")
    loaded.work()

    ended = command("replay", "--all", "--dead")

    assert ended.returncode == 1, ended.stderr
    assert "strays/a.csv" in ended.stdout
    assert "no dataset has its prefix" in ended.stdout
    assert loaded.file("strays/a.csv").state is FileState.DEAD


def test_an_object_whose_prefix_has_become_a_dataset_is_loaded_as_one_of_its(
    loaded: Pipeline,
) -> None:
    key = f"events/dt={FIRST}/early.jsonl"
    loaded.land(key, json_lines(events(FIRST, range(20, 25))))
    for messages in loaded.landfall.queue.receive(10):
        loaded.landfall.queue.delete(messages)
    bucket = loaded.landfall.bucket
    stored = bucket.stat(key)
    assert stored is not None
    before = replace(landing(DATASET, bucket.name, key, stored), dataset=NO_DATASET)
    loaded.landfall.ledger.files.bury(before, UnknownDatasetError(key, ()))
    assert judge(loaded.file(key), stored, None).fate is Fate.NO_DATASET

    assert do(loaded, Selection(all=True, dead=True, dataset="events")) == [Fate.ADOPTED]
    loaded.work()

    assert (loaded.file(key).dataset, loaded.file(key).state) == ("events", FileState.LOADED)
    assert len(loaded.silver(FIRST)) == 25
    assert loaded.landfall.ledger.files.dead(NO_DATASET) == []


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"key": A, "all": True},
        {"date": FIRST, "key": A},
        {"date": "2025-3-1"},
        {"date": "20250301"},
        {"date": "2025-02-30"},
    ],
)
def test_a_selection_is_one_key_one_date_or_all(asked: dict[str, str | bool]) -> None:
    with pytest.raises(WrongSelectionError):
        Selection(**asked)  # type: ignore[arg-type]  # any mixture


def test_the_command_tells_wrong_usage_from_nothing_found(loaded: Pipeline) -> None:
    ended = {
        USAGE_ERROR: [
            command("replay"),
            command("replay", "--date", "yesterday"),
            command("replay", "--all", "--dataset", "clicks"),
        ],
        1: [
            command("replay", "--date", DAYS[4]),
            command("replay", "--key", "events/none.csv"),
        ],
    }

    for code, processes in ended.items():
        assert [each.returncode for each in processes] == [code] * len(processes)
        assert not any("Traceback" in each.stderr for each in processes)
    assert loaded.file(A).epoch == 1


@pytest.mark.parametrize(("answer", "epoch"), [("n", 1), ("y", 2)])
def test_a_person_at_a_terminal_is_asked(loaded: Pipeline, answer: str, epoch: int) -> None:
    person, terminal = pty.openpty()
    os.write(person, f"{answer}\n".encode())
    try:
        ended = subprocess.run(  # noqa: S603  # our own command
            [LANDFALL, "replay", "--key", A],
            stdin=terminal,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(terminal)
        os.close(person)

    assert "Replay them?" in ended.stdout
    assert loaded.file(A).epoch == epoch
    assert ended.returncode == (0 if epoch > 1 else 1)
