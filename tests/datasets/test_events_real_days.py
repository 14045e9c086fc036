"""Days of real events against counts that were worked out independently."""

import csv
import gzip
import json
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from pipeline_assets.datasets.events import DATASET
from pipeline_assets.refine import refine

REAL_DATA = Path(__file__).parents[3] / "shared/data"

Record = dict[str, str | None]


def bronze(records: list[Record]) -> pl.DataFrame:
    text = ("_raw", "_error", *DATASET.fields, "_rescued")
    frame = pl.DataFrame(records, schema=dict.fromkeys(DATASET.fields, pl.String))
    absent = (pl.lit(None, pl.String).alias(name) for name in text if name not in frame.columns)
    return frame.with_columns(*absent, _file_id=pl.lit("file"), _row=pl.int_range(pl.len()))


def records_of(file: Path) -> Iterator[dict[str, object]]:
    if file.suffix == ".parquet":
        yield from pq.read_table(file).to_pylist()
    elif file.suffix == ".csv":
        with file.open(newline="", encoding="utf-8") as lines:
            yield from csv.DictReader(lines)
    else:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        yield from map(json.loads, content.decode().splitlines())


def received(value: object) -> str | None:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, str) else json.dumps(value)


@pytest.mark.skipif(
    not REAL_DATA.is_dir(), reason="needs the real input data, shared/data beside the project"
)
@pytest.mark.parametrize(
    "path",
    [
        "dt=2010-12-01/online-retail.csv",
        "dt=2011-01-10/online-retail.jsonl.gz",
        "dt=2010-12-17/online-retail.parquet",
    ],
)
def test_a_real_day_gives_the_counts_worked_out_independently(path: str) -> None:
    day = path[3:13]
    expected = json.loads((REAL_DATA / "expected/events.json").read_text())["by_event_date"][day]
    file = REAL_DATA / "landing/events" / path
    records: list[Record] = [
        {name: received(value) for name, value in record.items()} for record in records_of(file)
    ]

    result = refine(
        bronze(records),
        DATASET,
        event_date=date.fromisoformat(day),
        landing_keys={"file": f"events/{path}"},
    )

    counts = (result.silver_rows, result.quarantined, result.duplicates)
    assert counts == tuple(
        expected[name] for name in ("silver_rows", "quarantined_rows", "duplicate_rows")
    )
    summary = DATASET.gold[0].build(result.silver.lazy()).collect()
    assert {
        kind: {"event_count": events, "unique_users": users}
        for _, kind, events, users in summary.rows()
    } == expected["daily_event_summary"]
