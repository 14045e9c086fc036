"""Event dates in the ledger, over moto: dirty until closed, one holder, held until mended."""

from datetime import timedelta

import pytest
from ledger_scenario import (
    CONTRACT,
    DATASET,
    DAY,
    NEXT_DAY,
    OTHER_RUN,
    RUN,
    LedgerParts,
)

from pipeline_assets.errors import (
    AwsUnreachableError,
    DateRefusedError,
    LandfallError,
    LeaseLostError,
    RefreshFailedError,
)
from resources.ledger.dates import Refresh
from resources.ledger.model import DateCounts, DirtyDate, is_due, utc_now, utc_text
from resources.settings import Settings


def loaded_date(ledger: LedgerParts) -> None:
    """A date with the rows of one file, dirty at version 1."""
    ledger.land("A")
    ledger.load(DAY)


def turn_another_file(ledger: LedgerParts) -> None:
    """Load a second file with rows for the same date."""
    ledger.land("B", f"events/dt={DAY}/b.csv")
    ledger.load(DAY)


def opened(ledger: LedgerParts, run_id: str = RUN) -> Refresh:
    refresh = ledger.dates.open(DATASET, DAY, run_id)
    assert refresh is not None
    return refresh


def dirty_date(ledger: LedgerParts) -> DirtyDate:
    (dirty,) = ledger.dates.dirty(DATASET)
    return dirty


def refused(day: str = DAY) -> LandfallError:
    return DateRefusedError(DATASET, day, "12 of 20 rows are invalid.")


def faulty(day: str = DAY) -> LandfallError:
    return RefreshFailedError(DATASET, day, run_id=RUN, fault="the disk is full")


def test_every_change_raises_the_version_and_marks_the_date(ledger: LedgerParts) -> None:
    ledger.dates.raise_versions([(DATASET, NEXT_DAY), (DATASET, DAY)])
    ledger.dates.raise_versions([(DATASET, DAY)])

    assert ledger.dirty() == {DAY: 2, NEXT_DAY: 1}
    assert [each.event_date for each in ledger.dates.dirty(DATASET)] == [DAY, NEXT_DAY]
    head = ledger.dates.head(DATASET, DAY)
    assert head is not None
    assert head.dirty


def test_a_date_that_never_had_rows_cannot_be_opened(ledger: LedgerParts) -> None:
    assert ledger.dates.open(DATASET, DAY, RUN) is None
    assert ledger.dates.head(DATASET, DAY) is None
    assert ledger.dirty() == {}


def test_a_refresh_that_closes_leaves_the_date_clean(ledger: LedgerParts) -> None:
    loaded_date(ledger)

    assert ledger.refresh()

    head = ledger.dates.head(DATASET, DAY)
    assert head is not None
    assert (head.dirty, head.lease_run, head.clean_version) == (False, None, 1)
    assert ledger.dirty() == {}


def test_only_one_run_holds_a_date(ledger: LedgerParts) -> None:
    loaded_date(ledger)
    held = opened(ledger)

    assert ledger.dates.open(DATASET, DAY, OTHER_RUN) is None

    assert [each.version for each in ledger.dates.leased(DATASET, [DAY, NEXT_DAY], RUN)] == [1]
    assert ledger.dates.leased(DATASET, [DAY], OTHER_RUN) == []
    ledger.dates.close(held, RUN)
    assert ledger.dates.open(DATASET, DAY, OTHER_RUN) is not None


def test_a_run_takes_its_own_lease_again_at_the_version_of_then(ledger: LedgerParts) -> None:
    loaded_date(ledger)
    opened(ledger)
    turn_another_file(ledger)

    assert opened(ledger).version == 2


def test_opening_a_clean_date_makes_it_dirty_until_it_is_closed(ledger: LedgerParts) -> None:
    loaded_date(ledger)
    ledger.refresh()

    held = opened(ledger)

    assert ledger.dirty() == {DAY: 1}
    assert ledger.dates.close(held, RUN)
    assert ledger.dirty() == {}


def test_a_file_that_turns_during_a_refresh_leaves_the_date_dirty(ledger: LedgerParts) -> None:
    loaded_date(ledger)
    held = opened(ledger)
    turn_another_file(ledger)

    assert not ledger.dates.close(held, RUN)

    assert ledger.dirty() == {DAY: 2}
    assert ledger.refresh()
    assert ledger.dirty() == {}


