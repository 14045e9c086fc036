"""Sample events: every format and fault occurs, some come late, some in two formats."""

import gzip
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Final

import pytest

from pipeline_assets.demo.event_files import Encoding, EventFile, Fault, Record
from pipeline_assets.demo.event_samples import event_files, new_users, samples
from pipeline_assets.demo.expectation import Plan
from pipeline_assets.demo.visitors import Event

PLAN: Final = Plan()
FIRST, SECOND, THIRD = PLAN.dates[:3]


@pytest.fixture(scope="module")
def files() -> tuple[EventFile, ...]:
    return event_files(PLAN)


def test_every_encoding_and_every_fault_occurs(files: tuple[EventFile, ...]) -> None:
    assert {file.encoding for file in files} == set(Encoding)
    faults = {record.fault for file in files for record in file.records}
    assert faults == {*Fault, None}


def test_there_are_about_twenty_thousand_records_over_the_fixed_dates() -> None:
    made = samples(PLAN)
    assert 18_000 < sum(file.records for file in made.files) < 22_000
    assert list(made.accounts) == [date(2025, 3, day) for day in range(3, 8)]


def test_every_date_has_sound_spoiled_and_repeated_events() -> None:
    for account in samples(PLAN).accounts.values():
        assert min(account.silver, account.quarantined, account.duplicates) > 0


def test_a_delivery_stream_object_has_no_newline_between_its_objects(
    files: tuple[EventFile, ...],
) -> None:
    joined = [file for file in files if file.encoding is Encoding.JOINED_GZIP]
    assert len(joined) == PLAN.days
    for file in joined:
        text = gzip.decompress(file.content())
        assert b"}{" in text
        assert b"\n" not in text


def test_records_come_late_from_the_evening_before_their_file(
    files: tuple[EventFile, ...],
) -> None:
    late = Counter(
        file.key.split(".")[0]
        for file in files
        for record in file.records
        if file.file_date and record.event_date == file.file_date - timedelta(days=1)
    )
    assert late["dt=2025-03-04/web"] > 100
    assert late["2025/03/04/00/mobile-1-2025-03-04-00-45-00"] > 100
    assert not late["dt=2025-03-03/web"]


def test_one_file_has_no_date_in_its_key_and_many_in_its_records(
    files: tuple[EventFile, ...],
) -> None:
    undated = [file for file in files if file.file_date is None]
    assert [file.key for file in undated] == ["signups.csv"]
    assert {record.event_date for record in undated[0].records} == {*PLAN.dates}


def test_an_event_is_reported_in_two_formats(files: tuple[EventFile, ...]) -> None:
    reports: dict[object, set[Encoding]] = {}
    for file in files:
        for record in file.records:
            reports.setdefault(record.event.identity, set()).add(file.encoding)
    pairs = Counter(frozenset(each) for each in reports.values() if len(each) > 1)
    assert pairs[frozenset({Encoding.CSV_GZIP, Encoding.PARQUET})] > 100
    assert pairs[frozenset({Encoding.JSON_LINES_GZIP, Encoding.CSV})] > 100


def seen(user: str, day: date, fault: Fault | None = None) -> Record:
    at = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
    return Record(Event("click", user, at, None, None, "{}"), day, fault)


def test_a_user_is_new_on_the_first_date_of_a_sound_event_in_whatever_order_they_come() -> None:
    records = [
        seen("ada", THIRD),
        seen("ada", FIRST),
        seen("bo", SECOND),
        seen("bo", FIRST, Fault.UNKNOWN_TYPE),
        seen("cy", FIRST),
        seen("cy", THIRD),
    ]
    assert new_users(records) == ((FIRST, 2), (SECOND, 1), (THIRD, 0))


def test_users_return_and_new_ones_come_on_every_date() -> None:
    made = samples(PLAN)
    (table,) = (each for each in made.tables if each.name == "new_users")
    counts = [row[1] for row in table.rows if isinstance(row[1], int)]
    assert [row[0] for row in table.rows] == list(PLAN.dates)
    assert all(160 <= count < 1_000 for count in counts)
    assert sum(counts) < 1_500 + 5 * 160
