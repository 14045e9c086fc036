"""A landed object read to its end, with what holds for every file checked on the way."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline_assets.parsing.formats import Format, Writing
from pipeline_assets.parsing.limits import Limits
from pipeline_assets.parsing.notes import Notes
from pipeline_assets.parsing.reader import open_records
from pipeline_assets.parsing.records import Layout, record_schema

EVERY_FORMAT = frozenset(Format)
Row = dict[str, str | int | None]


@dataclass(frozen=True)
class Read:
    rows: list[Row]
    counted: int
    format: Format
    notes: Notes

    @property
    def good(self) -> list[Row]:
        own = ("_row", "_raw", "_error")
        return [
            {name: value for name, value in row.items() if name not in own}
            for row in self.rows
            if row["_error"] is None
        ]

    @property
    def malformed(self) -> list[tuple[int, str, str]]:
        return [
            (int(row["_row"] or 0), str(row["_raw"]), str(row["_error"]))
            for row in self.rows
            if row["_error"] is not None
        ]


Reader = Callable[..., Read]


def read_file(
    path: Path,
    key: str,
    fields: tuple[str, ...] = ("a", "b"),
    formats: frozenset[Format] = EVERY_FORMAT,
    batch_rows: int = 65_536,
    **fixed: Any,
) -> Read:
    """Options beyond these are attributes of `Writing` and `Limits`."""
    rows: list[Row] = []
    bounds = {name: fixed.pop(name) for name in Limits.__dataclass_fields__ if name in fixed}
    layout = Layout(fields, batch_rows, Writing(**fixed), Limits(**bounds))
    with open_records(path, key=key, formats=formats, layout=layout) as reader:
        for batch in reader:
            assert isinstance(batch, pa.RecordBatch)
            assert batch.schema == record_schema(fields)
            assert 0 < batch.num_rows <= batch_rows
            rows += batch.to_pylist()
    assert [row["_row"] for row in rows] == list(range(1, len(rows) + 1))
    assert all((row["_raw"] is None) == (row["_error"] is None) for row in rows)
    return Read(rows, reader.counted, reader.format, reader.notes)
