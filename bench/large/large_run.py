"""One large file through the whole pipeline, watched from outside, and what it must have left."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import psutil

from bench.large import file_objects
from bench.large.large_csv import DATES, DAY, LargeCsv, write_large_csv
from bench.large.watched_process import Watched, watch
from bench.measure import once, timed
from bench.stage.counted_aws import calls
from bench.stage.expectation import expect
from bench.stage.home import COMMAND_SECONDS, LANDFALL, Home, open_home
from bench.stage.summary import in_gold, served
from resources.lake import TableName
from resources.landfall import Landfall

CHUNK_BYTES: Final = 1 << 20
KEY: Final = f"events/dt={DAY}/large.csv"
SPARED: Final = 0.6
"""Share of what memory is free that the worker may take before it is ended."""


@dataclass(frozen=True)
class LargeRun:
    """How a large file fared.

    Attributes:
        watched: the worker, from its start until nothing is left to do.
        fetch_seconds: what the local AWS takes to hand the object over, once.
        busy_seconds: that the local AWS was at work, handing the object over left out.
        bytes: of the file.
    """

    watched: Watched
    fetch_seconds: float
    busy_seconds: float
    bytes: int


@once
def large_csv(folder: Path, size: int) -> LargeCsv:
    """A file of about so many bytes below the folder, written once."""
    return write_large_csv(folder / f"large-{size}.csv", size)


@once
def large_run(folder: Path, size: int, turn: int) -> LargeRun:
    """Land a file in an empty pipeline and have it worked off; the rows share a turn's run.

    Raises:
        AssertionError: a table does not hold what the file says.
    """
    file = large_csv(folder, size)
    place = folder / f"home-{size}-{turn}"
    with open_home(place, server=file_objects.MODULE) as home:
        file_objects.land(home, file.path, KEY)
        before = calls(home)
        watched = watch(
            [str(LANDFALL), "work", "--until-idle"],
            home.environment,
            timeout=COMMAND_SECONDS,
            limit_bytes=int(SPARED * psutil.virtual_memory().available),
        )
        busy = calls(home).since(before).busy
        _check(home.landfall(), file, folder)
        fetch_seconds = _fetch_seconds(home, folder / "fetched")
    shutil.rmtree(place)
    return LargeRun(watched, fetch_seconds, busy, file.size)


def _fetch_seconds(home: Home, path: Path) -> float:
    landfall = home.landfall()
    stored = landfall.bucket.stat(KEY)
    etag = stored.etag if stored else ""
    took, _ = timed(lambda: landfall.bucket.download(KEY, etag, path))
    path.unlink()
    return took


def _check(landfall: Landfall, file: LargeCsv, folder: Path) -> None:
    """Hold every table against the file: account, silver, quarantine, gold and serving."""
    _check_account(landfall, file)
    expect("gold", in_gold(landfall, DATES), file.summary)
    expect("serving", served(landfall), file.summary)
    ordinals = rows = 0
    for day in DATES:
        kept = _silver_rows(landfall, day, folder / "silver")
        expect(f"rows of silver of {day}", len(kept), file.kept_on(day))
        ordinals, rows = ordinals + int(kept.sum()), rows + len(kept)
    wanted = (file.kept, file.kept_ordinals)
    expect("rows of silver and the sum of their ordinals", (rows, ordinals), wanted)
    quarantined = landfall.lake.stat(TableName("quarantine", "events"), DAY.isoformat())
    stored = quarantined.rows if quarantined else 0
    expect("rows in quarantine", stored, file.quarantined)


def _check_account(landfall: Landfall, file: LargeCsv) -> None:
    heads = [landfall.ledger.dates.head("events", day) for day in DATES]
    counts = [head.counts for head in heads if head is not None and not head.dirty]
    found = tuple(
        sum(column)
        for column in zip(
            *((each.bronze, each.silver, each.quarantined, each.duplicates) for each in counts),
            strict=True,
        )
    )
    wanted = (file.rows, file.kept, file.quarantined, file.duplicates)
    expect("rows of bronze, of silver, in quarantine and duplicates", found, wanted)


def _silver_rows(landfall: Landfall, day: str, path: Path) -> pl.Series:
    """Ordinals of the rows of a date.

    The object is got whole, into a file: moto copies all of it for each range that is asked for.
    """
    key = landfall.lake.key(TableName("silver", "events"), day)
    stored = landfall.aws.s3.get_object(Bucket=landfall.settings.lake_bucket, Key=key)["Body"]
    with path.open("wb") as file:
        for chunk in stored.iter_chunks(CHUNK_BYTES):
            file.write(chunk)
    rows = pl.read_parquet(path, columns=["_row"], hive_partitioning=False).to_series()
    path.unlink()
    return rows
