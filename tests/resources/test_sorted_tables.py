"""Sorted tables are merged into their rows' order, with little of them in memory."""

import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.parquet import encode
from resources.sorted_tables import SortedTables

ORDER = ("place", "number", "row")
SCHEMA = pl.Schema(
    {
        "place": pl.Enum(["west", "east"]),
        "number": pl.Float64(),
        "row": pl.Int64(),
        "text": pl.String(),
    }
)
ROWS = st.tuples(
    st.sampled_from(["west", "east", None]),
    st.sampled_from([None, float("nan"), -1.0, -0.0, 0.0, 1.0, float("inf")]),
)


def sorted_tables(parts: list[list[tuple[Any, ...]]]) -> list[pl.DataFrame]:
    """Each part sorted; rows are numbered through all parts, so that no two are alike."""
    starts = [sum(map(len, parts[:at])) for at in range(len(parts))]
    return [
        pl.DataFrame(
            [(*row, at, f"row {at}") for at, row in enumerate(part, start)],
            schema=SCHEMA,
            orient="row",
        ).sort(ORDER)
        for start, part in zip(starts, parts, strict=True)
    ]


@given(
    parts=st.lists(st.lists(ROWS, max_size=40), min_size=1, max_size=6),
    rows=st.integers(1, 30),
    held_bytes=st.sampled_from([0, 500, 1 << 20]),
)
def test_merged_tables_are_all_rows_sorted(
    parts: list[list[tuple[Any, ...]]], rows: int, held_bytes: int
) -> None:
    tables = sorted_tables(parts)
    with SortedTables(ORDER, tables=len(tables), rows=rows, held_bytes=held_bytes) as merging:
        for table in tables:
            merging.add(table)
        merged = pl.concat([tables[0].clear(), *merging.merged()])

    assert merged.equals(pl.concat(tables).sort(ORDER))
    assert merged.schema == tables[0].schema


@pytest.mark.parametrize("rows", [0, 1, 2_000])
def test_the_file_is_the_one_that_the_whole_table_gives(rows: int) -> None:
    parts = [[("west", float(at % 7)) for at in range(start, rows, 3)] for start in range(3)]
    tables = sorted_tables([list(part) for part in parts])
    with SortedTables(ORDER, tables=3, rows=30) as merging:
        for table in tables:
            merging.add(table)
        encoded = merging.encode(version=5)
    whole = encode(pl.concat(tables).sort(ORDER).to_arrow(), version=5)

    with encoded.body, whole.body:
        assert encoded.body.read() == whole.body.read()
        assert (encoded.digest, encoded.rows) == (whole.digest, rows)


def test_no_more_than_two_batches_of_each_table_are_in_memory_at_a_time() -> None:
    parts = [[("west", float(at * 4 + part)) for at in range(1_000)] for part in range(4)]
    tables = sorted_tables([list(part) for part in parts])
    with SortedTables(ORDER, tables=4, rows=40) as merging:
        for table in tables:
            merging.add(table)
        sizes = [part.height for part in merging.merged()]

    assert sum(sizes) == 4_000
    assert max(sizes) <= 80


def test_what_waits_on_the_disk_goes_with_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    open_files = len(list(Path("/dev/fd").iterdir()))
    (table,) = sorted_tables([[("west", float(at)) for at in range(100)]])
    with SortedTables(ORDER, tables=1, rows=10, held_bytes=0) as merging:
        merging.add(table)
        assert len(list(Path("/dev/fd").iterdir())) == open_files + 1

    assert len(list(Path("/dev/fd").iterdir())) == open_files
    assert not list(tmp_path.iterdir())


def test_of_a_table_on_the_disk_its_memory_is_not_kept() -> None:
    count, before = 20_000, pa.total_allocated_bytes()
    texts = pa.array(
        [f"{number:09} and more text than fits into a view" for number in range(count)]
    )
    table = pl.DataFrame(pa.table({"text": texts}))
    held = pa.total_allocated_bytes() - before
    with SortedTables(["text"], tables=2, rows=1_000, held_bytes=0) as tables:
        tables.add(table)

        del texts, table

        assert pa.total_allocated_bytes() - before < held // 10
