"""The ledger's values as items, and items as DynamoDB's attribute values."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeAlias, TypeVar, cast

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from pydantic import TypeAdapter

Value: TypeAlias = str | int | float | bool | list[Any] | dict[str, Any] | None
Item: TypeAlias = dict[str, Value]
T = TypeVar("T")

_serializer = TypeSerializer()
_deserializer = TypeDeserializer()
_adapters: dict[object, TypeAdapter[Any]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - any dataclass of the model
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def load(kind: type[T], item: Item) -> T:
    """An item as one of the ledger's values; attributes that it does not have are left out."""
    return cast("T", _adapter(kind).validate_python(item))


def dump(value: object) -> Item:
    """One of the ledger's values as an item's attributes; what is ``None`` is left out."""
    return cast("Item", _adapter(type(value)).dump_python(value, mode="json", exclude_none=True))


def encode(item: Mapping[str, Value]) -> Any:  # noqa: ANN401 - boto3's attribute values
    """Item in DynamoDB's attribute values."""
    return {name: _serializer.serialize(_storable(value)) for name, value in item.items()}


def decode(item: Mapping[str, Any]) -> Item:
    """Item in plain Python: whole numbers are ints, others floats."""
    return {name: _plain(_deserializer.deserialize(value)) for name, value in item.items()}


def _storable(value: Value) -> Any:  # noqa: ANN401 - what boto3's serializer takes
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, list):
        return [_storable(each) for each in value]
    if isinstance(value, dict):
        return {name: _storable(each) for name, each in value.items()}
    return value


def _plain(value: Any) -> Value:  # noqa: ANN401 - what boto3's deserializer gives
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    return cast("Value", value)