def test_a_date_taken_over_is_left_dirty_once_more(ledger: LedgerParts) -> None:
    loaded_date(ledger)
    late = opened(ledger)

    taken = ledger.dates.take_over(DATASET, DAY, run_id=OTHER_RUN, dead_run=RUN)

    assert taken is not None
    assert taken.taken_over
    assert not ledger.dates.close(taken, OTHER_RUN)
    assert ledger.dirty() == {DAY: 2}
    with pytest.raises(LeaseLostError, match=DAY):
        ledger.dates.close(late, RUN)
    assert ledger.refresh(run_id="run-3"), "the second refresh settles it"
    assert ledger.dirty() == {}


def test_a_lease_that_changed_hands_is_not_taken_over_from_its_former_holder(
    ledger: LedgerParts,
) -> None:
    loaded_date(ledger)
    ledger.dates.close(opened(ledger), RUN)
    opened(ledger, OTHER_RUN)

    assert ledger.dates.take_over(DATASET, DAY, run_id="run-3", dead_run=RUN) is None


def test_who_lost_the_lease_may_write_no_account(ledger: LedgerParts) -> None:
    loaded_date(ledger)
    late = opened(ledger)
    taken = ledger.dates.take_over(DATASET, DAY, run_id=OTHER_RUN, dead_run=RUN)
    assert taken is not None
    ledger.dates.account(taken, OTHER_RUN, DateCounts(bronze=3, silver=2, quarantined=1))

    with pytest.raises(LeaseLostError, match="took over events 2025-03-01"):
        ledger.dates.account(late, RUN, DateCounts(bronze=9))

    head = ledger.dates.head(DATASET, DAY)
    assert head is not None
    assert head.counts == DateCounts(bronze=3, silver=2, quarantined=1)


def test_who_lost_the_lease_releases_nothing(ledger: LedgerParts) -> None:
    loaded_date(ledger)
    late = opened(ledger)
    ledger.dates.take_over(DATASET, DAY, run_id=OTHER_RUN, dead_run=RUN)

    ledger.dates.release(late, RUN)

    assert len(ledger.dates.leased(DATASET, [DAY], OTHER_RUN)) == 1


def test_a_released_date_stays_dirty(ledger: LedgerParts) -> None:
    loaded_date(ledger)

    ledger.dates.release(opened(ledger), RUN)

    assert ledger.dirty() == {DAY: 1}
    assert ledger.refresh(run_id=OTHER_RUN)


def test_a_retryable_refusal_waits_and_is_held_when_its_attempts_are_used_up(
    ledger: LedgerParts,
) -> None:
    loaded_date(ledger)
    stood = []
    for _ in range(ledger.settings.max_attempts):
        refusal = ledger.dates.refuse(opened(ledger), RUN, faulty(), fingerprint=CONTRACT)
        assert refusal is not None
        assert refusal == dirty_date(ledger)
        stood.append((refusal.attempts, refusal.alone, refusal.held is not None))

    assert stood == [(1, True, False), (2, True, False), (3, True, True)]
    assert dirty_date(ledger).held is not None


def test_a_refusal_that_is_tried_again_waits_longer_each_time(ledger: LedgerParts) -> None:
    slow = {**ledger.settings.model_dump(), "backoff_seconds": 100.0, "max_attempts": 9}
    slow["backoff_max_seconds"] = 1000.0
    ledger = LedgerParts(ledger.table, Settings.model_construct(**slow))
    loaded_date(ledger)
    for wait in (100, 200, 400):
        before = utc_now()
        refusal = ledger.dates.refuse(opened(ledger), RUN, faulty(), fingerprint=CONTRACT)
        assert refusal is not None
        assert utc_text(before + _s(wait / 2)) <= refusal.due_at <= utc_text(utc_now() + _s(wait))


def test_a_fault_of_the_environment_never_holds_a_date(ledger: LedgerParts) -> None:
    loaded_date(ledger)
    error = AwsUnreachableError("nowhere", local=True)
    for _ in range(ledger.settings.max_attempts + 1):
        refusal = ledger.dates.refuse(opened(ledger), RUN, error, fingerprint=CONTRACT)
        assert refusal is not None
        assert (refusal.attempts, refusal.held) == (0, None)


