"""Whether a drain came to what its plan says: ledger, layers and items, date by date."""

# ruff: noqa: S101 - a side's output is asserted

from collections import Counter
from collections.abc import Mapping
from datetime import date

from bench.drain.samples import Account, Plan, accounts
from bench.stage.summary import Summary, in_gold, served
from resources.lake import TableName
from resources.landfall import Landfall
from resources.ledger.model import DateCounts, FileState


def assert_drained(landfall: Landfall, plan: Plan) -> None:
    """Everything is loaded, refined and served, no row more or less.

    Raises:
        AssertionError: naming the first that is not as it must be.
    """
    states = Counter(head.state for head in landfall.ledger.files.all())
    assert states == {FileState.LOADED: plan.files}, f"files are {dict(states)}"
    expected = accounts(plan)
    heads = {head.event_date: head for head in landfall.ledger.dates.all("events")}
    assert set(heads) == {str(day) for day in expected}, f"dates are {sorted(heads)}"
    for day, account in expected.items():
        head = heads[str(day)]
        assert head.counts == _counts(account), f"{day}: {head.counts}, not {account}"
        assert not head.dirty, f"{day} is dirty"
        silver = landfall.lake.read(TableName("silver", "events"), str(day)).num_rows
        assert silver == account.silver, f"silver of {day} has {silver} rows, not {account}"
    summary = _expected_summary(expected)
    assert in_gold(landfall, heads) == summary, "gold differs from the plan"
    assert served(landfall) == summary, "serving differs from the plan"


def _counts(account: Account) -> DateCounts:
    return DateCounts(account.landed, account.silver, account.quarantined, account.duplicates)


def _expected_summary(expected: Mapping[date, Account]) -> Summary:
    return {
        (str(day), kind): counts
        for day, account in expected.items()
        for kind, counts in account.summary.items()
    }
