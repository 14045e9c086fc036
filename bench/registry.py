"""Every row of the bench, in the order in which they are measured."""

from bench import drain, large, runs, tables, ticks
from bench.measure import Row

ROWS: tuple[Row, ...] = (*runs.ROWS, *drain.ROWS, *large.ROWS, *tables.ROWS, *ticks.ROWS)
