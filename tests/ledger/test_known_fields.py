"""Unknown fields that were seen before, in the ledger."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from resources.aws import Aws
from resources.ledger import fields
from resources.ledger.fields import KnownFields
from resources.ledger.table import ConditionFailedError, LedgerTable


@pytest.fixture
def known(aws: Aws) -> KnownFields:
    return KnownFields(LedgerTable(aws))


def test_what_was_learned_is_unseen_no_more_in_its_own_dataset(known: KnownFields) -> None:
    assert known.unseen("events", ["ip", "campaign"]) == ["ip", "campaign"]

    known.learn("events", ["ip"])
    known.learn("events", ["ip"])

    assert known.unseen("events", ["ip", "campaign"]) == ["campaign"]
    assert known.unseen("logs", ["ip"]) == ["ip"]


def test_runs_that_learn_at_the_same_time_lose_no_name(known: KnownFields) -> None:
    names = [f"field {number}" for number in range(12)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: known.learn("events", [name]), names))

    assert known.unseen("events", names) == []


def test_more_names_than_are_kept_stay_new(
    known: KnownFields, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fields, "NAMES_KEPT", 2)

    known.learn("events", ["a", "b", "c"])

    assert known.unseen("events", ["a", "b", "c"]) == ["c"]


def test_a_name_of_any_length_is_known_and_told_from_one_that_begins_like_it(
    known: KnownFields,
) -> None:
    known.learn("events", ["n" * 5000, "\ud800"])

    assert known.unseen("events", ["n" * 5000, "\ud800", "n" * 4999]) == ["n" * 4999]


def test_as_many_long_names_as_are_kept_fit_into_an_item(known: KnownFields) -> None:
    names = [f"{number:04}" + "字" * 100 for number in range(fields.NAMES_KEPT)]

    known.learn("events", names)

    assert known.unseen("events", names) == []


def test_a_fault_while_learning_is_told_and_costs_no_more_than_a_warning(
    aws: Aws, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, missing = KnownFields(LedgerTable(aws)), LedgerTable(aws)
    missing.name = "no-such-table"

    KnownFields(missing).learn("events", ["ip"])
    monkeypatch.setattr(fields, "NAMES_KEPT", 10_000)
    monkeypatch.setattr(fields, "HASH_BYTES", 64)
    known.learn("events", [f"field {number}" for number in range(4_000)])

    assert known.unseen("events", ["field 1"]) == ["field 1"]
    missing_table, too_large = (record.getMessage() for record in caplog.records)
    assert "There is no table" in missing_table
    assert "Item size has exceeded" in too_large


def test_an_item_that_others_keep_changing_is_given_up(
    known: KnownFields, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: object) -> None:
        raise ConditionFailedError

    monkeypatch.setattr(LedgerTable, "put", lose)

    known.learn("events", ["ip"])

    assert "others kept changing" in caplog.text
