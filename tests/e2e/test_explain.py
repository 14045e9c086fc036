"""Explain: the story of a file and of a row, true to the tables and told in the order of time."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest
from scenario import (
    DAYS,
    Pipeline,
    command,
    cut_gzip,
    event,
    events,
    json_lines,
    open_pipeline,
)

from pipeline_assets.date_refresh import quarantine_table
from pipeline_assets.errors import UnknownFileError, UnknownRowError, UnregisteredFileError
from pipeline_assets.operations.forget import forget
from pipeline_assets.registry import dataset
from pipeline_assets.report import file_named
from pipeline_assets.row_story import Ending, RowStory, read_row_story, row_named
from pipeline_assets.story import AtKey, Tables, read_story
from resources.landfall import Landfall

FIRST, SECOND = DAYS[:2]
A, B = f"events/dt={FIRST}/a.jsonl", f"events/dt={FIRST}/b.jsonl"
CUT = f"events/dt={SECOND}/cut.jsonl.gz"
MALFORMED = b'{"cut": \n'

pytestmark = pytest.mark.usefixtures("local_aws")


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    with open_pipeline() as opened:
        yield opened


@pytest.fixture
def loaded(pipeline: Pipeline) -> Pipeline:
    """Two files of one date, with duplicates between and within them, and three rejected rows."""
    twice = [event(FIRST, 31), event(FIRST, 31)]
    bad = event(FIRST, 90, kind="refund") | {"userId": "anonymous"}
    pipeline.land(A, json_lines([*events(FIRST, range(20)), *events(SECOND, range(3))]))
    later = [*events(FIRST, range(15, 40)), *twice, bad]
    pipeline.land(B, json_lines(later) + MALFORMED + json_lines([event(FIRST, 91)]))
    pipeline.work()
    return pipeline


def row_story(pipeline: Pipeline, name: str) -> RowStory:
    named = row_named(pipeline.landfall, name)
    assert named is not None
    return read_row_story(pipeline.landfall, *named)


def test_a_loaded_files_rows_are_accounted_for_date_by_date(loaded: Pipeline) -> None:
    story = read_story(loaded.landfall, B)

    (account,) = story.accounts
    assert (account.event_date, account.rows, account.malformed) == (FIRST, 30, 1)
    assert (account.silver, account.quarantined, account.duplicates) == (21, 2, 7)
    assert account.tables is Tables.UP_TO_DATE
    assert account.reasons["malformed"] == 1
    assert sum(account.reasons.values()) == 3, "one row breaks two rules"
    first, second = read_story(loaded.landfall, A).accounts
    assert (first.silver, second.silver) == (20, 3)
    told = command("explain", f"s3://{loaded.landfall.bucket.name}/{B}").stdout
    assert "30 rows; 21 in silver, 2 in quarantine" in told
    assert "7 duplicates; the tables are up to date" in told
    assert account.fragment_key in told


def test_a_replayed_file_is_told_in_the_order_of_time_with_its_runs(loaded: Pipeline) -> None:
    loaded.landfall.ledger.files.put_back([loaded.file(B)], "replayed by a test")
    waiting = read_story(loaded.landfall, loaded.file(B).file_id)
    assert waiting.state == "LANDED"
    assert waiting.accounts[0].rows == 30, "the former rows count meanwhile"
    loaded.work()

    told = read_story(loaded.landfall, B).told

    texts = [each.text for each in told]
    assert [text.split()[0] for text in texts] == ["It", "Attempt", "Epoch", "Attempt"]
    assert "replayed by a test" in texts[2]
    assert f"run {loaded.file(B).run_id}," in texts[3]
    assert all(one.at <= other.at for one, other in pairwise(told))


def test_a_dead_file_tells_its_notification_every_attempt_its_letter_and_the_mend(
    pipeline: Pipeline,
) -> None:
    pipeline.land(CUT, cut_gzip(events(SECOND, range(3))))
    pipeline.work()

    story = read_story(pipeline.landfall, CUT)

    texts = [each.text for each in story.told]
    assert "ObjectCreated:Put" in texts[0]
    (attempt,) = [text for text in texts if text.startswith("Attempt")]
    assert "given up: the file is cut" in attempt
    assert "at the same key" in story.what_next
    letters = {each.file_id for each in pipeline.landfall.ledger.files.unreported()}
    assert story.letter is (story.head.file_id not in letters)
    pipeline.landfall.aws.s3.delete_object(Bucket=pipeline.landfall.bucket.name, Key=CUT)
    pipeline.work()
    gone = read_story(pipeline.landfall, CUT)
    assert (gone.state, gone.letter) == ("GONE", None)
    assert gone.told[-1].text == "Its object was deleted after it was given up."


def test_a_file_that_is_not_refreshed_yet_claims_nothing_of_the_tables(pipeline: Pipeline) -> None:
    pipeline.land(A, json_lines([*events(FIRST, range(5)), *events(SECOND, range(3))]))
    pipeline.step()

    here, late = read_story(pipeline.landfall, A).accounts

    assert (here.tables, late.tables) == (Tables.UP_TO_DATE, Tables.TO_BE_REFRESHED)
    assert (late.rows, late.silver, late.duplicates) == (3, None, None)
    assert row_story(pipeline, f"{A}:8").tables is Tables.TO_BE_REFRESHED
    pipeline.work()
    assert read_story(pipeline.landfall, A).accounts[1].silver == 3


def test_every_row_of_a_date_ends_where_the_tables_have_it_and_duplicates_name_the_kept_row(
    loaded: Pipeline,
) -> None:
    head = loaded.file(B)
    stories = [row_story(loaded, f"{head.file_id}:{row}") for row in range(1, 31)]

    assert Counter(each.ending for each in stories) == {
        Ending.SILVER: 21,
        Ending.QUARANTINE: 2,
        Ending.DUPLICATE: 7,
    }
    silver = {(row["_file_id"], row["_row"]): row["event_id"] for row in loaded.silver(FIRST)}
    for story in stories:
        here = (head.file_id, story.row)
        assert (here in silver) == (story.ending is Ending.SILVER)
        if story.kept is not None:
            kept = (story.kept.file_id, story.kept.row)
            assert silver[kept] == story.received["eventId"]
            assert story.kept_key == (A if story.row <= 5 else B)
    table = quarantine_table(dataset("events"))
    kept = loaded.landfall.lake.read(table, FIRST).to_pylist()
    rejected = {story.row: story for story in stories if story.ending is Ending.QUARANTINE}
    assert {row["_row"]: "; ".join(rejected[row["_row"]].reasons) for row in kept} == {
        row["_row"]: row["reasons"] for row in kept
    }
    assert {row["_row"]: row["record"] for row in kept} == {
        row: story.record for row, story in rejected.items()
    }
    (malformed,) = [story for story in stories if story.error]
    assert (malformed.raw, malformed.row) == (MALFORMED.decode().rstrip("\n"), 29)


def test_the_command_tells_of_a_row_in_words_and_as_json(loaded: Pipeline) -> None:
    name = f"{loaded.file(B).file_id}:1"
    told = command("explain", name)
    assert told.returncode == 0, told.stderr
    assert f"It is a duplicate of row 16 of {A} ({loaded.file(A).file_id}:16)." in told.stdout
    assert json.loads(command("explain", name, "--json").stdout)["kept"]["row"] == 16


def test_a_row_that_is_not_there_is_named_with_what_there_is(loaded: Pipeline) -> None:
    forgotten = loaded.file(A)
    with pytest.raises(UnknownRowError, match="numbered 1 to 30"):
        row_story(loaded, f"{B}:31")
    with pytest.raises(UnknownRowError, match="no row 0"):
        row_story(loaded, f"{loaded.file(B).file_id}:0")
    with pytest.raises(UnknownFileError, match="0000000000000000"):
        row_story(loaded, "0000000000000000:1")
    forget(loaded.landfall, forgotten, why="forgotten by a test")
    with pytest.raises(UnknownRowError, match="FORGOTTEN"):
        row_story(loaded, f"{forgotten.file_id}:1")
    with pytest.raises(UnknownRowError, match="no file has so many rows"):
        row_named(loaded.landfall, f"{B}:{'9' * 5000}")
    assert row_named(loaded.landfall, f"{B}:{'0' * 30}7") == (loaded.file(B), 7)
    ended = command("explain", f"{B}:31")
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)


def test_a_forgotten_file_says_why_and_that_a_replay_would_load_it(loaded: Pipeline) -> None:
    forget(loaded.landfall, loaded.file(A), why="asked for by its owner")
    assert "next refresh" in read_story(loaded.landfall, A).what_next
    loaded.work()

    story = read_story(loaded.landfall, A)

    assert (story.state, story.accounts) == ("FORGOTTEN", ())
    assert "asked for by its owner" in story.told[-1].text
    assert "landfall replay --key" in story.what_next


def test_a_colon_and_digits_may_be_the_end_of_a_key(pipeline: Pipeline) -> None:
    key = f"events/dt={FIRST}/at 09:30"
    pipeline.land(key, json_lines(events(FIRST, range(2))))
    pipeline.work()

    assert row_named(pipeline.landfall, key) is None
    assert row_story(pipeline, f"{key}:2").received["eventId"] == f"{FIRST}-1"


@pytest.mark.parametrize("name", [os.fsdecode(b"a\xff"), os.fsdecode(b"a\xff:3"), "", "é" * 600])
def test_a_name_that_no_key_can_have_is_unknown(pipeline: Pipeline, name: str) -> None:
    with pytest.raises(UnknownFileError):
        file_named(pipeline.landfall, name)
    ended = command("explain", name)
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)


def test_a_file_that_has_landed_and_waits_for_a_tick_is_told_as_such(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json_lines(events(FIRST, range(2)))
    for key in (A, "strays/a.csv"):
        pipeline.land(key, content)

    told = command("explain", A, "--json")

    assert told.returncode == 0, told.stderr
    facts = json.loads(told.stdout)
    assert (facts["key"], facts["size"], facts["state"]) == (A, len(content), None)
    assert "landfall work --until-idle" in facts["what_next"]
    with pytest.raises(UnregisteredFileError, match="no dataset"):
        file_named(pipeline.landfall, "strays/a.csv")
    with pytest.raises(UnregisteredFileError, match="has landed"):
        row_named(pipeline.landfall, f"{A}:1")
    monkeypatch.setenv("LANDFALL_LANDING_QUEUE", "")
    with pytest.raises(UnregisteredFileError, match="No queue is set"):
        file_named(Landfall(), A)


def test_what_became_of_the_object_of_a_loaded_file_is_told(loaded: Pipeline) -> None:
    assert read_story(loaded.landfall, A).at_key is AtKey.SAME
    loaded.landfall.aws.s3.delete_object(Bucket=loaded.landfall.bucket.name, Key=A)
    loaded.land(B, json_lines(events(FIRST, range(2))))

    assert read_story(loaded.landfall, A).at_key is AtKey.NOTHING
    assert read_story(loaded.landfall, B).at_key is AtKey.OTHER
    told = command("explain", A).stdout
    assert "It is LOADED" in told
    assert "Its object was deleted from the bucket since: rows that were loaded stay" in told