def test_a_permanent_refusal_holds_the_date_at_once(ledger: LedgerParts) -> None:
    loaded_date(ledger)

    ledger.dates.refuse(opened(ledger), RUN, refused(), fingerprint=CONTRACT)

    dirty = dirty_date(ledger)
    assert dirty.held is not None
    assert (dirty.held.kind, dirty.fingerprint, dirty.attempts) == ("DateRefusedError", CONTRACT, 1)
    assert "12 of 20" in dirty.held.message
    assert ledger.dates.leased(DATASET, [DAY], RUN) == [], "nobody holds the lease"


def test_a_new_fragment_releases_a_held_date(ledger: LedgerParts) -> None:
    loaded_date(ledger)
    ledger.dates.refuse(opened(ledger), RUN, refused(), fingerprint=CONTRACT)

    turn_another_file(ledger)

    dirty = dirty_date(ledger)
    assert (dirty.held, dirty.attempts, dirty.alone, dirty.version) == (None, 0, False, 2)


def test_a_fragment_that_comes_during_the_refused_refresh_is_judged_anew(
    ledger: LedgerParts,
) -> None:
    loaded_date(ledger)
    held = opened(ledger)
    turn_another_file(ledger)

    stands = ledger.dates.refuse(held, RUN, refused(), fingerprint=CONTRACT)

    assert stands == dirty_date(ledger)
    assert (stands.version, stands.held, stands.attempts) == (2, None, 0)


def test_a_mark_that_comes_late_leaves_the_refused_version_held(ledger: LedgerParts) -> None:
    loaded_date(ledger)
    ledger.dates.refuse(opened(ledger), RUN, refused(), fingerprint=CONTRACT)

    ledger.dates._mark(DirtyDate(DATASET, DAY, 1, due_at=utc_text(utc_now())))

    assert dirty_date(ledger).held is not None


def test_the_neighbour_of_a_spoiled_date_is_refreshed_by_itself(ledger: LedgerParts) -> None:
    loaded_date(ledger)

    ledger.dates.set_alone(opened(ledger), RUN)

    dirty = dirty_date(ledger)
    assert (dirty.alone, dirty.held, dirty.attempts) == (True, None, 0)
    assert ledger.refresh(run_id=OTHER_RUN)
    assert ledger.dirty() == {}


def test_a_date_rests_as_long_as_its_last_refresh_took(ledger: LedgerParts) -> None:
    loaded_date(ledger)
    held = opened(ledger)
    slow = Refresh(DATASET, DAY, held.version, taken_over=False, started_at=utc_now() - _s(3600))
    ledger.dates.close(slow, RUN)

    turn_another_file(ledger)

    assert_rests(dirty_date(ledger), 3600)


def assert_rests(dirty: DirtyDate, seconds: float) -> None:
    """It is refreshed after so many seconds, by the clock that says so, and not before."""
    now = utc_now()
    assert not is_due(dirty.due_at, dirty.wait, now)
    assert not is_due(dirty.due_at, dirty.wait, now + _s(seconds - 100))
    assert is_due(dirty.due_at, dirty.wait, now + _s(seconds + 1))


def test_a_date_that_a_file_turned_during_its_refresh_rests_as_long_as_that_took(
    ledger: LedgerParts,
) -> None:
    loaded_date(ledger)
    held = opened(ledger)
    slow = Refresh(DATASET, DAY, held.version, taken_over=False, started_at=utc_now() - _s(3600))
    turn_another_file(ledger)

    assert not ledger.dates.close(slow, RUN)

    assert_rests(dirty_date(ledger), 3600)


def test_every_date_of_a_dataset_is_reported_in_order(ledger: LedgerParts) -> None:
    ledger.dates.raise_versions([(DATASET, NEXT_DAY), (DATASET, DAY), ("other", DAY)])

    assert [each.event_date for each in ledger.dates.all(DATASET)] == [DAY, NEXT_DAY]
    assert set(ledger.dates.heads(DATASET, [DAY, "2030-01-01"])) == {DAY}


def _s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)
