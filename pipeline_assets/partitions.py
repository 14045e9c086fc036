"""Daily partitions: which dates there are, where a file belongs, what travels together."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache

import dagster as dg

from pipeline_assets.dataset import Dataset

DAYS_AHEAD = 1
"""Tomorrow has a partition today: clocks differ, and days begin at different times."""

_KEY_DATES = (
    re.compile(r"(?:^|/)dt=([0-9]{4})-([0-9]{2})-([0-9]{2})(?:/|$)"),
    re.compile(r"(?:^|/)([0-9]{4})/([0-9]{2})/([0-9]{2})/"),
)


@cache
def _daily(start: date) -> dg.DailyPartitionsDefinition:
    return dg.DailyPartitionsDefinition(start_date=start.isoformat(), end_offset=1 + DAYS_AHEAD)


def daily_partitions(dataset: Dataset) -> dg.DailyPartitionsDefinition:
    """Every UTC day from the dataset's start to tomorrow."""
    return _daily(dataset.start)


def has_partition(dataset: Dataset, day: date, today: date) -> bool:
    """Whether the day is one of the dataset's partitions as of today."""
    return dataset.start <= day <= today + timedelta(days=DAYS_AHEAD)


def file_date(key: str, landed_at: datetime, dataset: Dataset) -> date:
    """The date in the key (``dt=YYYY-MM-DD/`` or ``YYYY/MM/DD/``), else the UTC day it landed.

    A date that is none, or that lies outside the dataset's partitions, counts as none.
    """
    landed = landed_at.astimezone(UTC).date()
    for pattern in _KEY_DATES:
        match = pattern.search(key)
        found = _date_or_none(match) if match else None
        if found and has_partition(dataset, found, landed):
            return found
    return landed


def _date_or_none(match: re.Match[str]) -> date | None:
    try:
        return date(*(int(part) for part in match.groups()))
    except ValueError:
        return None


def contiguous(days: Iterable[str], longest: int) -> Iterator[list[str]]:
    """Ascending days in runs without a gap, each at most ``longest`` days."""
    run: list[str] = []
    for day in sorted(set(days)):
        if run and (len(run) >= longest or day != _next(run[-1])):
            yield run
            run = []
        run.append(day)
    if run:
        yield run


def days_between(first: str, last: str) -> list[str]:
    """Every day from the first to the last, both included."""
    start = date.fromisoformat(first)
    count = (date.fromisoformat(last) - start).days + 1
    return [(start + timedelta(days=number)).isoformat() for number in range(count)]


def _next(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()
