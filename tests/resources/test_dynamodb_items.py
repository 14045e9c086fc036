"""The form, the limits and the size of a row as a DynamoDB item."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from pipeline_assets.errors import (
    ItemValueError,
)
from resources.dynamodb_items import (
    Attribute,
    Item,
    ItemKeys,
    item_size,
    to_attribute,
    to_frame,
    to_items,
)


@pytest.mark.parametrize(
    ("value", "attribute"),
    [
        (None, {"NULL": True}),
        (True, {"BOOL": True}),
        (7, {"N": "7"}),
        (-0.0, {"N": "0"}),
        (0.1, {"N": "0.1"}),
        (2.50, {"N": "2.5"}),
        (1e22, {"N": "10000000000000000000000"}),
        (1e100, {"N": "1E+100"}),
        (2**63 - 1, {"N": "9223372036854775807"}),
        (
            Decimal(12345678901234567890123456789012345678),
            {"N": "12345678901234567890123456789012345678"},
        ),
        ("a", {"S": "a"}),
        (b"\xff", {"B": b"\xff"}),
        (date(2025, 1, 2), {"S": "2025-01-02"}),
        (datetime(2025, 1, 2, 3, tzinfo=UTC), {"S": "2025-01-02T03:00:00Z"}),
        (datetime(2025, 1, 2, 3), {"S": "2025-01-02T03:00:00Z"}),  # noqa: DTZ001  # naive is UTC
        (
            datetime(2025, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))),
            {"S": "2025-01-02T01:00:00Z"},
        ),
        ([1, None], {"L": [{"N": "1"}, {"NULL": True}]}),
        ({"x": [0.5]}, {"M": {"x": {"L": [{"N": "0.5"}]}}}),
    ],
)
def test_values_have_one_form(value: object, attribute: dict[str, object]) -> None:
    assert to_attribute(value) == attribute


def test_times_in_a_key_sort_as_text_as_they_do_in_time() -> None:
    whole = datetime(2025, 1, 2, tzinfo=UTC)
    texts = [
        to_attribute(whole + timedelta(microseconds=n), is_key=True)["S"] for n in (0, 1, 500_000)
    ]
    assert texts == sorted(str(text) for text in texts)


def test_a_decimal_of_39_digits_is_refused() -> None:
    keys = ItemKeys("t", "p", "s")
    row = {"p": "a", "s": "b", "n": [Decimal(10**38 + 1)]}
    with pytest.raises(ItemValueError, match=r"t, item a/b, column 'n': .* 38 significant digits"):
        to_items(keys, "a", [row])


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({"é": {"S": "é"}}, 4),
        ({"n": {"N": "100"}}, 3),
        ({"n": {"N": "123"}}, 4),
        ({"b": {"B": b"12"}}, 3),
        ({"x": {"NULL": True}}, 2),
        ({"x": {"BOOL": False}}, 2),
        ({"l": {"L": []}}, 4),
        ({"l": {"L": [{"S": "ab"}, {"NULL": True}]}}, 9),
        ({"m": {"M": {"k": {"S": "ab"}}}}, 8),
    ],
)
def test_sizes_follow_the_documented_rules(item: dict[str, Any], size: int) -> None:
    assert item_size(item) == size


def test_a_schema_brings_times_and_decimals_back() -> None:
    moment = datetime(2025, 1, 2, 3, 4, 5, 60_000, tzinfo=UTC)
    frame = pl.DataFrame({"key": ["a", "b"]}).with_columns(
        day=pl.lit(date(2025, 1, 2)),
        at=pl.lit(moment, pl.Datetime("us", "UTC")),
        naive=pl.lit(moment.replace(tzinfo=None), pl.Datetime("ms")),
        hour=pl.lit(moment.time()),
        price=pl.lit(Decimal("1.50"), pl.Decimal(38, 2)),
        share=pl.Series([2.0, None], dtype=pl.Float32),
        small=pl.lit(3, pl.Int8),
    )
    keys = ItemKeys("t", "day", "key")
    schema = dict(frame.schema)
    items = to_items(keys, "2025-01-02", frame.to_dicts())
    loaded = to_frame(items, first=("day", "key"), schema=schema)
    assert loaded.schema == frame.schema
    assert loaded.equals(frame)
    assert to_frame([], first=("day", "key"), schema=schema).schema == frame.schema


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([{"N": "1"}, {"N": "2"}], pl.Int64()),
        ([{"N": "1"}, {"N": "1E+30"}], pl.Int128()),
        ([{"N": "1"}, {"N": "1.5"}], pl.Float64()),
        ([{"L": [{"N": "1"}, {"N": "1.5"}]}, {"L": []}], pl.List(pl.Float64())),
        ([{"M": {"x": {"N": "1"}}}, {"M": {"x": {"N": "1.5"}}}], pl.Struct({"x": pl.Float64()})),
        ([{"N": "1"}, {"S": "x"}], pl.String()),
        ([{"NULL": True}, {"NULL": True}], pl.Null()),
    ],
)
def test_a_column_takes_the_type_that_holds_all_its_values(
    values: list[Attribute], dtype: pl.DataType
) -> None:
    items: list[Item] = [{"p": {"S": "a"}, "s": {"S": "b"}, "v": value} for value in values]
    assert to_frame(items, first=("p", "s")).schema["v"] == dtype
