"""A slice of `make faults`, and whether the harness would notice."""

import io
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fault_calls import Call, Counts, name
from fault_campaign import Results, plan, run_trial
from fault_lane import WORK_SECONDS, Lanes, Place, open_lanes
from fault_oracle import Calls, Oracle
from fault_processes import plain_environment
from fault_report import report
from fault_scenario import DAY, FRESH, OVERWRITTEN
from fault_tables import compare, read_content
from fault_trials import Kind, Trial

from resources.ledger.model import file_id

SILVER = f"silver/events/event_date={DAY}/part-0.parquet"
HEARTBEAT = "UpdateItem run#RUN/head"


@dataclass(frozen=True)
class Harness:
    """What all tests of a worker share."""

    lanes: Lanes
    oracle: Oracle
    calls: Calls

    def call(self, beginning: str) -> str:
        """The first recorded call that begins so."""
        return next(call for call in self.calls.common if call.startswith(beginning))


@pytest.fixture(scope="module")
def harness() -> Iterator[Harness]:
    kept = plain_environment()
    with pytest.MonkeyPatch.context() as patch:
        for variable in set(os.environ) - set(kept):
            if not variable.startswith("PYTEST_"):
                patch.delenv(variable)
        with open_lanes() as lanes:
            oracle = Oracle(lanes)
            yield Harness(lanes, oracle, oracle.record(recordings=1))


SLICE: Mapping[Kind, Callable[[Harness], str]] = {
    Kind.KILL_BEFORE: lambda harness: harness.call(f"PutObject landfall-lake/{SILVER}"),
    Kind.KILL_AFTER: lambda harness: harness.call("DeleteMessageBatch"),
    Kind.STOPPED: lambda harness: harness.call(f"UpdateItem date#events#{DAY}/head"),
    Kind.NOTIFICATIONS: lambda _: "",
    Kind.THROTTLING: lambda _: "",
    Kind.CUT: lambda _: "",
    Kind.RESTART: lambda harness: harness.call("TransactWriteItems"),
    Kind.CLOCKS: lambda _: "",
    Kind.RACE: lambda _: "",
    Kind.OVERWRITE: lambda harness: (
        f"{FRESH} BA backwards @ {harness.call('GetObject landfall-landing')}"
    ),
    Kind.MEMORY: lambda _: FRESH,
}


@pytest.mark.parametrize("kind", list(Kind))
def test_a_fault_of_each_kind_leaves_what_an_undisturbed_run_leaves(
    harness: Harness, kind: Kind
) -> None:
    trial = Trial(kind, SLICE[kind](harness), seed=3)

    outcome = run_trial(trial, harness.lanes, harness.oracle)

    assert outcome.fired
    assert outcome.verdict.is_clean, outcome.verdict


def test_a_campaign_has_more_than_a_thousand_trials_of_every_kind(harness: Harness) -> None:
    trials = plan(harness.calls, seed=1)

    assert len(trials) >= 1000
    assert len({trial.id for trial in trials}) == len(trials)
    assert {trial.kind for trial in trials} == set(Kind)
    kills = {trial.at for trial in trials if trial.kind is Kind.KILL_BEFORE and not trial.real}
    assert kills == {*harness.calls.common, *harness.calls.differing}


def test_two_undisturbed_runs_make_the_same_calls_but_for_those_that_go_by_time(
    harness: Harness,
) -> None:
    calls = harness.oracle.record(recordings=2)

    assert len(calls.common) > 150
    for call in calls.differing:
        assert call.startswith((HEARTBEAT, "Get", "Query", "Receive", "BatchGet")), call


def _die_at_registering(place: Place, action: str) -> int | None:
    head = file_id(place.landfall.bucket.name, FRESH)
    place.plan(action=action, at=f"PutItem file#{head}/head #1")
    return place.work().wait(WORK_SECONDS)


@pytest.mark.parametrize(("action", "registered"), [("kill-before", False), ("kill-after", True)])
def test_a_kill_really_kills_before_the_request_or_after_it_took_effect(
    harness: Harness, action: str, *, registered: bool
) -> None:
    with harness.lanes.place(action) as place:
        code = _die_at_registering(place, action)
        head = place.landfall.ledger.files.head(file_id(place.landfall.bucket.name, FRESH))

    assert code == -signal.SIGKILL
    assert (head is not None) is registered


def test_a_worker_with_another_clock_writes_its_own_time(harness: Harness) -> None:
    with harness.lanes.place("clock") as place:
        place.plan(clock={"1": 300.0}, action="kill-after", at=harness.call("TransactWriteItems"))
        place.work().wait(WORK_SECONDS)
        head = place.landfall.ledger.files.head(file_id(place.landfall.bucket.name, FRESH))

    assert head is not None
    ahead = datetime.fromisoformat(head.history[0].at) - datetime.now(UTC)
    assert timedelta(seconds=240) < ahead <= timedelta(seconds=300)


