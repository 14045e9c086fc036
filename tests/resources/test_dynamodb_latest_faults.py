"""Latest tables amid crashes, other runs and throttling: they end as if nothing had been."""

import itertools
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from botocore.awsrequest import AWSPreparedRequest
from latest_scenario import (
    FIRST,
    GOLD,
    SECOND,
    TABLE,
    THIRD,
    WRITES,
    People,
    Served,
    at_the_wire,
    provisioned,
)

from pipeline_assets.errors import ServingContendedError, ServingThrottledError
from resources.aws import Aws
from resources.dynamodb_conditional import ConditionalItems
from resources.dynamodb_items import Item
from resources.dynamodb_latest import LatestCounts, LatestTableStore
from resources.frames import FrameKind, from_arrow
from resources.lake import Lake

if TYPE_CHECKING:
    import polars as pl


@pytest.fixture
def table(aws: Aws) -> Served:
    return provisioned(aws)


class CrashError(Exception):
    """The process ends here."""


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize("survived", [0, 1, 2])
def test_repeated_after_a_crash_it_ends_the_same(
    table: Served, operation: str, survived: int
) -> None:
    table.refresh({FIRST: {"a": 1, "b": 1, "c": 1}, SECOND: dict.fromkeys("abcdeh", 2)})
    calls = itertools.count()

    def crash(_: AWSPreparedRequest) -> None:
        if next(calls) >= survived:
            raise CrashError

    frames = table.write_gold({SECOND: {"f": 3, "g": 3}})
    with at_the_wire(table.aws, (operation,), crash), pytest.raises(CrashError):
        table.store.refresh(TABLE, frames)
    table.store.refresh(TABLE, frames)

    assert table.newest() == {
        **dict.fromkeys("abc", (FIRST, 1)),
        **dict.fromkeys("fg", (SECOND, 3)),
    }
    assert table.store.compare(TABLE, frames)[SECOND].faults == ()


@pytest.mark.parametrize(
    ("meanwhile", "wanted"),
    [
        ({}, {"ada": (FIRST, 1)}),
        ({"ada": 4}, {"ada": (SECOND, 4)}),
        ({"ada": 9}, {"ada": (SECOND, 9)}),
    ],
)
@pytest.mark.parametrize("other_crashes", [False, True])
def test_gold_that_another_run_replaces_while_an_item_is_settled_is_not_missed(
    table: Served,
    monkeypatch: pytest.MonkeyPatch,
    *,
    meanwhile: People,
    wanted: dict[str, tuple[str, int]],
    other_crashes: bool,
) -> None:
    """Another run replaces a date that was read a moment ago, and is done before this one acts."""
    table.refresh({FIRST: {"ada": 1}, SECOND: {"ada": 2}, THIRD: {"ada": 5}})
    read_key, others = Lake.read_key, LatestTableStore(table.aws, sleep=lambda _: None)
    is_first = itertools.chain([True], itertools.repeat(False))
    replaced: dict[str, pl.DataFrame] = {}

    def read_then_replace(lake: Lake, key: str) -> pa.Table | None:
        stored = read_key(lake, key)
        if key == Lake.key(GOLD, SECOND) and next(is_first):
            replaced.update(table.write_gold({SECOND: meanwhile}))
            if not other_crashes:
                others.refresh(TABLE, replaced)
        return stored

    monkeypatch.setattr(Lake, "read_key", read_then_replace)
    frames = table.write_gold({THIRD: {}})
    table.store.refresh(TABLE, frames)
    if other_crashes:  # its date stays dirty and is refreshed again
        others.refresh(TABLE, replaced)

    assert table.newest() == wanted


@pytest.mark.parametrize("elsewhere", [{}, {"ada": 1}])
def test_a_write_that_comes_after_its_date_was_replaced_does_not_stay(
    table: Served, monkeypatch: pytest.MonkeyPatch, elsewhere: People
) -> None:
    """A run stops before its write; the one that took the date from it is done when it wakes."""
    table.refresh({FIRST: elsewhere})
    others = LatestTableStore(table.aws, sleep=lambda _: None)
    put_newer = ConditionalItems.put_newer
    is_first = itertools.chain([True], itertools.repeat(False))

    def sleep_then_put(items: ConditionalItems, item: Item) -> bool:
        if next(is_first):
            others.refresh(TABLE, table.write_gold({SECOND: {"bo": 1}}))
        return put_newer(items, item)

    monkeypatch.setattr(ConditionalItems, "put_newer", sleep_then_put)
    table.store.refresh(TABLE, table.write_gold({SECOND: {"ada": 5}}))

    assert table.newest() == {"bo": (SECOND, 1)} | dict.fromkeys(elsewhere, (FIRST, 1))


def test_gold_that_stands_is_not_read_again(table: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    table.write_gold({FIRST: {"ada": 1, "nomail": 2}})
    frame = from_arrow(table.lake.read(GOLD, FIRST), FrameKind.POLARS)
    monkeypatch.delattr(Lake, "read_key")

    table.store.refresh(TABLE, {FIRST: frame})

    assert table.newest() == {"ada": (FIRST, 1), "nomail": (FIRST, 2)}


def test_a_throttled_write_is_repeated_and_given_up_in_the_end(table: Served) -> None:
    answers = itertools.chain([True, True], itertools.repeat(False))

    def throttle(_: AWSPreparedRequest) -> None:
        if next(answers):
            raise table.aws.dynamodb.exceptions.ProvisionedThroughputExceededException(
                {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": ""}},
                "PutItem",
            )

    with at_the_wire(table.aws, ("PutItem",), throttle):
        assert table.refresh({FIRST: {"ada": 1}}) == {FIRST: LatestCounts(1, written=1)}
        answers = itertools.chain(itertools.repeat(True))
        with pytest.raises(ServingThrottledError, match="after 8 attempts"):
            table.refresh({FIRST: {"ada": 2}})


def test_items_that_others_keep_changing_are_given_up_in_the_end(
    table: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.dynamodb_latest.ConditionalItems.put_newer", lambda *_: False)

    with pytest.raises(ServingContendedError, match="1 items were changed by others in each of 8"):
        table.refresh({FIRST: {"ada": 1}})
