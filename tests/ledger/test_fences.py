"""Each fence by itself, at the one moment that it is there for."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from ledger_memory import Meanwhile, MemoryTable
from ledger_scenario import (
    DATASET,
    DAY,
    KEY,
    NEXT_DAY,
    OTHER_RUN,
    RUN,
    LedgerParts,
    corrupt,
    fragment,
    outcome,
    requested,
)

from pipeline_assets.errors import (
    DateRefusedError,
    OtherBytesError,
    RefreshDiedError,
    RunCanceledError,
)
from resources.ledger.files import Claim
from resources.ledger.items import head_key
from resources.ledger.model import FileState, utc_text
from resources.ledger.registering import Registration
from resources.ledger.table import Change
from resources.settings import Settings

MEMORY = Settings.model_construct(backoff_seconds=0.0, backoff_max_seconds=0.0, max_attempts=9)


@pytest.fixture
def table() -> MemoryTable:
    return MemoryTable()


@pytest.fixture
def ledger(table: MemoryTable) -> LedgerParts:
    return LedgerParts(table, MEMORY)


def meanwhile(table: MemoryTable, act: Callable[[], object], *, call: int = 1) -> None:
    """Let another process act just before the next write, or a later one."""
    table.interruption = Meanwhile(table, call, takes_effect=False, act=act)


def test_of_two_sensors_that_register_an_object_at_once_the_later_changes_nothing(
    table: MemoryTable, ledger: LedgerParts
) -> None:
    landed = ledger.upload("A")

    def register_and_load() -> None:
        ledger.register(landed)
        ledger.load(DAY)

    meanwhile(table, register_and_load)
    assert ledger.register(landed) == [Registration.KNOWN]

    assert (ledger.head().state, ledger.head().epoch) == (FileState.LOADED, 1)
    assert ledger.manifest() == [(KEY, "A")]


def test_a_worker_whose_file_was_overwritten_as_it_finished_finishes_nothing(
    table: MemoryTable, ledger: LedgerParts
) -> None:
    ledger.land("A")
    claim = ledger.claim_one()

    # The manifest entry is written first and the head second: the overwrite comes between.
    meanwhile(table, lambda: ledger.land("B"), call=2)
    assert ledger.files.finish([(claim, outcome(claim.head, DAY))], RUN) == []

    assert (ledger.head().etag, ledger.head().state) == ("B", FileState.LANDED)
    assert ledger.manifest() == []


def claimed_a_second_time(ledger: LedgerParts) -> Claim:
    """A claim of a file that has failed once: it is ``FAILED`` before and after it is given up."""
    ledger.land("A")
    ledger.files.fail(ledger.claim_one(), corrupt(), RUN)
    return ledger.claim_one()


def test_a_worker_whose_later_attempt_was_given_up_finishes_nothing(ledger: LedgerParts) -> None:
    claim = claimed_a_second_time(ledger)
    ledger.files.give_up([requested(each) for each in ledger.pending()], DATASET, RUN)
    assert ledger.head().state is claim.head.state

    assert ledger.files.finish([(claim, outcome(claim.head, DAY))], RUN) == []

    assert (ledger.head().attempts, ledger.manifest()) == (2, [])


def test_a_worker_whose_later_attempt_was_given_up_fails_nothing(ledger: LedgerParts) -> None:
    claim = claimed_a_second_time(ledger)
    ledger.files.give_up([requested(each) for each in ledger.pending()], DATASET, RUN)

    assert ledger.files.fail(claim, corrupt(), RUN) is None

    assert ledger.head().attempts == 2


def test_a_worker_whose_object_was_noted_as_deleted_finishes_nothing(ledger: LedgerParts) -> None:
    ledger.land("A")
    claim = ledger.claim_one()
    ledger.files.gone(ledger.head())

    assert ledger.files.finish([(claim, outcome(claim.head, DAY))], RUN) == []

    assert (ledger.head().state, ledger.manifest()) == (FileState.GONE, [])


def test_a_worker_whose_file_was_forgotten_finishes_nothing(ledger: LedgerParts) -> None:
    ledger.land("A")
    claim = ledger.claim_one()
    ledger.files.forget(ledger.head(), "on purpose")

    assert ledger.files.finish([(claim, outcome(claim.head, DAY))], RUN) == []

    assert (ledger.head().state, ledger.manifest()) == (FileState.FORGOTTEN, [])


def test_entries_that_a_late_worker_writes_for_an_older_epoch_never_count(
    ledger: LedgerParts,
) -> None:
    ledger.land("A")
    late = ledger.claim_one()
    ledger.land("B")
    ledger.load(NEXT_DAY)

    ledger.dates.add_entries([fragment(late.head, DAY), fragment(late.head, NEXT_DAY)])

    assert ledger.manifest(DAY) == []
    assert ledger.manifest(NEXT_DAY) == [(KEY, "B")]


def test_entries_of_a_newer_epoch_do_not_count_before_it_is_loaded(ledger: LedgerParts) -> None:
    ledger.land("A")
    ledger.load(DAY)
    newer = ledger.land("B")

    ledger.dates.add_entries([fragment(newer, DAY), fragment(newer, NEXT_DAY)])

    assert ledger.manifest(DAY) == [(KEY, "A")]
    assert ledger.manifest(NEXT_DAY) == []


def test_a_date_that_a_file_turns_while_it_is_refreshed_is_not_clean(
    table: MemoryTable, ledger: LedgerParts
) -> None:
    ledger.land("A")
    ledger.load(DAY)
    held = ledger.dates.open(DATASET, DAY, RUN)
    assert held is not None

    meanwhile(table, lambda: ledger.dates.raise_versions([(DATASET, DAY)]))
    assert not ledger.dates.close(held, RUN)

    assert ledger.dirty() == {DAY: 2}


def test_a_date_that_a_file_turns_as_its_mark_is_taken_away_stays_marked(
    table: MemoryTable, ledger: LedgerParts
) -> None:
    ledger.land("A")
    ledger.load(DAY)
    held = ledger.dates.open(DATASET, DAY, RUN)
    assert held is not None

    meanwhile(table, lambda: ledger.dates.raise_versions([(DATASET, DAY)]), call=2)
    ledger.dates.close(held, RUN)

    assert ledger.dirty() == {DAY: 2}


def test_a_mark_of_an_older_version_never_hides_a_newer_one(
    table: MemoryTable, ledger: LedgerParts
) -> None:
    ledger.land("A")
    ledger.load(DAY)

    # The version is raised first and the mark put second: another file raises it again between.
    meanwhile(table, lambda: ledger.dates.raise_versions([(DATASET, DAY)]), call=2)
    ledger.dates.raise_versions([(DATASET, DAY)])

    assert ledger.dirty() == {DAY: 3}


def test_a_date_taken_over_from_a_run_that_may_still_write_is_refreshed_once_more(
    ledger: LedgerParts,
) -> None:
    ledger.land("A")
    ledger.load(DAY)
    ledger.dates.open(DATASET, DAY, RUN)
    taken = ledger.dates.take_over(DATASET, DAY, run_id=OTHER_RUN, dead_run=RUN)
    assert taken is not None

    assert not ledger.dates.close(taken, OTHER_RUN)

    assert ledger.dirty() == {DAY: 2}, "at a later version, or equal content would not be written"
    assert ledger.refresh(run_id=OTHER_RUN)
    assert ledger.dirty() == {}


@pytest.mark.parametrize("then", ["forgotten", "replayed"])
def test_other_bytes_are_registered_though_another_step_overtakes_their_registration(
    table: MemoryTable, ledger: LedgerParts, then: str
) -> None:
    head = ledger.land("A")
    landed = ledger.upload("B")
    steps: dict[str, Callable[[], object]] = {
        "forgotten": lambda: ledger.files.forget(head, "on purpose"),
        "replayed": lambda: ledger.files.put_back([head], "again"),
    }
    meanwhile(table, steps[then], call=2)

    ledger.register(landed)

    assert (ledger.head().etag, ledger.head().state) == ("B", FileState.LANDED)


def test_an_overwritten_file_keeps_the_event_that_brought_its_bytes(ledger: LedgerParts) -> None:
    ledger.land("A")
    event = '{"eventName": "ObjectCreated:Put"}'

    ledger.register(replace(ledger.upload("B"), event=event))

    assert ledger.head().event == event


def test_a_worker_that_lost_its_date_refuses_nothing(ledger: LedgerParts) -> None:
    ledger.land("A")
    ledger.load(DAY)
    lost = ledger.dates.open(DATASET, DAY, RUN)
    assert lost is not None
    taken = ledger.dates.take_over(DATASET, DAY, run_id=OTHER_RUN, dead_run=RUN)
    assert taken is not None
    ledger.dates.close(taken, OTHER_RUN)
    again = ledger.dates.open(DATASET, DAY, OTHER_RUN)
    assert again is not None
    assert ledger.dates.close(again, OTHER_RUN)

    refused = DateRefusedError(DATASET, DAY, "too many rows are invalid")
    assert ledger.dates.refuse(lost, RUN, refused, fingerprint="contract") is None
    ledger.dates.set_alone(lost, RUN)

    assert ledger.dates.dirty(DATASET) == []


def test_the_death_of_a_run_counts_once_though_two_observers_judge_it(
    table: MemoryTable, ledger: LedgerParts
) -> None:
    ledger.land("A")
    ledger.load(DAY)
    held = ledger.dates.open(DATASET, DAY, RUN)
    assert held is not None
    died = RefreshDiedError(DATASET, DAY, RUN)

    def give_up() -> None:
        ledger.dates.give_up(held, RUN, died, fingerprint="contract")

    meanwhile(table, give_up)
    give_up()

    (dirty,) = ledger.dates.dirty(DATASET)
    assert dirty.attempts == 1


def test_a_stopped_run_that_goes_on_spends_no_attempt_of_the_run_after_it(
    ledger: LedgerParts,
) -> None:
    ledger.land("A")
    stopped = ledger.claim_one()
    ledger.files.fail(stopped, RunCanceledError(KEY, RUN), RUN)
    after = ledger.claim_one()

    assert ledger.files.fail(stopped, corrupt(), RUN) is None

    assert ledger.head().attempts == 0
    assert len(ledger.files.finish([(after, outcome(after.head, DAY))], OTHER_RUN)) == 1


def test_an_epoch_fences_where_a_turn_was_counted_twice(
    table: MemoryTable, ledger: LedgerParts
) -> None:
    """As when the ledger was restored from a backup while a run was at work."""
    ledger.land("A")
    claim = ledger.claim_one()
    table.update(*head_key(claim.head.file_id), change=Change(add={"epoch": 1}))

    assert ledger.files.finish([(claim, outcome(claim.head, DAY))], RUN) == []

    assert ledger.head().state is not FileState.LOADED
    assert ledger.dates.manifest(DATASET, DAY) == []


def test_bytes_that_land_while_a_deletion_is_noted_stay(ledger: LedgerParts) -> None:
    ledger.land("A")
    deleted = ledger.head()
    ledger.land("B")

    assert not ledger.files.gone(deleted)

    assert (ledger.head().state, ledger.head().etag) == (FileState.LANDED, "B")


def test_bytes_that_nobody_looked_at_are_not_forgotten(ledger: LedgerParts) -> None:
    ledger.land("A")
    shown = ledger.head()
    ledger.land("B")

    with pytest.raises(OtherBytesError, match="other bytes landed"):
        ledger.files.forget(shown, "on purpose")

    assert (ledger.head().state, ledger.head().etag) == (FileState.LANDED, "B")


def test_a_date_that_is_turned_during_each_refresh_is_dirty_since_the_last_one(
    ledger: LedgerParts,
) -> None:
    ledger.land("A")
    ledger.load(DAY)
    refresh = ledger.dates.open(DATASET, DAY, RUN)
    assert refresh is not None
    ledger.dates.raise_versions([(DATASET, DAY)])

    assert not ledger.dates.close(refresh, RUN)

    (dirty,) = ledger.dates.dirty(DATASET)
    assert dirty.since == utc_text(refresh.started_at)
