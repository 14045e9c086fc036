"""Who was seen first when: any order of dates, late files and races end the same."""

import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest

from pipeline_assets.errors import StaleWriteError
from resources.aws import Aws
from resources.first_dates import BUCKETS, FirstDates, Seen, bucket_of
from resources.lake import Lake

DAYS = [f"2025-03-{day:02}" for day in range(1, 9)]


@pytest.fixture
def firsts(aws: Aws) -> FirstDates:
    return FirstDates(Lake(aws), "new_users", threads=4)


def users(*names: str, version: int = 1) -> Seen:
    return Seen(pl.Series("user_id", names, dtype=pl.String), version)


def expected(seen: Mapping[str, list[str]]) -> dict[str, int]:
    first: dict[str, str] = {}
    for day in sorted(seen):
        for name in seen[day]:
            first.setdefault(name, day)
    return {day: sum(each == day for each in first.values()) for day in set(first.values())}


def test_a_late_date_takes_its_users_away_from_the_dates_where_they_seemed_new(
    firsts: FirstDates,
) -> None:
    assert firsts.replace({DAYS[3]: users("a", "b")}).by_date == {DAYS[3]: 2}

    late = firsts.replace({DAYS[1]: users("b", "c", "c")})

    assert late.by_date == {DAYS[1]: 2, DAYS[3]: 1}


def test_a_user_who_leaves_his_first_date_is_new_on_the_next_one(firsts: FirstDates) -> None:
    firsts.replace({DAYS[0]: users("a"), DAYS[2]: users("a", "b"), DAYS[5]: users("a")})

    assert firsts.replace({DAYS[0]: users()}).by_date == {DAYS[2]: 2}
    assert firsts.replace({DAYS[2]: users("b")}).by_date == {DAYS[2]: 1, DAYS[5]: 1}


def test_what_changes_nothing_writes_nothing(firsts: FirstDates, aws: Aws) -> None:
    before = firsts.replace({DAYS[0]: users("a", "b")})
    bucket = aws.settings.lake_bucket

    def stored() -> list[tuple[str, str]]:
        listed = aws.s3.list_object_versions(Bucket=bucket).get("Versions", [])
        return sorted((each["Key"], each["VersionId"]) for each in listed)

    stands = stored()
    again = firsts.replace({DAYS[0]: users("b", "a", "a")})

    assert (again.by_date, again.generation) == (before.by_date, before.generation)
    assert stored() == stands


def test_the_generation_grows_with_every_change(firsts: FirstDates) -> None:
    generations = [firsts.replace({day: users(day, "a")}).generation for day in DAYS]

    assert generations == sorted(set(generations))


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_refreshes_ends_with_the_same_counts(firsts: FirstDates, seed: int) -> None:
    lot = random.Random(seed)  # noqa: S311 - repeatable, no secret
    names = [f"user {number}" for number in range(30)]
    seen = {day: lot.sample(names, lot.randrange(20)) for day in DAYS}
    for day in lot.sample(DAYS, len(DAYS)):
        firsts.replace({day: users(*lot.sample(names, 10))})
    for day in lot.sample(DAYS, len(DAYS)):
        counted = firsts.replace({day: users(*seen[day])})

    assert counted.by_date == expected(seen)


def test_refreshes_at_the_same_time_lose_nothing_and_none_takes_an_old_count_for_current(
    firsts: FirstDates,
) -> None:
    seen = {
        day: [f"user {number}" for number in range(index, 20)] for index, day in enumerate(DAYS)
    }

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda day: firsts.replace({day: users(*seen[day])}), DAYS))

    assert firsts.count().by_date == expected(seen)
    for counted in counts:
        assert counted.by_date == expected(seen) or not firsts.is_current(counted)


@pytest.mark.parametrize("then", [users("c", version=3), users(version=3)], ids=["some", "none"])
def test_a_run_that_lost_its_date_puts_nothing_back(firsts: FirstDates, then: Seen) -> None:
    firsts.replace({DAYS[0]: users("a", "b", version=1), DAYS[2]: users("a", version=1)})
    stands = firsts.replace({DAYS[0]: then})

    with pytest.raises(StaleWriteError):
        firsts.replace({DAYS[0]: users("a", "b", version=2), DAYS[2]: users("z", version=9)})

    assert firsts.count().by_date == stands.by_date


def test_counts_are_current_until_the_index_changes(firsts: FirstDates) -> None:
    empty = firsts.count()
    assert firsts.is_current(empty)

    counted = firsts.replace({DAYS[0]: users("a", "b", "c")})
    assert firsts.is_current(counted)
    assert not firsts.is_current(empty)
    assert counted == firsts.count()

    firsts.replace({DAYS[1]: users("d")})
    assert not firsts.is_current(counted)


def test_what_is_remembered_is_known(firsts: FirstDates) -> None:
    assert firsts.known() == {}

    firsts.remember({"one": 1, "two": 2})
    assert firsts.known() == {"one": 1, "two": 2}

    firsts.remember({"three": 3})
    assert firsts.known() == {"three": 3}


def test_an_entity_is_in_the_same_bucket_in_every_process() -> None:
    assert [bucket_of(name) for name in ("a", "b", "ü", "")] == [2, 2, 3, 1]
    assert {bucket_of(f"user {number}") for number in range(400)} == set(range(BUCKETS))
