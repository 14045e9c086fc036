"""Where a file belongs, and which days travel together."""

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.partitions import contiguous, daily_partitions, file_date, has_partition
from pipeline_assets.registry import dataset

EVENTS = dataset("events")
LANDED = datetime(2025, 3, 20, 12, tzinfo=UTC)
TODAY = LANDED.date()


@pytest.mark.parametrize(
    "key",
    [
        "events/dt=2025-03-01/a.csv",
        "events/region=eu/dt=2025-03-01/hour=07/a.csv",
        "dt=2025-03-01/a.csv",
        "events/dt=2025-03-01",
        "events/2025/03/01/a.csv",
        "events/2025/03/01/07/a.csv",
        "events/v2/2025/03/01/a b+c.csv",
        "events/2024/12/31/dt=2025-03-01/a.csv",
    ],
)
def test_the_date_in_the_key_is_the_files_date(key: str) -> None:
    assert file_date(key, LANDED, EVENTS) == date(2025, 3, 1)


@pytest.mark.parametrize(
    "key",
    [
        "events/a.csv",
        "events/2025-03-01.csv",
        "events/dt=2025-3-1/a.csv",
        "events/dt=2025-02-30/a.csv",
        "events/dt=2025-13-01/a.csv",
        "events/dt=0000-00-00/a.csv",
        "events/2025/02/29/a.csv",
        "events/2025/03/a.csv",
        "events/12025/03/01/a.csv",
        "events/xdt=2025-03-01/a.csv",
        "events/dt=2025-03-011/a.csv",
        "events/2025/03/01",
    ],
)
def test_a_key_without_a_date_goes_by_the_day_it_landed(key: str) -> None:
    assert file_date(key, LANDED, EVENTS) == TODAY


@pytest.mark.parametrize("day", [EVENTS.start - timedelta(days=1), TODAY + timedelta(days=2)])
def test_a_date_outside_the_partitions_counts_as_none(day: date) -> None:
    assert file_date(f"events/dt={day}/a.csv", LANDED, EVENTS) == TODAY


@pytest.mark.parametrize("day", [EVENTS.start, TODAY, TODAY + timedelta(days=1)])
def test_the_first_day_and_tomorrow_are_partitions(day: date) -> None:
    assert file_date(f"events/dt={day}/a.csv", LANDED, EVENTS) == day


def test_an_impossible_date_gives_way_to_the_other_form() -> None:
    key = "events/2025/03/01/dt=2025-02-30/a.csv"

    assert file_date(key, LANDED, EVENTS) == date(2025, 3, 1)


def test_the_day_of_landing_is_the_day_in_utc() -> None:
    late = datetime(2025, 3, 20, 23, 30, tzinfo=timezone(-timedelta(hours=5)))

    assert file_date("events/a.csv", late, EVENTS) == date(2025, 3, 21)


def test_the_partitions_that_dagster_knows_are_the_ones_that_are_asked_for() -> None:
    now = datetime.now(UTC)
    known = set(daily_partitions(EVENTS).get_partition_keys(current_time=now))
    days = [EVENTS.start - timedelta(days=1), EVENTS.start]
    days += [now.date() + timedelta(days=ahead) for ahead in range(-1, 4)]

    for day in days:
        assert (day.isoformat() in known) == has_partition(EVENTS, day, now.date())


@given(st.text(max_size=60), st.datetimes(datetime(2011, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - hypothesis wants naive bounds
def test_any_key_has_a_date_that_is_a_partition(key: str, landed: datetime) -> None:
    landed = landed.replace(tzinfo=UTC)

    assert has_partition(EVENTS, file_date(key, landed, EVENTS), landed.date())


@given(
    st.lists(st.dates(date(2024, 2, 20), date(2024, 4, 5)).map(date.isoformat)),
    st.integers(1, 12),
)
def test_runs_of_days_have_no_gap_no_repeat_and_are_as_long_as_they_may_be(
    days: list[str], longest: int
) -> None:
    runs = list(contiguous(days, longest))

    assert [day for run in runs for day in run] == sorted(set(days))
    for run in runs:
        first = date.fromisoformat(run[0])
        assert run == [(first + timedelta(days=n)).isoformat() for n in range(len(run))]
        assert len(run) <= longest
    for before, after in pairwise(runs):
        gap = date.fromisoformat(after[0]) - date.fromisoformat(before[-1])
        assert gap.days > 1 or len(before) == longest
