"""Which of the files that were just read have a valid row."""

from dataclasses import replace
from datetime import date

import polars as pl
import pyarrow as pa
import pytest

from pipeline_assets.datasets.readings import DATASET
from pipeline_assets.errors import ConformError
from pipeline_assets.probing import PROBED_ROWS, Probe, probe, with_valid_row

FIRST, SECOND = date(2025, 3, 1), date(2025, 3, 2)


def rows(*times: str | None, error: str | None = None) -> pl.DataFrame:
    """Readings at these times."""
    values: dict[str, object] = dict.fromkeys(DATASET.fields, "1")
    values |= {"deviceId": "d", "metric": "heat", "value": "1", "_error": error}
    schema = dict.fromkeys(values, pl.String)
    return pl.DataFrame([{**values, "timestamp": time} for time in times], schema=schema)


def probed(records: pl.DataFrame, day: date = FIRST) -> Probe:
    found = probe(records, DATASET, day)
    assert found is not None
    return found


def test_of_many_files_those_with_a_valid_row_are_found() -> None:
    probes = {
        "sound": [probed(rows("2025-03-01T10:00:00Z"))],
        "wrong": [probed(rows("yesterday", None))],
        "of another date": [probed(rows("2025-03-01T10:00:00Z"), SECOND)],
        "sound on its second date": [
            probed(rows("yesterday")),
            probed(rows("2025-03-02T10:00:00Z"), SECOND),
        ],
        "without rows": [],
    }

    assert with_valid_row(probes, DATASET) == {"sound", "sound on its second date"}


def test_only_a_few_rows_are_kept_and_none_that_is_malformed() -> None:
    many = rows(*["2025-03-01T10:00:00Z"] * 100)
    mixed = pl.concat([rows(None, None, error="cut"), many])

    assert probe(rows(None, error="cut"), DATASET, FIRST) is None
    assert probed(mixed).records.equals(many.head(PROBED_ROWS).select(DATASET.fields))


@pytest.mark.parametrize("error", [None, "cut"], ids=["all well formed", "one malformed"])
def test_a_probe_keeps_nothing_of_the_other_rows_in_memory(error: str | None) -> None:
    count, text = 2_000, "2025-03-01T10:00:00Z, and more text than fits into a view"
    before = pa.total_allocated_bytes()
    columns = {name: pa.array([text] * count) for name in DATASET.fields}
    columns["_error"] = pa.array([error, *[None] * (count - 1)], pa.string())
    batch = pa.table(columns)
    records = pl.DataFrame(batch)
    held = pa.total_allocated_bytes() - before
    found = probed(records)

    del batch, columns, records

    assert found.records.height == PROBED_ROWS
    assert pa.total_allocated_bytes() - before < held // 50


def test_a_conform_that_loses_rows_is_told_of() -> None:
    broken = replace(DATASET, conform=lambda received: DATASET.conform(received).head(0))

    with pytest.raises(ConformError):
        with_valid_row({"a": [probed(rows("2025-03-01T10:00:00Z"))]}, broken)
