"""Bronze rows of an event date, from the fragments that its manifest counts."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import IO

import polars as pl
import pyarrow as pa

from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import DateRefusedError, FragmentMissingError
from pipeline_assets.fragments import fragment_schema
from resources.landfall import Landfall
from resources.ledger.model import Fragment
from resources.parallel import one_after_another
from resources.parquet import ROWS_PER_GROUP, regrouped, row_groups


def read_date(landfall: Landfall, dataset: Dataset, manifest: Sequence[Fragment]) -> pl.DataFrame:
    """Bronze rows of the fragments that count for a date, in the manifest's order.

    Raises:
        DateRefusedError: a fragment is missing, or has other rows than its manifest says.
    """

    def read(entry: Fragment) -> pa.Table:
        try:
            table = landfall.lake.read_fragment(entry.fragment_key)
        except (FragmentMissingError, pa.ArrowInvalid) as error:
            raise _unreadable(dataset, entry, error) from error
        if table.num_rows != entry.rows:
            raise _of_other_rows(dataset, entry, table.num_rows)
        return _as_declared(table, dataset)

    with ThreadPoolExecutor(landfall.settings.io_threads) as pool:
        tables = list(pool.map(read, manifest))
    return _frame(pa.concat_tables(tables) if tables else fragment_schema(dataset).empty_table())


def stream_date(
    landfall: Landfall, dataset: Dataset, manifest: Sequence[Fragment]
) -> Iterator[pl.DataFrame]:
    """The rows of ``read_date`` in parts, of which memory holds one at a time.

    Raises:
        DateRefusedError: a fragment is missing, or has other rows than its manifest says.
    """
    with ExitStack() as copies:

        def copied(entry: Fragment) -> IO[bytes]:
            try:
                return copies.enter_context(landfall.lake.copy_fragment(entry.fragment_key))
            except FragmentMissingError as error:
                raise _unreadable(dataset, entry, error) from error

        threads = landfall.settings.io_threads
        with closing(one_after_another(copied, manifest, threads=threads)) as files:
            tables = (
                table
                for entry, file in zip(manifest, files, strict=True)
                for table in _parts(dataset, entry, file)
            )
            yield from map(_frame, regrouped(tables, ROWS_PER_GROUP))


def _parts(dataset: Dataset, entry: Fragment, file: IO[bytes]) -> Iterator[pa.Table]:
    rows = 0
    with file:
        try:
            for table in row_groups(file):
                rows += table.num_rows
                yield _as_declared(table, dataset)
        except pa.ArrowInvalid as error:
            raise _unreadable(dataset, entry, error) from error
    if rows != entry.rows:
        raise _of_other_rows(dataset, entry, rows)


def _unreadable(dataset: Dataset, entry: Fragment, error: Exception) -> DateRefusedError:
    if isinstance(error, FragmentMissingError):
        return DateRefusedError(dataset.name, entry.event_date, str(error))
    return DateRefusedError(
        dataset.name,
        entry.event_date,
        f"the fragment {entry.fragment_key} is damaged ({error}): materialize bronze for its "
        "file's date to write it again.",
    )


def _of_other_rows(dataset: Dataset, entry: Fragment, rows: int) -> DateRefusedError:
    return DateRefusedError(
        dataset.name,
        entry.event_date,
        f"the fragment {entry.fragment_key} has {rows} rows, but {entry.rows} were "
        f"loaded from {entry.landing_key}: materialize bronze for that file's date again.",
    )


def _as_declared(table: pa.Table, dataset: Dataset) -> pa.Table:
    schema = fragment_schema(dataset)
    missing = [name for name in schema.names if name not in table.column_names]
    for name in missing:  # the dataset has gained a field since the fragment was written
        table = table.append_column(name, pa.nulls(table.num_rows, pa.large_string()))
    return table.select(schema.names).cast(schema)


def _frame(rows: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table is never one column
    return frame
