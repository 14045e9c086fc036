"""Files that load and that somebody should look at: new fields, or no valid row."""

from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import pytest
from alert_inbox import Inbox
from scenario import DAYS, Event, Pipeline, event, events, json_lines, open_pipeline

from pipeline_assets.environment import start
from pipeline_assets.errors import AwsUnreachableError
from pipeline_assets.operations.hollow_files import tell_hollow
from resources.lake import Lake, TableName
from resources.landfall import Landfall
from resources.ledger.model import DateCounts, FileState, UnreportedFile

FIRST, SECOND, *_ = DAYS
HOLLOW = f"events/dt={FIRST}/hollow.jsonl"
BRONZE = dg.AssetKey(["bronze", "events"])


@pytest.fixture
def pipeline(local_aws: object) -> Iterator[Pipeline]:  # noqa: ARG001 - its settings are used
    with open_pipeline() as opened:
        yield opened


def campaign_events(day: str, count: int) -> list[Event]:
    """Events of which every other one has a field that the contract does not name."""
    return [
        {**each, "campaign": "spring"} if number % 2 == 0 else each
        for number, each in enumerate(events(day, range(count)))
    ]


def wrong_events(day: str, count: int) -> list[Event]:
    """Events without the required field userId."""
    return [
        {name: value for name, value in event(day, number).items() if name != "userId"}
        for number in range(count)
    ]


def unknown_fields(pipeline: Pipeline, day: str) -> list[object]:
    """Rows of the table that Dagster shows with bronze's last materialization of a date."""
    records = pipeline.instance.fetch_materializations(
        dg.AssetRecordsFilter(BRONZE, asset_partitions=[day]), limit=1
    ).records
    found = records[0].asset_materialization
    assert found is not None
    table = found.metadata["unknown_fields"]
    assert isinstance(table, dg.TableMetadataValue)
    return [row.data for row in table.records]


def check(pipeline: Pipeline, name: str) -> dg.AssetCheckEvaluation:
    """The result of a check of bronze in the last ingest run."""
    run = pipeline.runs("events_ingest")[0]
    (found,) = [each for each in pipeline.checks(run.run_id) if each.check_name == name]
    return found


