"""Frames of every supported library, to and from Arrow, and which one an annotation asks for.

Nothing here knows where frames are stored, nor Dagster.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import TypeAlias, Union, cast, get_args, get_origin

import pandas as pd
import polars as pl
import pyarrow as pa

from pipeline_assets.errors import (
    PartitionsNotGivenError,
    UnexpectedPartitionError,
    UnsupportedFrameError,
)
from resources.parquet import canonical

Frame: TypeAlias = pl.DataFrame | pl.LazyFrame | pd.DataFrame | pa.Table
NULLABLE_PANDAS_TYPES = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}


class FrameKind(Enum):
    """The frame types that assets may hand over and ask for."""

    POLARS = pl.DataFrame
    LAZY = pl.LazyFrame
    PANDAS = pd.DataFrame
    ARROW = pa.Table


@dataclass(frozen=True)
class FrameRequest:
    """What a downstream asset's annotation asks for."""

    kind: FrameKind = FrameKind.POLARS
    by_partition: bool = False
    optional: bool = False


def requested_frame(annotation: object) -> FrameRequest:
    """Read an annotation: ``X``, ``X | None``, ``dict[str, X]`` or ``Mapping[str, X]``.

    ``X`` is one of the four frame types; anything else asks for a ``pl.DataFrame``.
    """
    optional = get_origin(annotation) in {Union, UnionType} and NoneType in get_args(annotation)
    if optional:
        annotation = next(part for part in get_args(annotation) if part is not NoneType)
    origin = get_origin(annotation) or annotation
    by_partition = isinstance(origin, type) and issubclass(origin, Mapping)
    if by_partition:
        annotation = (get_args(annotation) or (str, pl.DataFrame))[-1]
    kind = next((kind for kind in FrameKind if kind.value is annotation), FrameKind.POLARS)
    return FrameRequest(kind, by_partition, optional)


def to_arrow(owner: str, frame: object) -> pa.Table:
    """A frame as a canonical Arrow table; pandas' index is dropped, a lazy frame is collected.

    Raises:
        UnsupportedFrameError: naming ``owner``, which handed the frame over.
    """
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, pl.DataFrame):
        # Polars would hand over the addresses of such objects.
        if objects := [name for name, kind in frame.schema.items() if kind == pl.Object]:
            raise UnsupportedFrameError(owner, f"frame of Python objects in {', '.join(objects)}")
        return canonical(frame.to_arrow())
    if isinstance(frame, pd.DataFrame):
        return canonical(pa.Table.from_pandas(frame, preserve_index=False))
    if isinstance(frame, pa.Table):
        return canonical(frame)
    raise UnsupportedFrameError(owner, type(frame).__name__)


def from_arrow(table: pa.Table, kind: FrameKind) -> Frame:
    """An Arrow table as the frame asked for."""
    if kind is FrameKind.ARROW:
        return table
    if kind is FrameKind.PANDAS:
        return _to_pandas(table)
    frame = cast("pl.DataFrame", pl.from_arrow(table))
    return frame.lazy() if kind is FrameKind.LAZY else frame


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    # Without a nullable type pandas turns integers beside a null into floats: above 2**53 they
    # would come back as other numbers. Within lists and structs they stay Python's integers.
    holed = {column.type for column in table.columns if column.null_count}
    types = {kind: dtype for kind, dtype in NULLABLE_PANDAS_TYPES.items() if kind in holed}
    frame = table.to_pandas(types_mapper=types.get, integer_object_nulls=True)
    return cast("pd.DataFrame", frame)


def concatenate(frames: Sequence[Frame], kind: FrameKind) -> Frame:
    """Frames of one kind below each other; a column that one lacks is null there.

    For pandas the parts are Arrow tables, so that no part's nulls change another's types.
    """
    if kind in {FrameKind.POLARS, FrameKind.LAZY}:
        parts = cast("Sequence[pl.DataFrame]", frames)
        return pl.concat(parts, how="diagonal_relaxed")
    table = canonical(pa.concat_tables(frames, promote_options="permissive"))
    return from_arrow(table, kind)


def values_by_partition(
    owner: str, partitions: Sequence[str] | None, value: object
) -> dict[str | None, object]:
    """What is to be written for which partition; ``None`` stands for an unpartitioned asset.

    A missing or ``None`` value writes nothing for that partition.

    Raises:
        PartitionsNotGivenError: a single frame for a run over several partitions.
        UnexpectedPartitionError: a partition that the run does not cover.
    """
    if value is None:
        return {}
    if isinstance(value, Mapping):
        covered = partitions or ()
        if unexpected := sorted(set(map(str, value)) - set(covered)):
            raise UnexpectedPartitionError(owner, unexpected, covered)
        return {key: value[key] for key in covered if value.get(key) is not None}
    if partitions is None:
        return {None: value}
    if len(partitions) != 1:
        raise PartitionsNotGivenError(owner, partitions)
    return {partitions[0]: value}


def copied(rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows, whose texts have buffers of their own.

    Those of a slice, a filter or a few that were gathered are all the texts they were taken from.
    """
    frame = pl.from_arrow(canonical(rows.to_arrow()))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table is never one column
    return frame.cast(rows.schema)
