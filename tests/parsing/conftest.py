"""Reading bytes as a landed object, as every test here does."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline_assets.parsing import content, csv_framing, json_framing, json_records
from pipeline_assets.parsing.formats import Format
from pipeline_assets.parsing.reader import open_records
from pipeline_assets.parsing.records import record_schema

EVERY_FORMAT = frozenset(Format)
Row = dict[str, str | int | None]


@dataclass(frozen=True)
class Read:
    rows: list[Row]
    counted: int
    format: Format

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
) -> Read:
    rows: list[Row] = []
    with open_records(
        path, key=key, fields=fields, formats=formats, batch_rows=batch_rows
    ) as reader:
        for batch in reader:
            assert isinstance(batch, pa.RecordBatch)
            assert batch.schema == record_schema(fields)
            assert 0 < batch.num_rows <= batch_rows
            rows += batch.to_pylist()
    assert [row["_row"] for row in rows] == list(range(1, len(rows) + 1))
    assert all((row["_raw"] is None) == (row["_error"] is None) for row in rows)
    return Read(rows, reader.counted, reader.format)


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    folder = tmp_path_factory.mktemp("landed")

    def read_bytes(data: bytes, key: str, **options: object) -> Read:
        path = folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()
        path.write_bytes(data)
        found = read_file(path, key, **options)  # type: ignore[arg-type] # options of read_file
        path.unlink()
        assert list(folder.iterdir()) == []
        return found

    return read_bytes


@pytest.fixture(scope="module")
def small_blocks() -> Iterator[None]:
    """Blocks of 16 bytes and records of at most 64, so that short files meet every edge."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (content, json_framing, json_records):
            patch.setattr(module, "BLOCK_BYTES", 16)
        for module in (csv_framing, json_framing, json_records):
            patch.setattr(module, "RECORD_BYTES", 64)
        patch.setattr(json_framing, "LOOKAHEAD", 16)
        patch.setattr(json_records, "SURE_LENGTH", 16)
        yield
