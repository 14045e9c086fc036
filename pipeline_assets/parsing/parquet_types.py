"""Which Arrow types may stand for what a field holds."""

from collections.abc import Callable
from typing import Final

import pyarrow as pa

from pipeline_assets.errors import ColumnTypeError
from pipeline_assets.parsing.formats import Kind
from pipeline_assets.parsing.records import Layout, NameMatch

TEXTS: Final = (
    pa.types.is_null,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
)
"""Accepted everywhere: the contract decides on text, value by value. Old writers mark no text as
such, so binary is taken for it."""

TYPES: Final[dict[Kind, tuple[Callable[[pa.DataType], bool], ...]]] = {
    Kind.TEXT: (lambda kind: not pa.types.is_nested(kind),),
    Kind.TIME: (*TEXTS, pa.types.is_timestamp, pa.types.is_date),
    Kind.NUMBER: (*TEXTS, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
    Kind.JSON: (*TEXTS, pa.types.is_nested),
}
EXPECTED: Final = {
    Kind.TEXT: "a single value",
    Kind.TIME: "a timestamp",
    Kind.NUMBER: "a number",
    Kind.JSON: "a struct, map or list",
}


def check_types(key: str, schema: pa.Schema, columns: NameMatch, layout: Layout) -> None:
    """Refuse a file whose columns cannot hold what their fields need.

    Raises:
        ColumnTypeError: naming the column, what was expected and what was found.
    """
    for name, position in zip(layout.fields, columns.positions, strict=True):
        if position is None:
            continue
        column, kind = schema.field(position), layout.writing.kinds.get(name, Kind.TEXT)
        if not any(accepts(_stored(column.type)) for accepts in TYPES[kind]):
            raise ColumnTypeError(key, column.name, expected=EXPECTED[kind], found=str(column.type))


def _stored(kind: pa.DataType) -> pa.DataType:
    """The type of the values themselves: of a dictionary's, or an extension's storage."""
    if pa.types.is_dictionary(kind):
        return _stored(kind.value_type)
    return _stored(kind.storage_type) if isinstance(kind, pa.BaseExtensionType) else kind
