"""Landfall over the worker's local AWS."""

import pytest

from resources.aws import Aws
from resources.landfall import Landfall


@pytest.fixture
def landfall(aws: Aws) -> Landfall:
    """Empty buckets, queues and ledger."""
    made = Landfall()
    made.__dict__["aws"] = aws
    return made
