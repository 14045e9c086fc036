"""Files that die in real runs: their letters, their list, and `landfall work` that ends."""

import json
import uuid
from collections.abc import Iterator

import pytest
from alert_inbox import Inbox, letters
from scenario import DAYS, Pipeline, command, cut_gzip, events, json_lines, open_pipeline

FIRST = DAYS[0]
BROKEN = f"events/dt={FIRST}/broken.jsonl.gz"
STRAY = "strays/a b.csv"
USAGE_ERROR = 2

pytestmark = [pytest.mark.usefixtures("local_aws"), pytest.mark.timeout(600)]


@pytest.fixture
def pipeline(local_aws: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:  # noqa: ARG001 - first
    monkeypatch.setenv("LANDFALL_DEAD_LETTER_QUEUE", f"letters-{uuid.uuid4().hex[:12]}")
    monkeypatch.setenv("LANDFALL_MAX_ATTEMPTS", "2")
    with open_pipeline() as opened:
        yield opened


def land(pipeline: Pipeline) -> None:
    """A sound file, one that no run can read, and one that no dataset knows."""
    pipeline.land(f"events/dt={FIRST}/sound.jsonl", json_lines(events(FIRST, range(5))))
    pipeline.land(BROKEN, cut_gzip(events(FIRST, range(5, 10))))
    pipeline.land(STRAY, b"a,b\n1,2\n")


def test_work_sends_what_its_last_runs_buried_before_it_ends(pipeline: Pipeline) -> None:
    inbox = Inbox(pipeline.landfall)
    land(pipeline)

    report = pipeline.work()

    assert report.unsent is None
    assert report.backlog is not None
    assert report.backlog.letters == 0
    found = {str(each["key"]): each for each in letters(pipeline.landfall)}
    assert set(found) == {BROKEN, STRAY}
    attempts = found[BROKEN]["attempts"]
    assert isinstance(attempts, list)
    runs = [run.run_id for run in pipeline.runs("events_ingest")]
    assert len(attempts) == 1
    assert {each["run_id"] for each in attempts} <= set(runs)
    assert found[BROKEN]["stage"] == "bronze"
    assert "Traceback" in str(found[BROKEN]["stack"])
    assert {each.attributes["kind"] for each in inbox.read()} == {"dead_files"}


def test_work_ends_with_one_and_says_so_when_letters_cannot_be_sent(pipeline: Pipeline) -> None:
    land(pipeline)
    sqs, name = pipeline.landfall.aws.sqs, pipeline.landfall.settings.dead_letter_queue
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"])

    ended = command("work", "--until-idle", "--json")

    assert ended.returncode == 1
    assert name in ended.stderr
    told = json.loads(ended.stdout)
    assert name in told["unsent"]
    assert told["backlog"]["letters"] == 2
    assert not told["timed_out"]
    assert len(pipeline.landfall.ledger.files.unreported()) == 2
    assert "2 not sent yet" in command("dead-letters").stdout


def test_dead_files_are_listed_with_their_cause_and_what_to_do(pipeline: Pipeline) -> None:
    land(pipeline)
    pipeline.work()

    listed = command("dead-letters", "--json")

    assert listed.returncode == 0
    told = json.loads(listed.stdout)
    assert (told["dead_letters"], told["landing_dead_letters"], told["unreported"]) == (2, 0, 0)
    broken, stray = sorted(told["files"], key=lambda each: str(each["key"]))
    assert (broken["key"], broken["dataset"], broken["attempts"]) == (BROKEN, "events", 1)
    assert broken["error"] == "CorruptFileError"
    assert "sound file" in broken["next_step"]
    assert (stray["key"], stray["dataset"], stray["attempts"]) == (STRAY, "(no dataset)", 0)
    assert "delete the object" in stray["next_step"]
    head = pipeline.file(BROKEN)
    assert head.error is not None
    assert (broken["message"], broken["at"]) == (head.error.message, head.error.at)

    shown = command("dead-letters")
    assert shown.returncode == 0
    assert "CorruptFileError" in shown.stdout
    assert "dead-letter queue: 2 messages" in shown.stdout


def test_the_list_can_be_of_one_dataset(pipeline: Pipeline) -> None:
    land(pipeline)
    pipeline.work()

    of_events = json.loads(command("dead-letters", "--dataset", "events", "--json").stdout)
    unknown = command("dead-letters", "--dataset", "clicks")

    assert [each["key"] for each in of_events["files"]] == [BROKEN]
    assert unknown.returncode == USAGE_ERROR
    assert "'events'" in unknown.stderr


def test_without_dead_files_it_says_so(pipeline: Pipeline) -> None:
    assert pipeline.landfall.ledger.files.unreported() == []

    shown = command("dead-letters")

    assert shown.returncode == 0
    assert "No file is dead." in shown.stdout
