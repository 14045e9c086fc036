"""What the readings dataset makes of received text, which of equal rows stay, and its table."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_assets.contract import validate
from pipeline_assets.dataset import Keep
from pipeline_assets.datasets.readings import DATASET, conform
from pipeline_assets.partitions import file_date
from pipeline_assets.refine import RefinedDate, refine

DAY = date(2024, 5, 28)
GOLD = DATASET.gold[0]
KEYS = {"z": "readings/pump/1.csv", "a": "readings/pump/2.csv", "m": "readings/valve/0.csv"}
"""File ids sort differently from their landing keys."""

ANY_MACHINE = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])

Reading = Mapping[str, str | None]
READING: Reading = {
    "deviceId": "pump",
    "timestamp": "2024-05-28T10:00:00Z",
    "metric": "bar",
    "value": "1.5",
}


def bronze(files: Mapping[str, list[Reading]]) -> pl.DataFrame:
    text = ("_raw", "_error", *DATASET.fields, "_rescued")
    schema = {"_file_id": pl.String(), "_row": pl.Int64()} | dict.fromkeys(text, pl.String())
    rows = [
        {"_file_id": file_id, "_row": row} | {name: reading.get(name) for name in text}
        for file_id, readings in files.items()
        for row, reading in enumerate(readings, 1)
    ]
    return pl.DataFrame(rows, schema=schema)


def refined(files: Mapping[str, list[Reading]]) -> RefinedDate:
    return refine(bronze(files), DATASET, event_date=DAY, landing_keys=KEYS)


def measured(*values: str) -> list[Reading]:
    return [{**READING, "value": value} for value in values]


def values(result: RefinedDate) -> list[float]:
    return result.silver["value"].to_list()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (" 76.30796353\t", 76.30796353),
        ("25425", 25425.0),
        ("-0.5", -0.5),
        ("+.5", 0.5),
        ("5.", 5.0),
        ("1e-3", 0.001),
        ("1.5E+3", 1500.0),
        ("0.1", 0.1),
        ("9007199254740993", 9007199254740992.0),
        ("12345678901234567890123", 1.2345678901234568e22),
        ("1e-999", 0.0),
    ],
)
def test_decimal_numbers_are_read_to_the_nearest_float(text: str, number: float) -> None:
    assert values(refined({"z": measured(text)})) == [number]


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-inf", "1e999", "1,5", "1_000", "0x10", "1 2", "1.2.3", ".", "on"]
)
def test_a_value_that_is_no_finite_number_is_unreadable(text: str) -> None:
    assert refined({"z": measured(text)}).quarantine["reasons"].to_list() == ["value_readable"]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("deviceId", "device_id"),
        ("timestamp", "timestamp"),
        ("metric", "metric"),
        ("value", "value"),
    ],
)
@pytest.mark.parametrize("value", [None, "", " "])
def test_a_reading_without_one_of_its_fields_is_invalid(
    name: str, column: str, value: str | None
) -> None:
    rejected = refined({"z": [{**READING, name: value}]}).quarantine

    assert rejected["reasons"].to_list() == [f"{column}_required"]


@given(value=st.floats(allow_nan=False, allow_infinity=False))
@settings(ANY_MACHINE)
def test_every_float_that_python_writes_is_read_back(value: float) -> None:
    assert values(refined({"z": measured(repr(value))})) == [value]


def test_of_several_values_the_one_of_the_greatest_landing_key_and_row_wins() -> None:
    result = refined({"a": measured("4", "3"), "z": measured("9", "8", "7")})

    assert result.silver.select("value", "_file_id", "_row").rows() == [(3.0, "a", 2)]
    assert result.duplicates == 4
    assert result.conserved


def test_an_invalid_value_does_not_hide_a_valid_one_before_it() -> None:
    result = refined({"z": measured("1", "x")})

    assert (values(result), result.quarantined, result.duplicates) == ([1.0], 1, 0)


def test_a_time_in_other_words_is_the_same_time() -> None:
    again = {
        **READING,
        "timestamp": "2024-05-28 12:00:00.000+02:00",
        "deviceId": " pump ",
        "value": "2",
    }

    assert values(refined({"z": [READING, again]})) == [2.0]


@pytest.mark.parametrize(
    ("name", "value"),
    [("deviceId", "Pump"), ("metric", "°C"), ("timestamp", "2024-05-28T10:00:00.000001Z")],
)
def test_readings_that_differ_in_device_metric_or_time_are_two(name: str, value: str) -> None:
    assert refined({"z": [READING, {**READING, name: value}]}).silver_rows == 2


READINGS = st.fixed_dictionaries(
    {
        "deviceId": st.sampled_from(["pump", "valve"]),
        "timestamp": st.sampled_from(["2024-05-28T10:00:00Z", "2024-05-28T10:05:00Z"]),
        "metric": st.sampled_from(["bar", "bar", "°C"]),
        "value": st.sampled_from(["1", "2", "3", "off"]),
    }
)
FILES = st.dictionaries(st.sampled_from(sorted(KEYS)), st.lists(READINGS, max_size=15))


@given(files=FILES, seed=st.integers(0, 1000))
@settings(ANY_MACHINE)
def test_exactly_the_last_of_equal_readings_are_kept_in_whatever_order_they_arrive(
    files: dict[str, list[Reading]], seed: int
) -> None:
    arrived = bronze(files).sample(fraction=1, shuffle=True, seed=seed)

    result = refine(arrived, DATASET, event_date=DAY, landing_keys=KEYS)

    last = {
        (reading["deviceId"], reading["metric"], reading["timestamp"]): (file_id, row)
        for file_id in sorted(files, key=KEYS.__getitem__)
        for row, reading in enumerate(files[file_id], 1)
        if reading["value"] != "off"
    }
    assert sorted(result.silver.select("_file_id", "_row").rows()) == sorted(last.values())
    assert result.conserved


def test_a_dataset_may_keep_the_first_instead() -> None:
    first = replace(DATASET, keep=Keep.FIRST)
    files = {"a": measured("4"), "z": measured("9", "8")}

    result = refine(bronze(files), first, event_date=DAY, landing_keys=KEYS)

    assert values(result) == [9.0]


def test_a_key_without_a_date_goes_by_the_day_it_landed() -> None:
    landed = datetime(2024, 5, 28, 23, 30, tzinfo=UTC)

    assert file_date("readings/nyc_taxi/2014-11.csv", landed, DATASET) == DAY


def table(*readings: tuple[str, str, str, str]) -> pl.DataFrame:
    rows = [
        dict(zip(("deviceId", "metric", "timestamp", "value"), reading, strict=True))
        for reading in readings
    ]
    received = pl.LazyFrame(rows, schema=dict.fromkeys(DATASET.fields, pl.String))
    built = GOLD.build(conform(received).with_columns(event_date=pl.lit(DAY))).collect()
    validate(built, GOLD.contract(), table=GOLD.name)
    return built


def test_each_device_metric_and_hour_has_its_count_extremes_mean_and_last_value() -> None:
    built = table(
        ("valve", "bar", "2024-05-28T10:00:00Z", "7"),
        ("pump", "bar", "2024-05-28T11:00:00Z", "-1"),
        ("pump", "bar", "2024-05-28T10:59:59.999Z", "2"),
        ("pump", "bar", "2024-05-28T10:00:00Z", "5"),
        ("pump", "bar", "2024-05-28T12:30:00+02:00", "8"),
        ("pump", "°C", "2024-05-28T10:00:00Z", "20"),
    )

    ten, eleven = (datetime(2024, 5, 28, hour, tzinfo=UTC) for hour in (10, 11))
    assert built.rows() == [
        (DAY, "pump", "bar", ten, 3, 2.0, 5.0, 8.0, 2.0),
        (DAY, "pump", "bar", eleven, 1, -1.0, -1.0, -1.0, -1.0),
        (DAY, "pump", "°C", ten, 1, 20.0, 20.0, 20.0, 20.0),
        (DAY, "valve", "bar", ten, 1, 7.0, 7.0, 7.0, 7.0),
    ]


@given(seed=st.integers(0, 1000))
@settings(ANY_MACHINE)
def test_the_table_is_the_same_to_the_last_bit_in_whatever_order_rows_come(seed: int) -> None:
    index = pl.int_range(0, 3600)
    silver = pl.select(
        device_id=pl.format("d{}", index % 3),
        timestamp=pl.lit(datetime(2024, 5, 28, 10, tzinfo=UTC)) + pl.duration(seconds=index),
        metric=pl.lit("bar"),
        value=(index * 7919 % 3571) / 7 + 1e9 * (index % 2),
        event_date=pl.lit(DAY),
    )
    shuffled = silver.sample(fraction=1, shuffle=True, seed=seed)

    assert GOLD.build(shuffled.lazy()).collect().equals(GOLD.build(silver.lazy()).collect())


@pytest.mark.parametrize("text", ["0.1", "1e308", "-1e308", "5e-324"])
@pytest.mark.parametrize("readings", [3, 10, 1000])
def test_the_mean_of_equal_values_never_leaves_them(text: str, readings: int) -> None:
    start = datetime(2024, 5, 28, 10, tzinfo=UTC).isoformat()[:17]
    times = (f"{start}{number * 59.0 / readings:09.6f}Z" for number in range(readings))

    built = table(*(("pump", "bar", time, text) for time in times))

    assert built["mean"].to_list() == [float(text)]
