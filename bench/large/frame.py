"""The row ``frame``: silver of one date as a function, from a bronze frame to its tables."""

from typing import Final

import polars as pl

from bench.large.large_csv import DAY, ROW_BYTES, LargeCsv, write_large_csv
from bench.large.pandas_refine import PandasDate, refine_in_pandas
from bench.measure import Bench, Measured, Turn, timed
from bench.stage.expectation import expect
from pipeline_assets.dataset import event_dates
from pipeline_assets.datasets.events import DATASET
from pipeline_assets.parsing.reader import open_records
from pipeline_assets.parsing.records import Layout
from pipeline_assets.refine import RefinedDate, refine

FILE_ID: Final = "0123456789abcdef"
KEY: Final = f"events/dt={DAY}/frame.csv"
KEYS: Final = {FILE_ID: KEY}
WARMING_ROWS: Final = 10_000
"""Both sides import what they need at the first row."""


def measure_frame(bench: Bench) -> Measured:
    """``refine`` against the same in pandas, on the same rows, each in its own kind of frame."""
    file = write_large_csv(bench.folder / "frame.csv", bench.sizes.frame_rows * ROW_BYTES)
    bronze = bronze_frame(file)
    as_pandas = bronze.to_arrow().to_pandas()
    few = bronze.head(WARMING_ROWS)
    refine(few, DATASET, event_date=DAY, landing_keys=KEYS)
    refine_in_pandas(few.to_arrow().to_pandas(), event_date=DAY, landing_keys=KEYS)
    turns = []
    for _ in range(bench.sizes.turns):
        own, ours = timed(lambda: refine(bronze, DATASET, event_date=DAY, landing_keys=KEYS))
        peer, theirs = timed(lambda: refine_in_pandas(as_pandas, event_date=DAY, landing_keys=KEYS))
        turns.append(Turn(own, peer))
        _check(ours, theirs, file)
    return Measured(tuple(turns), {"rows": bronze.height})


def bronze_frame(file: LargeCsv) -> pl.DataFrame:
    """The file's rows for ``DAY`` as bronze keeps them."""
    layout = Layout(DATASET.fields, writing=DATASET.writing)
    parts = []
    with open_records(file.path, key=KEY, formats=DATASET.formats, layout=layout) as records:
        for batch in records:
            part = pl.DataFrame(batch)
            days = event_dates(part, DATASET, file_date=DAY, landed_date=DAY)
            parts.append(part.filter(days == DAY))
    return pl.concat(parts, rechunk=True).with_columns(pl.lit(FILE_ID).alias("_file_id"))


def _check(ours: RefinedDate, theirs: PandasDate, file: LargeCsv) -> None:
    """Hold our tables against the file, and the peer's against ours, row by row."""
    found = (ours.silver_rows, ours.quarantined, ours.duplicates)
    wanted = (file.kept_on(DAY.isoformat()), file.quarantined, file.duplicates)
    expect("silver, quarantined and duplicates", found, wanted)
    for name, own, other in (
        ("silver", ours.silver, theirs.silver),
        ("quarantine", ours.quarantine.drop("event_date"), theirs.quarantine),
    ):
        same = pl.from_pandas(other).select(
            pl.col(column).cast(kind) for column, kind in own.schema.items()
        )
        expect(f"whether {name} of pandas equals ours", own.equals(same), wanted=True)
