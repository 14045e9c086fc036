"""Every row of the bench, in the order in which they are measured."""

from bench.drain import rows as drain
from bench.large import rows as large
from bench.measure import Row
from bench.runs import rows as runs
from bench.tables import rows as tables
from bench.ticks import rows as ticks

ROWS: tuple[Row, ...] = (*runs.ROWS, *drain.ROWS, *large.ROWS, *tables.ROWS, *ticks.ROWS)
