"""Rows by group within a memory budget: the same rows and parts, in memory or on the disk."""

import tempfile
from pathlib import Path

import pyarrow as pa
import pytest

from resources.table_spool import TableSpool

SCHEMA = pa.schema([("number", pa.int64()), ("text", pa.large_string())])
GROUPS = [f"group-{number}" for number in range(50)]
WIDE = "x" * 1_000


def rows(numbers: range, text: str | None = WIDE) -> pa.Table:
    return pa.table({"number": [*numbers], "text": [text] * len(numbers)}, schema=SCHEMA)


def filled(spool: TableSpool, tables: int) -> TableSpool:
    """Two rows of each group in every table."""
    for number in range(tables):
        start = number * 2 * len(GROUPS)
        spool.add(rows(range(start, start + 2 * len(GROUPS))), [(group, 2) for group in GROUPS])
    return spool


def content(spool: TableSpool) -> dict[str, list[list[dict[str, object]]]]:
    return {group: [part.to_pylist() for part in spool.parts(group)] for group in GROUPS}


def open_files() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


@pytest.mark.parametrize("held_bytes", [0, 300_000, 450_000])
def test_what_was_spilled_comes_back_in_its_order_and_its_parts(held_bytes: int) -> None:
    with TableSpool(SCHEMA) as roomy, TableSpool(SCHEMA, held_bytes=held_bytes) as tight:
        assert filled(roomy, 7).held_bytes > 3 * filled(tight, 7).held_bytes

        parts = content(tight)

        assert parts == content(roomy)
        assert content(tight) == parts  # reading uses nothing up
        numbers = [[row["number"] for row in part] for part in parts[GROUPS[3]]]
        assert numbers == [[start + 6, start + 7] for start in range(0, 700, 100)]


def test_memory_does_not_grow_with_rows_or_groups() -> None:
    budget = 1 << 20
    before = pa.total_allocated_bytes()
    with TableSpool(SCHEMA, held_bytes=budget) as spool:
        for _ in range(10):
            filled(spool, 10)
            assert spool.held_bytes <= budget
            assert pa.total_allocated_bytes() - before <= 2 * budget


def test_one_file_is_open_and_goes_with_the_spool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    opened = open_files()
    with TableSpool(SCHEMA, held_bytes=0) as spool:
        filled(spool, 20)
        content(spool)
        assert 1 <= open_files() - opened <= len(GROUPS) // 2
    assert not [*tmp_path.iterdir()]


def test_little_never_touches_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "there is no such folder"))
    with TableSpool(SCHEMA) as spool:
        assert len(content(filled(spool, 7))[GROUPS[0]]) == 7


def test_rows_may_be_added_after_others_were_read() -> None:
    with TableSpool(SCHEMA, held_bytes=0) as spool:
        filled(spool, 2)
        first = next(spool.parts(GROUPS[0]))
        filled(spool, 1)
        again, _, last = spool.parts(GROUPS[0])
        assert again == last == first
        assert len(content(spool)[GROUPS[-1]]) == 3


def test_a_group_that_never_came_has_no_parts() -> None:
    with TableSpool(SCHEMA, held_bytes=0) as spool:
        filled(spool, 1)
        assert [*spool.parts("another")] == []


def test_a_group_may_come_in_some_tables_only() -> None:
    with TableSpool(SCHEMA, held_bytes=0) as spool:
        spool.add(rows(range(3), None), [("a", 1), ("b", 2)])
        spool.add(rows(range(3, 4), "é"), [("b", 1)])
        spool.add(rows(range(0)), [])
        assert [part.to_pydict() for part in spool.parts("b")] == [
            {"number": [1, 2], "text": [None, None]},
            {"number": [3], "text": ["é"]},
        ]


@pytest.mark.parametrize("held_bytes", [0, 1 << 30])
def test_a_group_that_is_dropped_leaves_the_others(held_bytes: int) -> None:
    with TableSpool(SCHEMA, held_bytes=held_bytes) as spool:
        filled(spool, 3)
        first, second, *_ = GROUPS
        others = content(spool)[second]

        spool.drop(first)

        assert list(spool.parts(first)) == []
        assert content(spool)[second] == others
