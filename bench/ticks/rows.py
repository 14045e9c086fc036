"""Rows of ticks: what a sensor costs that finds new objects in a large bucket."""

from bench.measure import Row, at_most
from bench.ticks import tick

ROWS = (
    Row(
        name="tick",
        ours="a landing tick with new objects in a large bucket, own processor time",
        peer="the same tick in a small bucket",
        unit="s",
        bound=at_most(1.3),
        measure=tick.measure,
    ),
)
