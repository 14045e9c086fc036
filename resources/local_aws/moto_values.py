"""Items on their way through moto, at a cost that does not grow with the square of their size.

A value of DynamoDB is a structure with one member, its type. moto looks for all ten members in each
value that it reads or writes, under several spellings, and weighs an item anew with every attribute
that it adds to it.
"""

from collections.abc import Callable
from typing import Any

from moto.core.model import Shape, StructureShape
from moto.core.parse import BaseJSONParser
from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.exceptions import ItemSizeTooLarge
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.models.utilities import bytesize

from resources.local_aws.moto_replacement import Replacement

ATTRIBUTE_VALUE = "AttributeValue"
MAX_ITEM_BYTES = 405_000
"""moto's own limit, a little above DynamoDB's."""


def _member(shape: StructureShape, value: object) -> tuple[str, Any, Shape] | None:
    """Name, content and shape of the only member of a value; None for what is not of that form."""
    if shape.name != ATTRIBUTE_VALUE or type(value) is not dict or len(value) != 1:
        return None
    ((name, content),) = value.items()
    member = shape.members.get(name)
    return None if member is None or content is None else (name, content, member)


def _parse(original: Callable[..., Any]) -> Callable[..., Any]:
    def parse(parser: BaseJSONParser, shape: StructureShape, value: object) -> Any:  # noqa: ANN401 - moto's
        found = _member(shape, value)
        if found is None:
            return original(parser, shape, value)
        name, content, member = found
        parsed = parser._parse_shape(member, content)  # type: ignore[no-untyped-call]  # noqa: SLF001 - no hook
        return parser.MAP_TYPE({name: parsed})

    return parse


def _serialize(original: Callable[..., None]) -> Callable[..., None]:
    def serialize(
        serializer: BaseJSONSerializer,
        serialized: dict[str, Any],
        value: object,
        shape: StructureShape,
        key: str,
    ) -> None:
        found = _member(shape, value) if key else None
        if found is None:
            original(serializer, serialized, value, shape, key)
            return
        name, content, member = found
        wrapper: dict[str, Any] = serializer.MAP_TYPE()
        serializer._serialize(wrapper, content, member, name)  # noqa: SLF001 - no hook
        serializer._default_serialize(serialized, wrapper, shape, key)  # noqa: SLF001 - as above

    return serialize


def _make(_original: Callable[..., None]) -> Callable[..., None]:
    def make(
        item: Item, hash_key: DynamoType, range_key: DynamoType | None, attrs: dict[str, Any]
    ) -> None:
        item.hash_key, item.range_key = hash_key, range_key
        item.attrs = LimitedSizeDict()
        size = 0
        for name, content in attrs.items():
            value = DynamoType(content)
            size += bytesize(name) + value.size()
            if size > MAX_ITEM_BYTES:
                raise ItemSizeTooLarge
            dict.__setitem__(item.attrs, name, value)

    return make


REPLACEMENTS = (
    Replacement(BaseJSONParser, "_parse_structure", _parse),
    Replacement(BaseJSONSerializer, "_serialize_type_structure", _serialize),
    Replacement(Item, "__init__", _make),
)
