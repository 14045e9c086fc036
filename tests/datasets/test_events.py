"""What the events dataset makes of received text, and the tables it derives."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_assets.contract import validate
from pipeline_assets.dataset import event_dates
from pipeline_assets.datasets.events import DATASET, conform

DAY = date(2024, 5, 28)
ANY_MACHINE = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
USER = "64ff50f6-2ff3-56e1-9ef8-6f3c9f39d4de"


def received(*events: Mapping[str, str | None]) -> pl.DataFrame:
    rows = [{name: event.get(name) for name in DATASET.fields} for event in events]
    return pl.DataFrame(rows, schema=dict.fromkeys(DATASET.fields, pl.String))


def conformed(*events: Mapping[str, str | None]) -> pl.DataFrame:
    return conform(received(*events).lazy()).collect()


def column(name: str, field: str, values: list[str | None]) -> list[object]:
    return conformed(*({field: value} for value in values)).get_column(name).to_list()


def at(hour: int, minute: int = 0, second: int = 0, micro: int = 0) -> datetime:
    return datetime(2024, 5, 28, hour, minute, second, micro, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2010-12-01T08:26:00Z", datetime(2010, 12, 1, 8, 26, tzinfo=UTC)),
        ("2024-05-28T15:55:53.000Z", at(15, 55, 53)),
        ("2024-05-28T15:55:53+02:00", at(13, 55, 53)),
        ("2024-05-28T15:55:53.25-0330", at(19, 25, 53, 250_000)),
        ("2024-05-28 15:55:53+02", at(13, 55, 53)),
        ("2024-05-28 15:55:53", at(15, 55, 53)),
        ("2024-05-28T15:55:53", at(15, 55, 53)),
        ("2024-05-28T15:55", at(15, 55)),
        ("2024-05-28t15:55z", at(15, 55)),
        ("2024-05-28 15:55+02:00", at(13, 55)),
        (" 2024-05-28 15:55:53,123 ", at(15, 55, 53, 123_000)),
        ("2024-05-28T15:55:53.123456789Z", at(15, 55, 53, 123_456)),
        ("2024-05-29T00:30:00+02:00", at(22, 30)),
    ],
)
def test_iso_8601_times_are_read_as_utc(text: str, time: datetime) -> None:
    assert column("timestamp", "timestamp", [text]) == [time]


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2024-05-28",
        "20240528T155553Z",
        "2024-5-8T1:02:03Z",
        "2024-02-30T00:00:00Z",
        "2024-05-28T25:00:00Z",
        "2024-05-28T15:55:53+99:99",
        "2024-05-28T15:55:53 Europe/Berlin",
        "1716911753",
        "+12024-05-28T15:55:53Z",
        "\uff12024-05-28T15:55:53Z",
        "",
        None,
    ],
)
def test_other_times_are_null(text: str | None) -> None:
    assert column("timestamp", "timestamp", [text]) == [None]


def test_times_of_several_forms_in_one_column_are_read_each_by_its_own() -> None:
    texts: list[str | None] = ["2024-05-28T01:00:00Z", "x", "2024-05-28 02:00", None]

    assert column("timestamp", "timestamp", texts) == [at(1), None, at(2), None]


@given(time=st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001 - hypothesis wants naive bounds
@settings(ANY_MACHINE)
def test_every_time_that_python_writes_is_read_back(time: datetime) -> None:
    utc = time.replace(tzinfo=UTC)

    assert column("timestamp", "timestamp", [utc.isoformat(), time.isoformat(" ")]) == [utc, utc]


def test_the_hour_bucket_is_the_hour_of_the_time() -> None:
    assert column("hour_bucket", "timestamp", ["2024-05-28T17:55:53+02:00", None]) == [at(15), None]


def test_text_is_trimmed_and_blank_text_is_null() -> None:
    assert column("event_id", "eventId", [" e-1\t", " ", "", None]) == ["e-1", None, None, None]


def test_user_ids_are_lower_cased_and_event_types_are_not() -> None:
    frame = conformed({"userId": USER.upper(), "eventType": " Click"})

    assert frame.select("user_id", "event_type").row(0) == (USER, "Click")


@pytest.mark.parametrize(
    ("text", "compact"),
    [
        ("{}", "{}"),
        (' { "a" : 1 ,\n\t"b" : [ 1, 2 ] } ', '{"a":1,"b":[1,2]}'),
        ('{"a": "b : c, d [ e ] \\" , f", "g": null}', '{"a":"b : c, d [ e ] \\" , f","g":null}'),
        ('{"a": "ends in a backslash\\\\", "b": " "}', '{"a":"ends in a backslash\\\\","b":" "}'),
        ('{"a": 12345678901234567.89, "b": 1.10}', '{"a":12345678901234567.89,"b":1.10}'),
        ('{"a":"NaN",  "b":":nan,]"}', '{"a":"NaN","b":":nan,]"}'),
        ('{"a":"\\u00e9 é"}', '{"a":"\\u00e9 é"}'),
    ],
)
def test_json_objects_lose_the_space_between_tokens_and_nothing_else(
    text: str, compact: str
) -> None:
    assert column("properties", "properties", [text]) == [compact]


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        '"text"',
        "1",
        "null",
        "{",
        '{"a":1}{"b":2}',
        '{"a":1,}',
        '{"a":[1, ]}',
        '{"a":NaN}',
        '{"a": -Infinity}',
        '{"a":[1,inf]}',
        "{'a':1}",
        '{"a":01}',
        '{"a":"line\nbreak"}',
        "",
        None,
    ],
)
def test_what_is_not_a_json_object_is_null(text: str | None) -> None:
    assert column("properties", "properties", [text]) == [None]


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=10,
)


@given(
    value=st.dictionaries(st.text(st.characters(codec="utf-8")), JSON_VALUES),
    indent=st.sampled_from([None, 0, 1, "\t"]),
    ascii_only=st.booleans(),
)
@settings(ANY_MACHINE)
def test_however_an_object_is_spaced_it_conforms_to_the_same_text(
    value: dict[str, object], indent: int | str | None, *, ascii_only: bool
) -> None:
    spaced = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    compact = json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only)

    assert column("properties", "properties", [spaced, compact]) == [compact, compact]


@given(
    values=st.lists(
        st.sampled_from(["2024-05-28T01:00:00Z", "2024-05-28 02", '{"a": 1}', "", None])
    )
)
@settings(ANY_MACHINE)
def test_each_row_conforms_as_it_would_alone(values: list[str | None]) -> None:
    events = [dict.fromkeys(DATASET.fields, value) for value in values]

    together = conformed(*events)
    alone = [conformed(event) for event in events]

    assert together.equals(pl.concat([conformed(), *alone]))


def filed(
    *events: Mapping[str, str | None], errors: list[str | None] | None = None
) -> list[object]:
    error = pl.Series("_error", errors or [None] * len(events), dtype=pl.String)
    records = received(*events).with_columns(error)
    return event_dates(
        records, DATASET, file_date=date(2024, 1, 1), landed_date=date(2024, 5, 27)
    ).to_list()


def test_a_record_is_filed_under_the_utc_day_of_its_time() -> None:
    assert filed(
        {"timestamp": "2024-05-28T00:30:00+02:00"}, {"timestamp": "2010-01-01 00:00:00"}
    ) == [
        date(2024, 5, 27),
        date(2010, 1, 1),
    ]


def test_a_time_up_to_the_day_after_landing_is_its_own_and_a_later_one_goes_by_the_file() -> None:
    assert filed({"timestamp": "2024-05-28T23:59:59Z"}, {"timestamp": "2024-05-29T00:00:00Z"}) == [
        DAY,
        date(2024, 1, 1),
    ]


def test_a_time_before_the_dataset_began_goes_by_the_file() -> None:
    early = [
        {"timestamp": "2009-12-31T23:59:59Z"},
        {"timestamp": "0001-01-01T00:00:00+14:00"},
    ]

    assert filed(*early) == [date(2024, 1, 1)] * 2


def test_what_is_malformed_or_unreadable_goes_by_the_file() -> None:
    time = "2024-05-27T00:00:00Z"

    assert (
        filed({"timestamp": time}, {"timestamp": "x"}, {}, errors=["cut", None, None])
        == [date(2024, 1, 1)] * 3
    )


def test_a_file_without_records_is_filed_nowhere() -> None:
    assert filed() == []


def test_finding_dates_does_not_depend_on_the_properties() -> None:
    broken = {"timestamp": "2024-05-27T00:00:00Z", "properties": "{"}

    assert filed(broken) == [date(2024, 5, 27)]


def silver(*events: tuple[str, str, str]) -> pl.LazyFrame:
    rows = [
        {"eventType": kind, "userId": user, "timestamp": f"2024-05-28T{time}Z"}
        for kind, user, time in events
    ]
    return conform(received(*rows).lazy()).with_columns(event_date=pl.lit(DAY))


EVENTS = silver(
    ("signup", "c", "09:00:00"),
    ("click", "a", "10:59:59"),
    ("click", "b", "10:00:00"),
    ("click", "a", "11:00:00"),
)


def test_the_daily_summary_counts_events_and_users_by_type() -> None:
    table = next(each for each in DATASET.gold if each.name == "daily_event_summary")

    summary = table.build(EVENTS).collect()

    validate(summary, table.contract(), table=table.name)
    assert summary.rows() == [(DAY, "click", 3, 2), (DAY, "signup", 1, 1)]


def test_the_hourly_activity_counts_events_and_users_by_hour_and_type() -> None:
    table = next(each for each in DATASET.gold if each.name == "hourly_activity")

    activity = table.build(EVENTS).collect()

    validate(activity, table.contract(), table=table.name)
    assert activity.rows() == [
        (DAY, at(9), "signup", 1, 1),
        (DAY, at(10), "click", 2, 2),
        (DAY, at(11), "click", 1, 1),
    ]
