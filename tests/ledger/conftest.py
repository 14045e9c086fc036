"""A ledger over the worker's local AWS."""

import pytest
from ledger_crashes import Deaths, deaths_of
from ledger_scenario import LedgerParts

from resources.aws import Aws
from resources.ledger.table import LedgerTable


@pytest.fixture
def ledger(aws: Aws) -> LedgerParts:
    """An empty ledger over moto."""
    return LedgerParts(LedgerTable(aws), aws.settings)


@pytest.fixture
def serial(aws: Aws) -> LedgerParts:
    """An empty ledger whose calls come one after the other, and whose retries do not wait."""
    one_by_one = Aws(aws.settings.model_copy(update={"io_threads": 1, "backoff_seconds": 0.0}))
    return LedgerParts(LedgerTable(one_by_one), one_by_one.settings)


@pytest.fixture(params=[False, True], ids=["before", "after"])
def deaths(serial: LedgerParts, request: pytest.FixtureRequest) -> Deaths:
    """Deaths of a step over ``serial``: before each of its calls, or after it took effect."""
    return deaths_of(serial, takes_effect=request.param)
