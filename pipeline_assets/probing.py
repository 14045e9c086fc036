"""Which of many files that were just read have a valid row, found out for all of them at once.

Nearly every file has one among its first rows, and judging a few rows takes as long as judging
thousands, so the first rows of the files that are settled together are judged together. Of a file
that has none there, every row is looked at.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from pipeline_assets.dataset import Dataset
from pipeline_assets.refine import valid_rows
from resources.frames import copied

PROBED_ROWS = 8
PROBES = 4
"""Dates of a file of which rows are kept: a file may have thousands."""

_FILE = "_probed_file"


@dataclass(frozen=True)
class Probe:
    """The first well-formed rows that a file has on an event date, a few of them."""

    event_date: date
    records: pl.DataFrame


def probe(records: pl.DataFrame, dataset: Dataset, event_date: date) -> Probe | None:
    """A few rows of one event date; ``None`` when none is well formed.

    Args:
        records: ``_error`` and the dataset's fields as text.
        dataset: the dataset they belong to.
        event_date: the date they are filed under.
    """
    well_formed = records.filter(pl.col("_error").is_null()).head(PROBED_ROWS)
    if well_formed.is_empty():
        return None
    # A slice would keep the whole batch in memory until the file is settled.
    return Probe(event_date, copied(well_formed.select(dataset.fields)))


def with_valid_row(probes: Mapping[str, Sequence[Probe]], dataset: Dataset) -> set[str]:
    """File ids of those of which a probed row keeps every rule.

    Args:
        probes: of each file, by file id.
        dataset: the dataset they all belong to.

    Raises:
        ConformError: the dataset's ``conform`` lost rows or columns.
    """
    by_date: defaultdict[date, list[pl.DataFrame]] = defaultdict(list)
    for file_id, each in probes.items():
        for one in each:
            by_date[one.event_date].append(one.records.with_columns(pl.lit(file_id).alias(_FILE)))
    return {
        file_id for day, frames in by_date.items() for file_id in _valid_in(frames, dataset, day)
    }


def _valid_in(frames: Iterable[pl.DataFrame], dataset: Dataset, day: date) -> list[str]:
    rows = pl.concat(frames)
    found: list[str] = rows.filter(valid_rows(rows, dataset, day))[_FILE].unique().to_list()
    return found
