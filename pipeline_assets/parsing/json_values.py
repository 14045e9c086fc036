"""JSON values as the text that the file holds."""

import json
from typing import Final, Self

from pipeline_assets.parsing.json_framing import MAX_DEPTH
from pipeline_assets.parsing.records import compact_json

JsonObject = dict[str, object]

LITERALS: Final[dict[object, str | None]] = {None: None, True: "true", False: "false"}
NO_JSON: Final = frozenset({"NaN", "Infinity", "-Infinity"})
"""Numbers that many writers give and JSON does not know: text, within nested values too."""
LONG_INTEGER: Final = 640
"""Integers with more digits stay text: Python may be set to convert no more (see
``sys.set_int_max_str_digits``), and time grows with their square."""


class _SourceNumber(float):
    """A number whose text would not survive being read and written again."""

    __slots__ = ("text",)

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str


class ValueReader:
    """Decodes values so that ``as_text`` gives numbers back as they were written.

    Of a name that an object gives twice, the last value counts, as in the standard library.

    Attributes:
        repeated: an object decoded since this was last unset gives a name twice.
    """

    def __init__(self) -> None:
        self.repeated = False
        self._inexact = False
        self.decoder = json.JSONDecoder(
            parse_float=self._float,
            parse_int=self._int,
            parse_constant=self._source,
            object_pairs_hook=self._object,
        )

    def _object(self, pairs: list[tuple[str, object]]) -> JsonObject:
        value = dict(pairs)
        if len(value) != len(pairs):
            self.repeated = True
        return value

    def _float(self, text: str) -> float:
        number = float(text)
        return number if repr(number) == text else self._source(text)

    def _int(self, text: str) -> float:
        return self._source(text) if text == "-0" or len(text) > LONG_INTEGER else int(text)

    def _source(self, text: str) -> float:
        self._inexact = True
        return _SourceNumber(text)

    def as_text(self, value: object) -> str | None:
        """Text as it is, literals and numbers as in the file, objects and arrays compact."""
        if isinstance(value, str):
            return value
        if isinstance(value, dict | list):
            return _source_json(value) if self._inexact else compact_json(value)
        if value is None or isinstance(value, bool):
            return LITERALS[value]
        return value.text if isinstance(value, _SourceNumber) else repr(value)


def _source_json(value: object) -> str:
    if isinstance(value, dict):
        members = (f"{compact_json(name)}:{_source_json(item)}" for name, item in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_source_json, value)) + "]"
    if isinstance(value, _SourceNumber):
        return compact_json(value.text) if value.text in NO_JSON else value.text
    return compact_json(value)


def is_shallow(text: str) -> bool:
    """Whether the text has too few brackets to be nested too deep; quick, and sure when true."""
    return text.count("{") + text.count("[") <= MAX_DEPTH


def too_deep(value: object, levels: int = MAX_DEPTH) -> bool:
    """Whether objects and arrays are nested in more levels than these."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(too_deep(item, levels - 1) for item in inner)


def is_unicode(value: object) -> bool:
    """Whether no text in the value holds half a surrogate pair, which UTF-8 cannot write."""
    try:
        compact_json(value).encode()
    except UnicodeEncodeError:
        return False
    return True
