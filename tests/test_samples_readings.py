"""Sample readings: CRLF, semicolons in UTF-16, and corrections, of which the last one counts."""

import codecs
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Final

from pipeline_assets.demo.expectation import Account, Plan
from pipeline_assets.demo.reading_samples import (
    PLAIN,
    WIDE,
    Fault,
    Reading,
    ReadingFile,
    accounts,
    hourly,
    samples,
    valid,
)

PLAN: Final = Plan()
DAY: Final = date(2025, 3, 3)
AT: Final = datetime(2025, 3, 3, 9, 10, tzinfo=UTC)
FIRST: Final = Reading("boiler", AT, "pressure", 9.25)
FILES: Final = {file.key: file.content for file in samples(PLAN).files}


def test_one_file_with_crlf_has_all_dates_and_none_in_its_key() -> None:
    content = FILES["greenhouse/all.csv"]
    assert content.count(b"\n") == content.count(b"\r\n") > 1_000
    assert all(f",{day}T".encode() in content for day in PLAN.dates)


def test_the_boiler_writes_semicolons_in_utf_16() -> None:
    for day in PLAN.dates:
        content = FILES[f"boiler/dt={day}/boiler.csv"]
        assert content.startswith(codecs.BOM_UTF16_LE)
        header, first, *_ = content.decode("utf-16").splitlines()
        assert header == "device_id;timestamp;metric;value"
        assert first.startswith(f"boiler;{day}T00:00:00Z;")


def test_corrections_stand_in_a_file_with_a_greater_key() -> None:
    corrected = {line.rpartition(b",")[0] for line in FILES["greenhouse/corrections.csv"].split()}
    measured = {line.rpartition(b",")[0] for line in FILES["greenhouse/all.csv"].split()}
    assert len(corrected) > 50
    assert corrected <= measured
    assert max(FILES) == "greenhouse/corrections.csv"


def test_of_several_values_the_one_with_the_greatest_key_and_row_counts() -> None:
    second, third = replace(FIRST, value=1.0), replace(FIRST, value=2.0)
    spoiled = replace(FIRST, value=3.0, fault=Fault.NO_NUMBER)
    late = ReadingFile("b.csv", PLAIN, (third, second, spoiled))
    early = ReadingFile("a.csv", WIDE, (FIRST,))
    for files in ((late, early), (early, late)):
        assert valid(files) == {FIRST.identity: second}
        assert accounts(files) == {DAY: Account(4, 1, 1, 2)}


def test_an_hour_has_count_extremes_mean_and_the_last_value_in_time() -> None:
    hour = AT.replace(minute=0)
    values = {10: 4.0, 50: 1.25, 30: 9.0}
    readings = [replace(FIRST, at=AT.replace(minute=at), value=each) for at, each in values.items()]
    assert hourly([*readings, replace(FIRST, at=AT.replace(hour=10))]) == (
        (DAY, "boiler", "pressure", hour, 3, 1.25, 4.75, 9.0, 1.25),
        (DAY, "boiler", "pressure", AT.replace(hour=10, minute=0), 1, 9.25, 9.25, 9.25, 9.25),
    )


def test_every_value_is_a_quarter() -> None:
    (table,) = samples(PLAN).tables
    at = table.columns.index("max")
    assert all((float(str(row[at])) * 4).is_integer() for row in table.rows)
