"""Structs of Thrift's compact protocol, in which Parquet's footer and page headers are written.

Source: "Thrift Compact protocol encoding" of the Apache Thrift specification.
"""

from typing import Final, Union

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
INTEGERS: Final = {I16: 2**32, I32: 2**32, I64: 2**64}
FIXED: Final = {TRUE: 1, FALSE: 1, BYTE: 1, DOUBLE: 8}
DEEPEST: Final = 32
VARINT_BYTES: Final = 10
MORE: Final = 0x80
LONG_LIST: Final = 15

Value = Union[int, list["Value"], dict[int, "Value"], None]  # noqa: UP007 - it names itself
Fields = dict[int, Value]


def integer(fields: Fields, number: int) -> int | None:
    """A field's integer; null where it has none."""
    value = fields.get(number)
    return value if isinstance(value, int) else None


def struct(fields: Fields, number: int) -> Fields:
    """A field's struct; without fields where it has none."""
    value = fields.get(number)
    return value if isinstance(value, dict) else {}


def structs(fields: Fields, number: int) -> list[Fields]:
    """A field's list of structs; empty where it has none."""
    value = fields.get(number)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


class Compact:
    """Reads structs, one after the other.

    Raises:
        LookupError: from any method, where bytes are missing or a type is none.
        ValueError: from any method, where a struct has no end.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def struct(self, depth: int = 0) -> Fields:
        """Integers, structs and lists by field number; texts and floats are passed over."""
        fields: Fields = {}
        number = 0
        while head := self._byte():
            delta, kind = head >> 4, head & 15
            number = number + delta if delta else _zigzag(self._varint())
            value = None if kind in {TRUE, FALSE} else self._value(kind, depth)
            if value is not None:
                fields[number] = value
        return fields

    def _value(self, kind: int, depth: int) -> Value:
        if depth > DEEPEST:
            raise ValueError("a struct is nested too deep")
        if kind in INTEGERS:
            return _zigzag(self._varint() % INTEGERS[kind])
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in {LIST, SET}:
            return self._list(depth + 1)
        if kind == MAP:
            return self._map(depth + 1)
        self._skip(self._varint() if kind == BINARY else FIXED[kind])
        return None

    def _list(self, depth: int) -> Value:
        head = self._byte()
        length, kind = head >> 4, head & 15
        if length == LONG_LIST:
            length = self._varint()
        return [self._value(kind, depth) for _ in range(length)]

    def _map(self, depth: int) -> Value:
        length = self._varint()
        kinds = self._byte() if length else 0
        for _ in range(length):
            self._value(kinds >> 4, depth)
            self._value(kinds & 15, depth)
        return None

    def _skip(self, length: int) -> None:
        self.at += length
        if self.at > len(self._data):
            raise IndexError

    def _byte(self) -> int:
        byte = self._data[self.at]
        self.at += 1
        return byte

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 7 * VARINT_BYTES, 7):
            byte = self._byte()
            value |= (byte & ~MORE) << shift
            if byte < MORE:
                return value
        raise ValueError("a number has no end")


def _zigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)
