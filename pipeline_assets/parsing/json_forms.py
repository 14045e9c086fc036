"""In which form a JSON file holds its records; its beginning and the dataset decide."""

import re
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from pipeline_assets.parsing.content import HEAD_BYTES
from pipeline_assets.parsing.json_structure import RecordsPath, Structure, UnsoundError
from pipeline_assets.parsing.records import match_names

OPENS_OBJECTS: Final = re.compile(rb'\[[ \t\r\n]*+(?:\{[ \t\r\n]*+["}]|\][ \t\r\n]*+\Z|\Z)')


class Form(Enum):
    """How records lie in a file."""

    LINES = auto()
    """None goes beyond its line; several may share one."""
    DOCUMENTS = auto()
    """Elements of arrays, or objects over several lines."""
    HELD = auto()
    """Elements of arrays in objects that hold them."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a text goes on from its beginning: where its first value ends, and what is sound."""

    end: int | None
    sound: bool


def form_of(head: bytes, path: tuple[str, ...], fields: tuple[str, ...]) -> Form:
    """Form of a file that begins so; text of which nothing else can be said has lines.

    Where a path is declared, an object that has no name of the path's beginning and names a field
    of the contract is a record, and the file has none of the declared objects. Of any other first
    object that holds no array there, what follows decides: lines of objects are records, unless
    most of them hold one.

    Args:
        head: the first bytes, ``HEAD_BYTES`` of them unless the file is shorter.
        path: names that lead to the array of records within an object.
        fields: the contract's names.
    """
    complete = len(head) < HEAD_BYTES
    text = head.lstrip(b" \t\r\n")
    if text[:1] == b"[":
        return Form.DOCUMENTS if _is_array(text, complete=complete) else Form.LINES
    if text[:1] != b"{":
        return Form.LINES
    if path and _is_held(text, path, fields, complete=complete):
        return Form.HELD
    return Form.DOCUMENTS if _spans_lines(text, complete=complete) else Form.LINES


def _first_value(text: bytes, *, complete: bool) -> Shape:
    structure, position = Structure(), 0
    try:
        while (end := structure.step(text, position, complete=complete)) is not None:
            position = end
            if not structure.depth:
                return Shape(end, sound=True)
    except UnsoundError:
        return Shape(None, sound=False)
    return Shape(None, sound=True)


def _is_array(text: bytes, *, complete: bool) -> bool:
    """Many log lines begin with a bracket: an array has values, and nothing behind them."""
    if OPENS_OBJECTS.match(text):
        return True
    shape = _first_value(text, complete=complete)
    if shape.end is None:
        return shape.sound
    return not text[shape.end :].strip() and complete


def _spans_lines(text: bytes, *, complete: bool) -> bool:
    line, newline, _ = text.partition(b"\n")
    if not newline or line.strip() == b"{":
        return bool(newline)
    shape = _first_value(text, complete=complete)
    return shape.sound and (shape.end is None or shape.end > len(line))


def _is_held(
    text: bytes, path: tuple[str, ...], fields: tuple[str, ...], *, complete: bool
) -> bool:
    """Whether objects hold the records, as far as the first one tells; if not, what follows it.

    One without the array is a record among others, or an odd line before them, unless it is all
    that can be seen: the file is then refused for it.
    """
    names, opened = _searched(text, path, complete=complete)
    named = any(at is not None for at in match_names(names, fields).positions)
    if opened or (named and path[0] not in names):
        return opened
    end = _first_value(text, complete=complete).end
    if end is None:
        looks = _looks(text.partition(b"\n")[2], path, complete=complete)
        some = 2 * looks.count(None) <= len(looks)
    else:
        rest = text[end:].lstrip(b" \t\r")
        looks = _looks(rest, path, complete=complete)
        some = rest[:1] in b"\n{"
    are_lines = looks and some and looks.count(True) <= looks.count(False)
    return not are_lines


def _looks(rest: bytes, path: tuple[str, ...], *, complete: bool) -> list[bool | None]:
    """Of each line that is not blank, what ``_look`` says; the last one may go on."""
    *lines, last = rest.split(b"\n")
    found = [_look(line, path, complete=True) for line in lines if line.strip()]
    return [*found, _look(last, path, complete=complete)] if last.strip() else found


def _searched(text: bytes, path: tuple[str, ...], *, complete: bool) -> tuple[list[str], bool]:
    """Names at the outside of the first object, and whether it opens an array at the path."""
    search, opened = RecordsPath(path), False
    with suppress(UnsoundError):
        _, opened = search.advance(text, 0, complete=complete)
    return [name for name in search.names if "." not in name], opened


def _look(line: bytes, path: tuple[str, ...], *, complete: bool) -> bool | None:
    """Whether the object of a line opens an array at the path; null where none begins it."""
    text = line.lstrip(b" \t\r")
    first = _first_value(text, complete=complete)
    after = text[first.end :].lstrip(b" \t\r")[:1] if first.end else b""
    if text[:1] != b"{" or not first.sound or after not in b"{":
        return None
    return _searched(text, path, complete=complete)[1]
