"""Rows of the tables: many dates from bronze to serving, and many items into DynamoDB."""

from bench.measure import Row, at_least
from bench.tables import backfill, serving

ROWS = (
    Row(
        name="backfill",
        ours="a year of dates from silver to serving, as `landfall work` refreshes dirty dates",
        peer="a run for each date by Dagster's default launcher, of the same definitions; scaled",
        unit="s",
        bound=at_least(20),
        measure=backfill.measure,
    ),
    Row(
        name="serving",
        ours="items into an empty serving table by the DynamoDB IO manager, each call delayed",
        peer="boto3's `Table.batch_writer` in one thread, through the same delay; scaled",
        unit="s",
        bound=at_least(5),
        measure=serving.measure,
    ),
)
