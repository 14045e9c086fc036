"""``backfill``: dates from silver to serving, against a run for each by the default launcher."""

import sys
from collections import Counter
from pathlib import Path

from bench.measure import Bench, Measured, Turn, timed
from bench.stage import single_files
from bench.stage.home import Home, open_home, output
from bench.stage.stock_instance import write_instance
from bench.tables.launched_runs import SECONDS
from pipeline_assets.loading import LoadReport, load_files
from pipeline_assets.registry import dataset
from resources.lake import TableName
from resources.landfall import Landfall
from resources.ledger.model import RequestedFile
from resources.parallel import in_parallel
from sensors.notifications import drain

DATASET = "events"
SILVER = TableName("silver", DATASET)


def measure(bench: Bench) -> Measured:
    """Each turn begins with bronze alone, ours and the peer's in homes of their own."""
    sizes = bench.sizes
    turns = []
    for number in range(sizes.long_turns):
        ours = _ours(bench.folder / f"backfill-{number}-ours", sizes.backfill_dates)
        peer = _peers(bench.folder / f"backfill-{number}-peer", sizes.backfill_peer_dates)
        turns.append(Turn(ours, peer * sizes.backfill_dates / sizes.backfill_peer_dates))
    last = turns[-1]
    return Measured(
        turns=tuple(turns),
        sizes={"dates": sizes.backfill_dates, "dates of the peer": sizes.backfill_peer_dates},
        facts={
            "ours, s a date": last.ours / sizes.backfill_dates,
            "the peer, s a date": (last.peer or 0) / sizes.backfill_dates,
        },
    )


def _ours(folder: Path, dates: int) -> float:
    """Seconds of the whole command, its start included."""
    days = single_files.dates(dates)
    with open_home(folder) as home:
        _fill_bronze(home, days)
        took, _ = timed(lambda: home.command("work", "--until-idle"))
        _assert_served(home.landfall(), days)
    return took


def _peers(folder: Path, dates: int) -> float:
    """Seconds from the launch of the first run to the end of the last; the code server stands."""
    days = single_files.dates(dates)
    with open_home(folder) as home:
        _fill_bronze(home, days)
        instance = write_instance(home.folder / "stock-dagster")
        printed = output(
            [sys.executable, "-m", "bench.tables.launched_runs", *days],
            {**home.environment, "DAGSTER_HOME": str(instance)},
        )
        _assert_served(home.landfall(), days)
    (said,) = [line for line in printed.splitlines() if line.startswith(SECONDS)]
    return float(said.removeprefix(SECONDS))


def _fill_bronze(home: Home, days: list[str]) -> None:
    """Land the dates' files and load them: fragments and dirty dates, nothing behind them.

    Raises:
        AssertionError: not all files are loaded.
    """
    landfall = home.landfall()
    single_files.put_all(landfall, days)
    while not drain(landfall):
        pass
    pending = landfall.ledger.files.pending(DATASET)
    planned = [RequestedFile(each.file_id, each.epoch, each.attempts) for each in pending]
    claims = landfall.ledger.files.claim(planned, DATASET)
    report = LoadReport()
    load_files(landfall, dataset(DATASET), claims, run_id="backfill", report=report)
    dirty = [each.event_date for each in landfall.ledger.dates.dirty(DATASET)]
    if len(report.loaded) != len(days) or sorted(dirty) != days:
        raise AssertionError(f"{len(report.loaded)} of {len(days)} files are loaded")


def _assert_served(landfall: Landfall, days: list[str]) -> None:
    """Silver, gold and serving hold each date's rows, and every date is clean.

    Raises:
        AssertionError: they do not.
    """
    single_files.assert_served(landfall, days)
    tables = in_parallel(
        lambda day: landfall.lake.read(SILVER, day), days, threads=landfall.settings.io_threads
    )
    rows = Counter({day: table.num_rows for day, table in zip(days, tables, strict=True)})
    wrong = [day for day in days if rows[day] != single_files.ROWS]
    dirty = landfall.ledger.dates.dirty(DATASET)
    if wrong or dirty:
        raise AssertionError(f"wrong rows of silver: {wrong}; dirty: {len(dirty)} dates")
