"""The canonical bytes of a table, and what their digest follows."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from resources.parquet import decode, encode


def digest_of(table: pa.Table) -> str:
    encoded = encode(table)
    with encoded.body:
        return encoded.digest


NULLABLE_TEXT = st.lists(st.none() | st.text(max_size=5), max_size=30)


@given(NULLABLE_TEXT, st.lists(st.integers(0, 30), max_size=4))
@hypothesis_settings(deadline=None, database=None, max_examples=60)
def test_the_digest_does_not_follow_chunks(values: list[str | None], cuts: list[int]) -> None:
    table = _of(values)
    edges = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    parts = [table.slice(a, b - a) for a, b in pairwise(edges)]
    assert digest_of(pa.concat_tables(parts)) == digest_of(table)


@given(NULLABLE_TEXT, NULLABLE_TEXT)
@hypothesis_settings(deadline=None, database=None, max_examples=100)
def test_the_digest_is_equal_exactly_when_the_rows_are(
    one: list[str | None], other: list[str | None]
) -> None:
    assert (digest_of(_of(one)) == digest_of(_of(other))) == (one == other)


@given(st.lists(st.none() | st.integers(-9, 9), min_size=1, max_size=30), st.data())
@hypothesis_settings(deadline=None, database=None, max_examples=60)
def test_changing_one_value_changes_the_digest(
    values: list[int | None], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(values) - 1))
    changed = [*values]
    changed[place] = 10
    before, after = (pa.table({"a": pa.array(v, pa.int64())}) for v in (values, changed))
    assert digest_of(before) != digest_of(after)


def _of(values: list[str | None]) -> pa.Table:
    nested = [None if value is None else [{"text": value}] for value in values]
    return pa.table(
        {
            "a": pa.array(values, pa.string()),
            "b": pa.array(nested, pa.list_(pa.struct({"text": pa.string()}))),
        }
    )


def test_name_order_and_type_of_columns_are_part_of_the_digest() -> None:
    tables = [
        pa.table({"a": [1, 2], "b": [1, 2]}),
        pa.table({"b": [1, 2], "a": [1, 2]}),
        pa.table({"a": [1, 2], "c": [1, 2]}),
        pa.table({"a": [2, 1], "b": [2, 1]}),
        pa.table({"a": [1, 2], "b": pa.array([1, 2], pa.int32())}),
        pa.table({"a": [1, 2], "b": pa.array([1, 2], pa.timestamp("us"))}),
        pa.table({"a": [1, 2], "b": pa.array([1, 2], pa.timestamp("us", "UTC"))}),
        pa.table({"a": pa.nulls(0, pa.int64()), "b": pa.nulls(0, pa.int64())}),
        pa.table({"a": pa.nulls(1), "b": pa.nulls(1)}),
        pa.table({"a": pa.nulls(2), "b": pa.nulls(2)}),
    ]
    assert len({digest_of(table) for table in tables}) == len(tables)


def test_a_table_of_several_row_groups_reads_back_with_its_digest() -> None:
    moment = datetime(2025, 1, 2, tzinfo=UTC)
    table = pa.table({"n": range(300_000), "at": [moment] * 300_000, "k": ["x", "y"] * 150_000})
    encoded = encode(table.set_column(2, "k", table["k"].dictionary_encode()), version=3)
    with encoded.body:
        stored = decode(encoded.body.read())
    assert stored.to_pylist() == table.to_pylist()
    assert digest_of(stored) == encoded.digest == digest_of(table)


@pytest.mark.parametrize("kind", [pa.list_, pa.large_list, pa.list_view, pa.large_list_view])
def test_lists_lose_no_values(kind: Callable[[pa.DataType], pa.DataType]) -> None:
    table = pa.table({"l": pa.array([[1], None, [2, 3], []], kind(pa.int64()))})
    encoded = encode(table)
    with encoded.body:
        assert decode(encoded.body.read()).to_pylist() == table.to_pylist()
