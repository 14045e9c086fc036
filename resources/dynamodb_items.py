"""Rows as DynamoDB items and back: values, keys, sizes. Nothing here calls AWS."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal
from typing import TypeAlias, cast

import polars as pl

from pipeline_assets.errors import ItemTooLargeError, ItemValueError

Attribute: TypeAlias = dict[str, object]
Item: TypeAlias = dict[str, Attribute]

# Source of the limits: "Constraints in Amazon DynamoDB", Amazon DynamoDB Developer Guide. Those of
# keys hold for a table's own key and for an index's.
MAX_ITEM_BYTES = 400 * 1024
MAX_PARTITION_KEY_BYTES = 2048
MAX_SORT_KEY_BYTES = 1024
MAX_NUMBER_DIGITS = 38
NUMBER_EXPONENTS = range(-130, 126)

# Source of the sizes: "DynamoDB item sizes and formats", Amazon DynamoDB Developer Guide.
NESTED_BYTES = 3
ELEMENT_BYTES = 1
EXACT = Context(prec=1000)
SHORT_INTEGER = 10**MAX_NUMBER_DIGITS
"""Below it an integer is in DynamoDB's form as it stands."""

LONGEST_KEY_SHOWN = 100
"""Characters of a key in an error."""


class _RefusedValueError(ValueError):
    """A value that DynamoDB does not take; the caller knows its row and column."""


@dataclass(frozen=True)
class ItemKeys:
    """What tells the rows of a frame apart: the table's name and two columns.

    Attributes:
        table: name for errors.
        partition_key: column with one value in all rows of a frame.
        sort_key: column in which they differ.
        longest_sort_key: bytes that a value of it may have.
    """

    table: str
    partition_key: str
    sort_key: str
    longest_sort_key: int = MAX_SORT_KEY_BYTES


def to_items(keys: ItemKeys, partition: str, rows: Iterable[Mapping[str, object]]) -> list[Item]:
    """Rows as items of one partition, all checked.

    Raises:
        ItemValueError: a value that cannot be stored, a null, foreign or repeated key.
        ItemTooLargeError: an item over `MAX_ITEM_BYTES`.
    """
    items = [_item(keys, partition, row) for row in rows]
    seen: set[object] = set()
    for item in items:
        sort_value = comparable(item[keys.sort_key])
        if sort_value in seen:
            _refuse_key(keys, item, keys.sort_key, "two rows have this key; a key is unique")
        seen.add(sort_value)
    return items


def _item(keys: ItemKeys, partition: str, row: Mapping[str, object]) -> Item:
    key = _shown(row.get(keys.partition_key), row.get(keys.sort_key))
    item: Item = {}
    for column, value in row.items():
        try:
            item[column] = to_attribute(value, is_key=column == keys.sort_key)
        except _RefusedValueError as error:
            raise ItemValueError(keys.table, key=key, column=column, reason=str(error)) from None
    _check_keys(keys, partition, item)
    size = item_size(item)
    if size > MAX_ITEM_BYTES:
        raise ItemTooLargeError(keys.table, key=key, size=size, limit=MAX_ITEM_BYTES)
    return item


def _check_keys(keys: ItemKeys, partition: str, item: Item) -> None:
    limits = {keys.partition_key: MAX_PARTITION_KEY_BYTES, keys.sort_key: keys.longest_sort_key}
    for column, limit in limits.items():
        attribute = item.get(column, {"NULL": True})
        if not attribute.keys() & {"S", "N", "B"}:
            _refuse_key(keys, item, column, "a key is text, a number or bytes, and never null")
        if not 0 < _value_size(attribute) <= limit:
            _refuse_key(
                keys,
                item,
                column,
                f"a key takes 1 to {limit} bytes; give the dataset's contract a check of its "
                "length, so that such rows are quarantined",
            )
    if item[keys.partition_key] != {"S": partition}:
        _refuse_key(keys, item, keys.partition_key, f"the row belongs to partition {partition!r}")


def _refuse_key(keys: ItemKeys, item: Item, column: str, reason: str) -> None:
    parts = (item.get(name, {"NULL": True}) for name in (keys.partition_key, keys.sort_key))
    key = _shown(*(from_attribute(part) for part in parts))
    raise ItemValueError(keys.table, key=key, column=column, reason=reason)


def _shown(*parts: object) -> str:
    texts = (str(part) for part in parts)
    return "/".join(
        text if len(text) <= LONGEST_KEY_SHOWN else f"{text[:LONGEST_KEY_SHOWN]}..."
        for text in texts
    )


def fits_an_index(attribute: Attribute) -> bool:
    """Whether an item with this value in the place of an index's key can be written at all."""
    return bool(attribute.keys() & {"S", "N", "B"}) and (
        0 < _value_size(attribute) <= MAX_PARTITION_KEY_BYTES
    )


def to_attribute(value: object, *, is_key: bool = False) -> Attribute:  # noqa: PLR0911  # one each
    """A Python value as an attribute value.

    Times are ISO 8601 text in UTC; in a key always with microseconds, so that text order is time
    order. Floats keep their shortest exact decimal.
    """
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() if -SHORT_INTEGER < value < SHORT_INTEGER:
            return {"N": str(value)}
        case int() | float() | Decimal():
            return {"N": _number(value)}
        case str():
            return {"S": value}
        case bytes():
            return {"B": value}
        case date() | time():
            return {"S": _iso(value, precise=is_key)}
        case list():
            return {"L": [to_attribute(element) for element in value]}
        case dict():
            return {"M": {str(name): to_attribute(inner) for name, inner in value.items()}}
    raise _RefusedValueError(
        f"a {type(value).__name__} has no form in DynamoDB: convert it to text"
    )