def test_unknown_fields_are_rescued_listed_and_warned_of_once(pipeline: Pipeline) -> None:
    pipeline.land(f"events/dt={FIRST}/a.jsonl", json_lines(campaign_events(FIRST, 8)))
    pipeline.work()

    assert unknown_fields(pipeline, FIRST) == [
        {"field": "campaign", "records": 4, "share": 0.5, "example": "spring"}
    ]
    warned = check(pipeline, "no_new_fields")
    assert (warned.passed, warned.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert len(pipeline.silver(FIRST)) == 8
    (key,) = pipeline.stored("bronze/")
    bronze = pipeline.landfall.lake.read_key(key)
    assert bronze is not None
    rescued = bronze.column("_rescued").to_pylist()
    assert [each for each in rescued if each] == ['{"campaign":"spring"}'] * 4

    pipeline.land(f"events/dt={SECOND}/b.jsonl", json_lines(campaign_events(SECOND, 8)))
    pipeline.work()

    assert len(unknown_fields(pipeline, SECOND)) == 1
    assert check(pipeline, "no_new_fields").passed


def test_a_file_without_a_valid_row_loads_and_alerts_once(pipeline: Pipeline) -> None:
    inbox = Inbox(pipeline.landfall)
    pipeline.land(f"events/dt={FIRST}/sound.jsonl", json_lines(events(FIRST, range(40))))
    pipeline.work()
    pipeline.land(HOLLOW, json_lines(wrong_events(FIRST, 3)))
    pipeline.work()
    pipeline.work()

    assert pipeline.file(HOLLOW).state is FileState.LOADED
    (alert,) = inbox.read()
    assert alert.attributes == {"kind": "no_valid_row", "files": "1", "key": HOLLOW}
    assert HOLLOW in alert.text
    assert check(pipeline, "some_row_valid").metadata["keys"].value == [HOLLOW]
    quarantined = pipeline.landfall.lake.read(TableName("quarantine", "events"), FIRST)
    assert quarantined.num_rows == 3


def test_a_file_whose_first_rows_are_wrong_is_no_hollow_file(pipeline: Pipeline) -> None:
    late = f"events/dt={FIRST}/late.jsonl"
    sound = f"events/dt={FIRST}/sound.jsonl"
    pipeline.land(late, json_lines([*wrong_events(FIRST, 10), event(FIRST, 999)]))
    pipeline.land(HOLLOW, json_lines(wrong_events(FIRST, 10)))
    pipeline.land(sound, json_lines(events(FIRST, range(900))))
    pipeline.work()

    assert pipeline.date(FIRST).counts == DateCounts(
        bronze=921, silver=901, quarantined=20, duplicates=0
    )
    assert check(pipeline, "some_row_valid").metadata["keys"].value == [HOLLOW]


def test_an_aws_that_fails_while_a_file_is_looked_at_costs_no_file_an_attempt(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = f"events/dt={FIRST}/sound.jsonl"
    pipeline.land(HOLLOW, json_lines(wrong_events(FIRST, 10)))
    pipeline.land(sound, json_lines(events(FIRST, range(900))))

    def unreachable(*_: object) -> None:
        raise AwsUnreachableError("http://127.0.0.1:1", local=True)

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "copy_fragment", unreachable)
        pipeline.step()

    assert pipeline.file(sound).state is FileState.LOADED
    waiting = pipeline.file(HOLLOW)
    assert (waiting.state, waiting.attempts) == (FileState.FAILED, 0)


def test_what_sns_refuses_to_tell_is_told_later(pipeline: Pipeline) -> None:
    landfall = pipeline.landfall
    landfall.aws.sns.delete_topic(TopicArn=landfall.alerts.topic_arn)
    pipeline.land(HOLLOW, json_lines(wrong_events(FIRST, 3)))
    pipeline.work()
    assert [each.file_id for each in landfall.ledger.notices.hollow()] == [
        pipeline.file(HOLLOW).file_id
    ]

    start(landfall)
    inbox = Inbox(Landfall())
    told = tell_hollow(Landfall())

    assert told == [HOLLOW]
    assert len(inbox.read()) == 1
    assert landfall.ledger.notices.hollow() == []


def test_a_crash_between_the_note_and_the_load_tells_of_it_once_it_is_loaded(
    pipeline: Pipeline,
) -> None:
    landfall = pipeline.landfall
    inbox = Inbox(landfall)
    pipeline.land(HOLLOW, json_lines(wrong_events(FIRST, 3)))
    pipeline.work()
    head = pipeline.file(HOLLOW)
    (first,) = inbox.read()
    later = UnreportedFile(head.file_id, head.epoch + 1)
    landfall.ledger.notices.note_hollow([later])

    assert tell_hollow(landfall) == []
    assert landfall.ledger.notices.hollow() == [later]

    pipeline.land(HOLLOW, json_lines(wrong_events(FIRST, 4)))
    pipeline.work()
    (second,) = inbox.read()
    assert replace(first, text="") == replace(second, text="")
    assert landfall.ledger.notices.hollow() == []


def test_a_note_of_a_file_that_was_replaced_by_a_sound_one_is_dropped(pipeline: Pipeline) -> None:
    inbox = Inbox(pipeline.landfall)
    pipeline.land(HOLLOW, json_lines(events(FIRST, range(3))))
    pipeline.work()
    head = pipeline.file(HOLLOW)
    pipeline.landfall.ledger.notices.note_hollow([UnreportedFile(head.file_id, head.epoch - 1)])

    assert tell_hollow(pipeline.landfall) == []

    assert pipeline.landfall.ledger.notices.hollow() == []
    assert inbox.read() == []
