"""The table of who came first: crashes and races leave what a count of everything gives."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import polars as pl
import pytest

from pipeline_assets.dataset import FirstSeen
from pipeline_assets.environment import start
from pipeline_assets.errors import StaleWriteError
from pipeline_assets.first_seen import refresh_first_seen
from resources.first_dates import FirstDates
from resources.lake import Lake, TableName
from resources.landfall import Landfall

TABLE = FirstSeen(name="new_users", description="Users who are new.", entity="user_id")
GOLD = TableName("gold", "new_users")
VERSIONS = itertools.count(1)
EARLY, MIDDLE, LATE = "2025-03-01", "2025-03-05", "2025-03-09"


class Crash(BaseException):
    """Ends a refresh where it is raised, as a kill would."""


@pytest.fixture
def landfall(local_aws: object) -> Landfall:  # noqa: ARG001 - its settings are used
    made = Landfall()
    start(made)
    return made


def silver(*names: str) -> pl.DataFrame:
    return pl.DataFrame({"user_id": names}, schema={"user_id": pl.String})


def refresh(landfall: Landfall, seen: Mapping[str, pl.DataFrame]) -> None:
    """Count silver that is later than any before."""
    refresh_first_seen(landfall, TABLE, seen, dict.fromkeys(seen, next(VERSIONS)))


def table(landfall: Landfall) -> dict[str, int]:
    return {
        day: landfall.lake.read(GOLD, day).column("new_users")[0].as_py()
        for day in landfall.lake.dates(GOLD)
    }


def truth(landfall: Landfall) -> dict[str, int]:
    return dict(FirstDates(landfall.lake, "new_users", threads=4).count().by_date)


def before_each_put(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[TableName, str | None], None]
) -> None:
    """Call ``act`` before every replacement of this process."""
    for way in ("replace", "put_over"):
        put = getattr(Lake, way)

        def acting(
            lake: Lake,
            name: TableName,
            day: str | None,
            *data: Any,
            _put: Any = put,
            **options: Any,
        ) -> Any:
            act(name, day)
            return _put(lake, name, day, *data, **options)

        monkeypatch.setattr(Lake, way, acting)


def puts_of_a_refresh(landfall: Landfall, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many replacements a refresh makes that moves a user to an earlier date."""
    made: list[str] = []
    with monkeypatch.context() as patch:
        before_each_put(patch, lambda name, day: made.append(f"{name} {day}"))
        refresh(landfall, {LATE: silver("x", "y")})
        refresh(landfall, {EARLY: silver("x")})
    return len(made)


def _refresh_twice(landfall: Landfall, number: int) -> None:
    """Other counts on every date, and a crash at the end if there was none before."""
    refresh(landfall, {EARLY: silver("u", str(number)), LATE: silver()})
    refresh(landfall, {MIDDLE: silver("v", f"m{number}")})
    raise Crash


def test_a_crash_before_any_put_is_mended_by_the_next_refresh_of_the_date(
    landfall: Landfall, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts = puts_of_a_refresh(landfall, monkeypatch)
    assert puts > 6
    for number in range(puts):
        countdown = iter(range(number))

        def crash(_: TableName, __: str | None, left: Iterator[int] = countdown) -> None:
            if next(left, None) is None:
                raise Crash

        refresh(landfall, {EARLY: silver(), LATE: silver("u", "v")})
        with monkeypatch.context() as patch:
            before_each_put(patch, crash)
            with pytest.raises(Crash):
                _refresh_twice(landfall, number)
        # The file that brought them was overwritten meanwhile.
        refresh(landfall, {EARLY: silver(), MIDDLE: silver()})

        counts = {day: count for day, count in table(landfall).items() if count}
        assert counts == truth(landfall), f"a crash before put {number}"


def test_a_refresh_that_is_overtaken_counts_again(
    landfall: Landfall, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh(landfall, {LATE: silver("u", "v", "w"), MIDDLE: silver("v")})
    overtaken: list[str] = []

    def overtake(name: TableName, day: str | None) -> None:
        if name == GOLD and not overtaken:
            overtaken.append(str(day))
            refresh(landfall, {MIDDLE: silver()})

    before_each_put(monkeypatch, overtake)
    refresh(landfall, {EARLY: silver("u")})

    assert overtaken
    assert table(landfall) == {EARLY: 1, MIDDLE: 0, LATE: 2}


def test_refreshes_at_the_same_time_leave_the_right_table(landfall: Landfall) -> None:
    days = [f"2025-04-{day:02}" for day in range(1, 9)]
    seen = {day: silver(*map(str, range(index, 12))) for index, day in enumerate(days)}

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda day: refresh(landfall, {day: seen[day]}), days))

    assert table(landfall) == {days[0]: 12, **dict.fromkeys(days[1:], 0)}


def test_a_table_that_is_ahead_of_its_index_is_not_left_wrong_in_silence(
    landfall: Landfall,
) -> None:
    for number in range(1, 6):
        refresh(landfall, {EARLY: silver(*map(str, range(number)))})
    bucket = landfall.settings.lake_bucket
    listed = landfall.aws.s3.list_objects_v2(Bucket=bucket, Prefix="index/")["Contents"]
    for each in listed:
        landfall.aws.s3.delete_object(Bucket=bucket, Key=each["Key"])

    with pytest.raises(StaleWriteError, match="gold/new_users"):
        refresh(landfall, {EARLY: silver("a", "b")})