def _change_silver(place: Place, change: Callable[[pa.Table], pa.Table]) -> pa.Table:
    """Put other rows in silver's place; gives those that were there."""
    s3, bucket = place.landfall.aws.s3, place.landfall.settings.lake_bucket
    answer = s3.get_object(Bucket=bucket, Key=SILVER)
    before = pq.read_table(io.BytesIO(answer["Body"].read()))
    written = io.BytesIO()
    pq.write_table(change(before), written)
    s3.put_object(
        Bucket=bucket, Key=SILVER, Body=written.getvalue(), Metadata=dict(answer["Metadata"])
    )
    return before


def test_lost_doubled_and_reordered_rows_and_stuck_files_are_noticed(
    harness: Harness,
) -> None:
    reference = harness.oracle.content("")
    with harness.lanes.place("tampered") as place:
        untouched = compare(reference, read_content(place.landfall))
        assert untouched.stuck > 0, "the landed files wait: nothing has worked yet"
        assert untouched.lost > 0
        place.work().wait(WORK_SECONDS)
        assert compare(reference, read_content(place.landfall)).is_clean

        silver = _change_silver(place, lambda table: table.slice(1))
        lost = compare(reference, read_content(place.landfall))
        assert (lost.lost, lost.doubled, lost.stuck) == (1, 0, 0)

        _change_silver(place, lambda table: pa.concat_tables([table, table.slice(0, 2)]))
        doubled = compare(reference, read_content(place.landfall))
        assert (doubled.lost, doubled.doubled, doubled.stuck) == (1, 2, 0)

        _change_silver(place, lambda _: silver.take(list(range(silver.num_rows))[::-1]))
        reordered = compare(reference, read_content(place.landfall))
        assert (reordered.lost, reordered.doubled, reordered.differences) == (0, 0, 1)

        head = place.landfall.ledger.files.head(file_id(place.landfall.bucket.name, OVERWRITTEN))
        assert head is not None
        place.landfall.ledger.files.put_back([head], "for a test")
        assert compare(reference, read_content(place.landfall)).stuck > 0


def test_a_dead_letter_that_is_missing_or_of_no_dead_file_is_noticed(harness: Harness) -> None:
    reference = harness.oracle.content("")
    (letter,) = reference.letters

    unsent = compare(reference, replace(reference, letters=frozenset()))
    needless = compare(reference, replace(reference, letters=frozenset({letter, "another-1"})))

    assert (unsent.lost, unsent.doubled) == (1, 0)
    assert (needless.lost, needless.doubled) == (0, 1)


def test_the_recorded_calls_have_the_letter_the_alert_and_the_walk(harness: Harness) -> None:
    for beginning in (
        "SendMessageBatch landfall-dead-letters",
        "Publish landfall-alerts",
        "PutItem listing/walk",
        "ListObjects landfall-landing",
    ):
        assert harness.call(beginning)


def _item(number: int) -> str:
    return f'{{"PutRequest": {{"Item": {{"pk": {{"S": "a"}}, "sk": {{"S": "{number}"}}}}}}}}'


def test_a_batch_is_the_same_call_in_any_order_and_another_one_with_other_items() -> None:
    def batch(*numbers: int) -> tuple[str, str]:
        items = ", ".join(map(_item, numbers))
        body = f'{{"RequestItems": {{"table": [{items}]}}}}'
        return name(
            "POST", "/", {"X-Amz-Target": "DynamoDB_20120810.BatchWriteItem"}, body.encode()
        )

    assert batch(1, 2) == batch(2, 1)
    assert batch(1, 2) != batch(1, 3)


def test_calls_are_counted_by_operation_and_key_whatever_the_run_id() -> None:
    counts = Counts()
    for run in ("0a1b2c3d-0000-4000-8000-000000000001", "0a1b2c3d-0000-4000-8000-000000000002"):
        body = f'{{"TableName": "t", "Key": {{"pk": {{"S": "run#{run}"}}, "sk": {{"S": "head"}}}}}}'
        target = {"X-Amz-Target": "DynamoDB_20120810.UpdateItem"}
        last = counts.number(*name("POST", "/", target, body.encode()))

    assert last == Call("UpdateItem", "run#RUN/head", 2)
    assert counts.number("GetItem", "run#RUN/head").ordinal == 1


def test_results_of_other_code_are_not_taken_for_this_code_s(tmp_path: Path) -> None:
    Results(tmp_path / "results", "old").add({"id": "a trial"})

    assert Results(tmp_path / "results", "new").read() == {}
    assert list(Results(tmp_path / "results", "old").read()) == ["a trial"]


def test_the_page_says_so_when_trials_are_missing_or_not_clean() -> None:
    trial = {"kind": Kind.RACE.value, "real": False}
    verdict = {
        "lost": 2,
        "doubled": 0,
        "stuck": 0,
        "differences": 0,
        "notes": ["silver: 2 missing"],
    }
    facts = {"id": "race | seed 1", "trial": trial, "verdict": verdict, "fired": True}
    facts |= {"files": 4, "records": 67, "recovery": 1.5}

    page = report([facts], planned=1000, code="abc")

    assert "Not the whole: only 1 of the 1000" in page
    assert "| 1 | 4 | 67 | 2 | 0 | 0 | 0 | 1.5 s, 1.5 s |" in page
    assert "`race | seed 1`: silver: 2 missing" in page
