"""Dates whose stored tables are ahead of the ledger, as after it was lost or restored."""

import pytest
from ledger_scenario import DATASET, DAY, OTHER_RUN, RUN, LedgerParts

from pipeline_assets.errors import LeaseLostError
from resources.ledger.dates import Refresh

STORED = 9


def opened(ledger: LedgerParts) -> Refresh:
    ledger.land("A")
    ledger.load(DAY)
    refresh = ledger.dates.open(DATASET, DAY, RUN)
    assert refresh is not None
    return refresh


def test_a_date_is_held_at_the_version_of_its_tables_and_closes_clean(ledger: LedgerParts) -> None:
    later = ledger.dates.catch_up(opened(ledger), RUN, STORED)

    assert later.version == STORED
    assert ledger.dates.close(later, RUN)
    head = ledger.dates.head(DATASET, DAY)
    assert head is not None
    assert (head.version, head.dirty) == (STORED, False)
    assert ledger.dates.dirty(DATASET) == []


def test_what_turns_afterwards_comes_at_a_later_version_still(ledger: LedgerParts) -> None:
    refresh = opened(ledger)
    ledger.dates.raise_versions([(DATASET, DAY)])

    later = ledger.dates.catch_up(refresh, RUN, STORED)
    ledger.dates.raise_versions([(DATASET, DAY)])

    assert later.version > STORED
    assert not ledger.dates.close(later, RUN)
    (dirty,) = ledger.dates.dirty(DATASET)
    assert dirty.version == later.version + 1


def test_who_lost_the_lease_raises_nothing(ledger: LedgerParts) -> None:
    refresh = opened(ledger)
    taken = ledger.dates.take_over(DATASET, DAY, run_id=OTHER_RUN, dead_run=RUN)
    assert taken is not None

    with pytest.raises(LeaseLostError, match="Another run took over"):
        ledger.dates.catch_up(refresh, RUN, STORED)

    head = ledger.dates.head(DATASET, DAY)
    assert head is not None
    assert head.version == taken.version


def test_a_date_that_was_taken_over_stays_dirty_once_more(ledger: LedgerParts) -> None:
    opened(ledger)
    taken = ledger.dates.take_over(DATASET, DAY, run_id=OTHER_RUN, dead_run=RUN)
    assert taken is not None

    later = ledger.dates.catch_up(taken, OTHER_RUN, STORED)

    assert later.taken_over
    assert not ledger.dates.close(later, OTHER_RUN)
    assert len(ledger.dates.dirty(DATASET)) == 1
