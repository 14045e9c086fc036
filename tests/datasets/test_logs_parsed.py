"""Log files with raw text between their JSON lines, from their bytes to silver and quarantine."""

import bz2
import gzip
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.datasets.logs import DATASET
from pipeline_assets.parsing.reader import open_records
from pipeline_assets.parsing.records import Layout
from pipeline_assets.refine import RefinedDate, refine

DAY = date(2024, 5, 28)
RAW = {
    1: "[2024-05-28 09:59:59] INFO booting {pid=7}",
    2: "Using the settings of /etc/app",
    4: "java.io.IOException: disconnected",
    5: "\tat kafka.Server.run(Server.scala:1)",
    7: '{"timestamp":"2024-05-28T10:00:00Z","level":"INFO","mess',
    9: "[]",
}
LINES = 9


def line(number: int) -> str:
    return json.dumps(
        {
            "timestamp": f"2024-05-28T10:00:0{number}Z",
            "level": "Warning",
            "message": f'line {number}\n\tsaid "so" {{',
            "thread": "main",
        }
    )


TEXT = "".join(f"{RAW.get(number) or line(number)}\n" for number in range(1, LINES + 1))


def refined(path: Path, key: str) -> RefinedDate:
    layout = Layout(DATASET.fields, writing=DATASET.writing)
    with open_records(path, key=key, formats=DATASET.formats, layout=layout) as reader:
        records = pl.concat([pl.DataFrame(batch) for batch in reader])
        assert reader.counted == records.height == LINES
    bronze = records.with_columns(_file_id=pl.lit("file"))
    return refine(bronze, DATASET, event_date=DAY, landing_keys={"file": key})


@pytest.mark.parametrize(
    ("key", "pack"),
    [
        ("logs/app.log", bytes),
        ("logs/app.log.gz", gzip.compress),
        ("logs/app.jsonl.bz2", bz2.compress),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_raw_text_before_and_between_json_lines_costs_itself_alone(
    tmp_path: Path, key: str, pack: Callable[[bytes], bytes], newline: str
) -> None:
    path = tmp_path / "object"
    path.write_bytes(pack(TEXT.replace("\n", newline).encode()))

    result = refined(path, key)

    assert result.silver.select("_row", "level", "message").rows() == [
        (number, "WARN", f'line {number}\n\tsaid "so" {{')
        for number in range(1, LINES + 1)
        if number not in RAW
    ]
    rejected = result.quarantine.select("_row", "record").rows()
    assert {row: record.rstrip("\r") for row, record in rejected} == RAW
    for row, reasons in result.quarantine.select("_row", "reasons").rows():
        assert reasons.startswith(f"malformed: line {row}: ")