def _number(value: float | Decimal) -> str:
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise _RefusedValueError(f"{value} is no number to DynamoDB: replace it by null")
    if not number:
        return "0"
    number = number.normalize(EXACT)
    if len(number.as_tuple().digits) > MAX_NUMBER_DIGITS:
        raise _RefusedValueError(
            f"{value} has more than {MAX_NUMBER_DIGITS} significant digits: round it"
        )
    if number.adjusted() not in NUMBER_EXPONENTS:
        raise _RefusedValueError(f"{value} is outside 1E-130 to 9.9E+125: scale it")
    return f"{number:f}" if abs(number.adjusted()) < MAX_NUMBER_DIGITS else str(number)


def _iso(value: date | time, *, precise: bool) -> str:
    if not isinstance(value, datetime):
        return value.isoformat()
    moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    text = moment.isoformat(timespec="microseconds" if precise else "auto")
    return text.replace("+00:00", "Z")


def from_attribute(attribute: Mapping[str, object]) -> object:
    """An attribute value as Python: numbers as int when integral, else float."""
    ((kind, value),) = attribute.items()
    match kind:
        case "NULL":
            return None
        case "N":
            number = Decimal(str(value))
            return (
                int(number) if number == number.to_integral_value(context=EXACT) else float(number)
            )
        case "L":
            return [from_attribute(part) for part in cast("list[Attribute]", value)]
        case "M":
            return {name: from_attribute(part) for name, part in cast("Item", value).items()}
        case _:
            return value


def comparable(attribute: Mapping[str, object]) -> object:
    """A hashable form in which equal values are equal, however their numbers are written."""
    ((kind, value),) = attribute.items()
    match kind:
        case "N":
            return kind, Decimal(str(value))
        case "L":
            return kind, tuple(comparable(part) for part in cast("list[Attribute]", value))
        case "M":
            return kind, frozenset(comparable_item(cast("Item", value)).items())
        case _:
            return kind, value


def comparable_item(item: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """The same for an item."""
    return {name: comparable(attribute) for name, attribute in item.items()}


def item_size(item: Mapping[str, Mapping[str, object]]) -> int:
    """Size in bytes as DynamoDB counts it: names and values, with overhead for nesting."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(attribute: Mapping[str, object]) -> int:
    ((kind, value),) = attribute.items()
    match kind:
        case "S":
            return len(str(value).encode())
        case "N":
            text = str(value).lstrip("-")
            if text.isdecimal():
                digits = len(text.rstrip("0")) or 1
            else:
                digits = len(Decimal(text).normalize(EXACT).as_tuple().digits)
            return (digits + 1) // 2 + 1
        case "B":
            return len(cast("bytes", value))
        case "L":
            parts = cast("list[Attribute]", value)
            return NESTED_BYTES + sum(ELEMENT_BYTES + _value_size(part) for part in parts)
        case "M":
            inner = cast("Item", value)
            return NESTED_BYTES + ELEMENT_BYTES * len(inner) + item_size(inner)
        case _:
            return 1


def to_frame(
    items: Sequence[Mapping[str, Mapping[str, object]]],
    *,
    first: Sequence[str],
    schema: Mapping[str, pl.DataType] | None = None,
) -> pl.DataFrame:
    """Items as rows; an attribute that an item lacks is null.

    With a schema: its columns, in its order and types, times read back from their text. Without:
    the columns ``first``, then the others by name; numbers are Int64 when all of a column are
    integral (Int128 beyond its range), else Float64; items that disagree give text.
    """
    if schema is not None:
        return pl.DataFrame([_typed(items, name, kind) for name, kind in schema.items()])
    others = {name for item in items for name in item} - set(first)
    return pl.DataFrame([_inferred(items, name) for name in (*first, *sorted(others))])


def _inferred(items: Sequence[Mapping[str, Mapping[str, object]]], name: str) -> pl.Series:
    values = _column(items, name)
    if not items:
        return pl.Series(name, values, dtype=pl.String)
    if any(type(value) is float for value in values):
        whole = [float(value) if type(value) is int else value for value in values]
        return pl.Series(name, whole, dtype=pl.Float64)
    return pl.Series(name, values, strict=False)


def _typed(
    items: Sequence[Mapping[str, Mapping[str, object]]], name: str, kind: pl.DataType
) -> pl.Series:
    values = _column(items, name)
    if kind.is_float():
        values = [None if value is None else float(cast("float", value)) for value in values]
    if kind == pl.Decimal:
        numbers = (item.get(name, {}).get("N") for item in items)
        values = [None if number is None else Decimal(str(number)) for number in numbers]
    parse = next((parse for known, parse in _PARSERS if kind == known), None)
    if parse is None:
        return pl.Series(name, values, dtype=kind)
    parsed = pl.Series(name, [None if value is None else parse(str(value)) for value in values])
    return parsed.cast(kind)


_PARSERS = (
    (pl.Datetime, datetime.fromisoformat),
    (pl.Date, date.fromisoformat),
    (pl.Time, time.fromisoformat),
)


def _column(items: Sequence[Mapping[str, Mapping[str, object]]], name: str) -> list[object]:
    return [from_attribute(item.get(name, {"NULL": True})) for item in items]
