"""A process that dies with a date leaves it to be refreshed again, never forgotten.

Each step is run once for each of its calls, over moto: the client dies just before that call is
sent, or just after it took effect. Then comes what the pipeline does anyway (the next
refresh takes the lease over), and the end must be the right one.
"""

import pytest
from ledger_crashes import Deaths, Step
from ledger_scenario import (
    CONTRACT,
    DATASET,
    DAY,
    OTHER_RUN,
    RUN,
    LedgerParts,
)

from pipeline_assets.errors import DateRefusedError

OTHER_KEY = f"events/dt={DAY}/b.csv"


def test_opening_a_date(serial: LedgerParts, deaths: Deaths) -> None:
    def prepare() -> Step:
        serial.land("A")
        serial.load(DAY)
        return lambda: serial.dates.open(DATASET, DAY, RUN)

    for _ in deaths(prepare):
        assert DAY in serial.dirty()
        serial.refresh_all()
        serial.assert_clean(DAY)


@pytest.mark.parametrize("turned", [False, True], ids=["quiet", "a file turned"])
def test_closing_a_date(serial: LedgerParts, deaths: Deaths, *, turned: bool) -> None:
    def prepare() -> Step:
        serial.land("A")
        serial.load(DAY)
        held = serial.dates.open(DATASET, DAY, RUN)
        assert held is not None
        if turned:
            serial.land("A", OTHER_KEY)
            serial.load(DAY)
        return lambda: serial.dates.close(held, RUN)

    for _ in deaths(prepare):
        assert not turned or DAY in serial.dirty()
        serial.refresh_all()
        serial.assert_clean(DAY)


def test_closing_a_date_that_was_taken_over(serial: LedgerParts, deaths: Deaths) -> None:
    def prepare() -> Step:
        serial.land("A")
        serial.load(DAY)
        serial.dates.open(DATASET, DAY, "dead-run")
        taken = serial.dates.take_over(DATASET, DAY, run_id=RUN, dead_run="dead-run")
        assert taken is not None
        return lambda: serial.dates.close(taken, RUN)

    for _ in deaths(prepare):
        assert DAY in serial.dirty(), "a late write of the dead run is still to be repaired"
        serial.refresh_all()
        serial.assert_clean(DAY)


def test_refusing_a_date(serial: LedgerParts, deaths: Deaths) -> None:
    error = DateRefusedError(DATASET, DAY, "12 of 20 rows are invalid.")

    def prepare() -> Step:
        serial.land("A")
        serial.load(DAY)
        held = serial.dates.open(DATASET, DAY, RUN)
        assert held is not None
        return lambda: serial.dates.refuse(held, RUN, error, fingerprint=CONTRACT)

    for _ in deaths(prepare):
        assert DAY in serial.dirty()
        serial.dates.refuse(serial.reopened(DAY), OTHER_RUN, error, fingerprint=CONTRACT)
        (dirty,) = serial.dates.dirty(DATASET)
        assert dirty.held is not None
        assert serial.dates.leased(DATASET, [DAY], OTHER_RUN) == []


def test_a_file_that_turns_between_the_two_writes_of_a_close_leaves_the_date_dirty(
    ledger: LedgerParts,
) -> None:
    ledger.land("A")
    ledger.load(DAY)
    held = ledger.dates.open(DATASET, DAY, RUN)
    assert held is not None
    events = ledger.table._aws.dynamodb.meta.events

    def turn(**_: object) -> None:
        events.unregister("before-call.dynamodb.DeleteItem", turn)
        ledger.dates.raise_versions([(DATASET, DAY)])

    events.register("before-call.dynamodb.DeleteItem", turn)
    ledger.dates.close(held, RUN)

    assert ledger.dirty() == {DAY: 2}
