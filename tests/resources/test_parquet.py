"""The canonical bytes of a table, and what their digest follows."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from resources.parquet import (
    ROWS_PER_GROUP,
    canonical,
    decode,
    encode,
    encode_parts,
    regrouped,
    row_groups,
)


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


@given(NULLABLE_TEXT, st.lists(st.integers(0, 30), max_size=4), st.integers(1, 12))
@hypothesis_settings(deadline=None, database=None, max_examples=60)
def test_regrouped_tables_are_the_same_rows_so_many_at_a_time(
    values: list[str | None], cuts: list[int], rows: int
) -> None:
    table = _of(values)
    edges = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    found = list(regrouped((table.slice(a, b - a) for a, b in pairwise(edges)), rows))

    assert pa.concat_tables([table.slice(0, 0), *found]).to_pylist() == table.to_pylist()
    assert [each.num_rows for each in found[:-1]] == [rows] * len(found[:-1])
    assert all(0 < each.num_rows <= rows for each in found)
    assert all(each.column(0).num_chunks == 1 for each in found)


@pytest.mark.parametrize("rows", [0, 1, ROWS_PER_GROUP, 2 * ROWS_PER_GROUP + 1])
def test_a_file_of_parts_has_the_bytes_of_the_whole_table(rows: int) -> None:
    table = canonical(_of([f"row {row}" for row in range(rows)]))
    parts = (table.slice(start, 100_000) for start in range(0, rows, 100_000))
    whole, parted = encode(table, version=3), encode_parts(parts, table.schema, 3)

    with whole.body, parted.body:
        assert parted.body.read() == whole.body.read()
        assert (parted.digest, parted.size, parted.rows) == (whole.digest, whole.size, rows)


def test_row_groups_are_the_rows_in_their_order() -> None:
    table = canonical(_of([f"row {row}" for row in range(ROWS_PER_GROUP + 5)]))
    encoded = encode(table)

    with encoded.body:
        groups = list(row_groups(encoded.body))

    assert [each.num_rows for each in groups] == [ROWS_PER_GROUP, 5]
    assert pa.concat_tables(groups).equals(table)
