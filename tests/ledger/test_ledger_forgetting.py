"""Forgetting a file and loading it again, with a process that dies at any of its writes.

The ledger is the real one over the table in memory, so every write of every step is a place to die.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from ledger_crashes import CrashError, CrashPoint
from ledger_memory import MemoryTable
from ledger_scenario import (
    DATASET,
    DAY,
    KEY,
    NEXT_DAY,
    OTHER_RUN,
    RUN,
    LedgerParts,
    corrupt,
    landing,
    outcome,
)

from pipeline_assets.errors import UnsupportedFormatError
from resources.ledger.model import FileHead, FileState
from resources.ledger.registering import Registration
from resources.settings import Settings

SETTINGS = Settings.model_construct(backoff_seconds=0.0, backoff_max_seconds=0.0, max_attempts=3)
WHY = "forgotten by hand"
Prepare = Callable[[LedgerParts], FileHead]


def landed(ledger: LedgerParts) -> FileHead:
    return ledger.land("A")


def loaded(ledger: LedgerParts) -> FileHead:
    ledger.land("A")
    ledger.load(DAY, NEXT_DAY)
    ledger.refresh_all()
    return ledger.head()


def overwritten(ledger: LedgerParts) -> FileHead:
    loaded(ledger)
    return ledger.land("B")


def moved(ledger: LedgerParts) -> FileHead:
    """Loaded twice, the second time without rows on the first date."""
    overwritten(ledger)
    ledger.load(NEXT_DAY)
    return ledger.head()


def unsettled(ledger: LedgerParts) -> FileHead:
    """Loaded by a run that died before it raised the dates."""
    ledger.land("A")
    claim = ledger.claim_one()
    ledger.dates.add_entries(outcome(claim.head, DAY, NEXT_DAY).fragments)
    head = ledger.files._turn(claim, outcome(claim.head, DAY, NEXT_DAY), RUN)
    assert head is not None
    return head


def dead(ledger: LedgerParts) -> FileHead:
    ledger.land("A")
    ledger.files.fail(ledger.claim_one(), UnsupportedFormatError(KEY, "no format."), RUN)
    return ledger.head()


def failed(ledger: LedgerParts) -> FileHead:
    ledger.land("A")
    ledger.files.fail(ledger.claim_one(), corrupt(), RUN)
    return ledger.head()


EVERY = (landed, loaded, overwritten, moved, unsettled, dead, failed)
WITH_ROWS = {loaded, overwritten, moved, unsettled}


@pytest.fixture
def memory() -> LedgerParts:
    return LedgerParts(MemoryTable(), SETTINGS)


def deaths(
    prepare: Prepare, step: Callable[[LedgerParts, FileHead], object]
) -> Iterator[LedgerParts]:
    """Ledgers in which a step died before or after its first write, its second, and so on."""
    for takes_effect in (False, True):
        for call in itertools.count(1):
            table = MemoryTable()
            ledger = LedgerParts(table, SETTINGS)
            head = prepare(ledger)
            table.interruption = point = CrashPoint(call, takes_effect)
            with suppress(CrashError):
                step(ledger, head)
            table.interruption = None
            if not point.crashed:
                assert call > 1, "the step wrote nothing"
                break
            yield ledger


def forget(ledger: LedgerParts, head: FileHead) -> FileHead:
    return ledger.files.forget(head, WHY)


def put_back(ledger: LedgerParts, head: FileHead) -> list[FileHead]:
    return ledger.files.put_back([head], "replayed by hand")


def land_other_bytes(ledger: LedgerParts, _head: FileHead) -> FileHead:
    return ledger.land("B")


def assert_forgotten(ledger: LedgerParts) -> None:
    assert ledger.head().state is FileState.FORGOTTEN
    assert (ledger.manifest(DAY), ledger.manifest(NEXT_DAY)) == ([], [])
    assert ledger.claim() == [], "nothing loads it"
    assert ledger.pending() == []
    assert ledger.files.dead(DATASET) == []


@pytest.mark.parametrize("before", EVERY)
def test_a_forgotten_files_rows_count_no_more_and_its_dates_are_dirty(
    memory: LedgerParts, before: Prepare
) -> None:
    head = before(memory)

    forgotten = memory.files.forget(head, WHY)

    assert (forgotten.epoch, forgotten.history[-1].note) == (head.epoch + 1, WHY)
    assert_forgotten(memory)
    assert set(memory.dirty()) == ({DAY, NEXT_DAY} if before in WITH_ROWS else set())


@pytest.mark.parametrize("before", EVERY)
def test_forgetting_that_died_is_finished_by_a_second_call(before: Prepare) -> None:
    for ledger in deaths(before, forget):
        forget(ledger, ledger.head())

        assert_forgotten(ledger)
        assert set(ledger.dirty()) == ({DAY, NEXT_DAY} if before in WITH_ROWS else set())


@pytest.mark.parametrize("before", EVERY)
def test_forgetting_that_died_is_made_good_by_the_next_run_or_never_began(before: Prepare) -> None:
    for ledger in deaths(before, forget):
        if ledger.head().state is not FileState.FORGOTTEN:
            continue

        ledger.claim()

        assert_forgotten(ledger)
        assert set(ledger.dirty()) == ({DAY, NEXT_DAY} if before in WITH_ROWS else set())


@pytest.mark.parametrize("before", EVERY)
def test_a_replay_that_died_loads_the_file_once_or_never_began(before: Prepare) -> None:
    for ledger in deaths(before, put_back):
        ledger.load_all(DAY)

        if ledger.head().state is not FileState.LOADED:
            assert (before, ledger.head().epoch) == (dead, 1)
            put_back(ledger, ledger.head())
            ledger.load_all(DAY)
        assert ledger.head().state is FileState.LOADED
        assert ledger.files.dead(DATASET) == []
        etag = ledger.head().etag
        assert ledger.manifest(DAY) in ([], [(KEY, etag)]), "not twice, and no former bytes"


def test_a_replay_of_a_forgotten_file_that_died_loads_it_once_or_never_began() -> None:
    for ledger in deaths(lambda ledger: forget(ledger, loaded(ledger)), put_back):
        if ledger.head().state is FileState.FORGOTTEN:
            assert ledger.claim() == [], "what the replay left leads to nothing"
            put_back(ledger, ledger.head())
        ledger.load_all(DAY)

        assert (ledger.head().state, ledger.head().epoch) == (FileState.LOADED, 3)
        assert ledger.manifest(DAY) == [(KEY, "A")]
        assert set(ledger.dirty()) == {DAY, NEXT_DAY}


@pytest.mark.parametrize("step", [forget, put_back, land_other_bytes])
def test_a_step_with_a_forgotten_file_that_died_leaves_no_date_raised_and_unlisted(
    step: Callable[[LedgerParts, FileHead], object],
) -> None:
    def forgotten(ledger: LedgerParts) -> FileHead:
        forget(ledger, loaded(ledger))
        ledger.refresh_all()
        return ledger.head()

    for ledger in deaths(forgotten, step):
        ledger.claim()

        ledger.refresh_all()
        ledger.assert_clean(DAY, NEXT_DAY)


@pytest.mark.parametrize("turn", [forget, put_back])
def test_a_run_that_was_loading_meanwhile_finishes_nothing(
    memory: LedgerParts, turn: Callable[[LedgerParts, FileHead], object]
) -> None:
    memory.land("A")
    claim = memory.claim_one()
    turn(memory, memory.head())

    assert memory.files.finish([(claim, outcome(claim.head, DAY))], RUN) == []

    assert memory.manifest() == []
    assert memory.files.fail(claim, corrupt(), RUN) is None
    assert memory.head().epoch == 2


def test_the_same_bytes_notified_again_stay_forgotten(memory: LedgerParts) -> None:
    forget(memory, loaded(memory))

    assert memory.register(landing("A")) == [Registration.KNOWN]

    assert_forgotten(memory)


def test_other_bytes_at_the_key_are_loaded(memory: LedgerParts) -> None:
    forget(memory, loaded(memory))

    assert memory.register(memory.upload("B")) == [Registration.OVERWRITTEN]

    memory.load_all(DAY)
    assert memory.manifest() == [(KEY, "B")]


def test_a_deleted_object_stays_forgotten_so_that_its_bytes_do_not_come_back(
    memory: LedgerParts,
) -> None:
    forget(memory, loaded(memory))
    memory.remove()
    assert not memory.files.gone(memory.head())

    memory.register(memory.upload("A"))

    assert_forgotten(memory)


def test_a_file_that_turned_meanwhile_is_forgotten_as_it_is_now(memory: LedgerParts) -> None:
    before = landed(memory)
    memory.load(DAY, run_id=OTHER_RUN)

    forgotten = forget(memory, before)

    assert forgotten.former_dates == (DAY,)
    assert set(memory.dirty()) == {DAY}
    assert_forgotten(memory)
