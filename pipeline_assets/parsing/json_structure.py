"""JSON text followed token by token, strictly and in any number of pieces.

It tells how a file is written from its beginning, and leads to the array of records within an
object. No value is kept: memory does not grow with the text.
"""

import json
import re
from enum import Enum
from typing import Final

from pipeline_assets.parsing.json_framing import COLON, MAX_DEPTH, OPEN_LIST, QUOTE, TOO_DEEP

BLANK: Final = re.compile(rb"[ \t\r\n]*+")
STRING: Final = re.compile(rb'"(?:[^"\\\x00-\x1f]++|\\[^\x00-\x1f])*+(")?+')
SCALAR: Final = re.compile(rb"[-+.0-9A-Za-z]++")
SOUND_SCALAR: Final = re.compile(
    rb"true|false|null|NaN|-?Infinity|-?[0-9]++(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]++)?+"
)
PUNCTUATION: Final = b"{}[],:"
NAMES_KEPT: Final = 20


class UnsoundError(ValueError):
    """The text is no JSON from here on."""


class _Expected(Enum):
    """What may come next: the first bytes of tokens, ``v`` for literals and numbers."""

    VALUE = b'{["v'
    FIRST_ITEM = b'{["v]'
    FIRST_NAME = b'"}'
    NAME = b'"'
    COLON = b":"
    NEXT_ITEM = b",]"
    NEXT_MEMBER = b",}"


class Structure:
    """Where in nested objects and arrays a text is; values may follow each other at the top.

    Attributes:
        names: of each open object or array, from the outermost, the name that was read last; null
            for an array.
        start: where in the window the token begins that was looked at last.
    """

    def __init__(self) -> None:
        self.names: list[str | None] = []
        self.start = 0
        self._lists: list[bool] = []
        self._expected = _Expected.VALUE
        self.is_name = False

    @property
    def depth(self) -> int:
        """How many objects and arrays are open."""
        return len(self.names)

    def step(self, window: bytes, position: int, *, complete: bool) -> int | None:
        """Take one token; its end, or null when the window does not hold a whole one.

        Raises:
            UnsoundError: the token may not stand there, or is none.
        """
        blank = BLANK.match(window, position)
        start = self.start = blank.end() if blank else position
        if start == len(window):
            return None
        kind, end = _token(window, start, complete=complete)
        if end is None:
            return None
        if kind not in self._expected.value:
            raise UnsoundError(f"{_shown(window[start:end])} may not stand here")
        self._take(kind, window[start:end])
        return end

    def _take(self, kind: int, token: bytes) -> None:
        self.is_name = self._expected in {_Expected.FIRST_NAME, _Expected.NAME} and kind == QUOTE
        if self.is_name:
            self.names[-1] = json.loads(token)
            self._expected = _Expected.COLON
        elif kind in b"{[":
            self._open(is_list=kind == OPEN_LIST)
        elif kind in b"}]":
            self.close()
        elif kind in b",:":
            names = kind != COLON and not self._lists[-1]
            self._expected = _Expected.NAME if names else _Expected.VALUE
        else:
            self._after_value()

    def _open(self, *, is_list: bool) -> None:
        if self.depth == MAX_DEPTH:
            raise UnsoundError(TOO_DEEP)
        self.names.append(None)
        self._lists.append(is_list)
        self._expected = _Expected.FIRST_ITEM if is_list else _Expected.FIRST_NAME

    def close(self) -> None:
        """Leave the innermost object or array."""
        self.names.pop()
        self._lists.pop()
        self._after_value()

    def _after_value(self) -> None:
        if not self._lists:
            self._expected = _Expected.VALUE
        else:
            self._expected = _Expected.NEXT_ITEM if self._lists[-1] else _Expected.NEXT_MEMBER


def _token(window: bytes, start: int, *, complete: bool) -> tuple[int, int | None]:
    byte = window[start]
    if byte in PUNCTUATION:
        return byte, start + 1
    found = STRING.match(window, start) or SCALAR.match(window, start)
    if found is None:
        raise UnsoundError(f"{_shown(window[start : start + 1])} begins no value")
    if found.re is STRING:
        return byte, _string_end(window, found, complete=complete)
    if found.end() == len(window) and not complete:
        return ord("v"), None
    if not SOUND_SCALAR.fullmatch(found[0]):
        raise UnsoundError(f"{_shown(found[0])} is no value")
    return ord("v"), found.end()


def _string_end(window: bytes, found: re.Match[bytes], *, complete: bool) -> int | None:
    if found[1]:
        try:
            found[0].decode()
            json.loads(found[0])
        except ValueError as error:
            raise UnsoundError(f"{_shown(found[0])} is no string") from error
        return found.end()
    if complete or window[found.end() : found.end() + 2] not in {b"", b"\\"}:
        raise UnsoundError(f"{_shown(found[0])} is a string that does not end on its line")
    return None


def _shown(token: bytes) -> str:
    return repr(token[:40].decode("utf-8", "backslashreplace"))


class RecordsPath:
    """Leads to every array at a path of names, in objects that may follow each other.

    Attributes:
        names: those of the objects along the path, the first of them; for messages.
    """

    def __init__(self, path: tuple[str, ...]) -> None:
        self.path = path
        self.names: list[str] = []
        self._structure = Structure()
        self._found = False

    @property
    def start(self) -> int:
        """Where the token begins that was looked at last, for messages."""
        return self._structure.start

    def advance(self, window: bytes, position: int, *, complete: bool) -> tuple[int, bool]:
        """Take tokens up to the next array at the path, or to the end of the window.

        Returns:
            Where the next token begins, and whether that is the first one in such an array.

        Raises:
            UnsoundError: the text is no JSON, or holds no array at the path.
        """
        while (end := self._structure.step(window, position, complete=complete)) is not None:
            position = end
            if self._opened(window[end - 1]):
                self._found = True
                return position, True
            self._check()
        if complete and self._structure.depth:
            raise UnsoundError("the text ends before its objects are closed: the file is cut")
        blank = BLANK.match(window, position)
        return blank.end() if blank else position, False

    def leave(self) -> None:
        """Leave the array."""
        self._structure.close()

    def _opened(self, byte: int) -> bool:
        names = self._structure.names
        return byte == OPEN_LIST and names[-1] is None and tuple(names[:-1]) == self.path

    def _check(self) -> None:
        structure = self._structure
        if structure.is_name and tuple(structure.names[:-1]) == self.path[: structure.depth - 1]:
            self._note(".".join(str(name) for name in structure.names))
        if structure.depth:
            return
        if not self._found:
            there = ", ".join(self.names) or "none"
            raise UnsoundError(
                f"an object holds no array of records at {'.'.join(self.path)} (names there: "
                f"{there}): send it there, or change the dataset's records_path"
            )
        self._found = False

    def _note(self, name: str) -> None:
        if len(self.names) < NAMES_KEPT and name not in self.names:
            self.names.append(name.encode("utf-8", "backslashreplace").decode())
