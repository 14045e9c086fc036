"""Where a broken JSON element ends, judged by the balance of its brackets outside strings.

A string ends with its line at the latest, since JSON has none that goes on: so a quote that is
missing spoils one line of a text that has several.
"""

import re
from enum import Enum, auto
from typing import Final

from pipeline_assets.parsing.json_framing import (
    CLOSE,
    CLOSE_LIST,
    COLON,
    COMMA,
    LF,
    OPEN,
    OPEN_LIST,
    QUOTE,
)

TOKEN: Final = re.compile(
    rb'[{}\[\],:]|"(?:[^"\\\n]++|\\[^\n]?+)*+(?:"|(?=(\n))|\Z)|[^ \t\r\n{}\[\],:"]++'
)
BEGINS_OBJECT: Final = re.compile(rb'\{[ \t\r\n]*+(["}]?+)')
AFTER_LIST: Final = re.compile(rb'\][ \t\r\n]*+(?:,[ \t\r\n]*+)?+(["}]?+)')
TRUSTED: Final = 64 * 1024
"""So many bytes of an element are balanced although its tokens do not fit together."""
SINGLE: Final = b"{}[],:"


class Outcome(Enum):
    """What became of an attempt to find an element's end."""

    FOUND = auto()
    """It is found."""
    UNDECIDED = auto()
    """The text ends before, and what there is of it fits together."""
    LOST = auto()
    """Tokens do not fit together, and no end comes soon."""


class Place(Enum):
    """Where an element stands."""

    TOP = auto()
    LIST = auto()
    """In an array that no object holds."""
    MEMBER = auto()
    """In an array that is an object's."""


class Balance:
    """Looks for the end of one element, from its first byte.

    The end is where all that was opened is closed again and ``,``, ``]``, an object or, at the
    top, the next line follows; or before that at a ``{"`` that cannot be nested where it stands.
    A bracket that closes another kind than the last that was opened closes what lies between.

    Args:
        place: where the element stands.
        indent: blanks that stand before such elements on their line; null when they share lines.

    Attributes:
        length: of the element, once found; else of what was looked at.
    """

    def __init__(self, place: Place, indent: bytes | None) -> None:
        self.length = 0
        self._place = place
        self._line_start = b"" if indent is None else b"\n" + indent
        self._open = bytearray()
        self._kinds = {OPEN: 0, OPEN_LIST: 0}
        self._flawed = False
        self._hidden: int | None = None
        self._before = COMMA
        self._window = b""
        self._complete = False

    def find(self, window: bytes, start: int, *, complete: bool) -> Outcome:
        """Look on, in a window that holds the element from ``start`` on, up to its end."""
        self._window, self._complete = window, complete
        for token in TOKEN.finditer(window, start + self.length):
            at = token.start()
            if self._flawed and at - start > TRUSTED:
                return Outcome.LOST
            outcome = self._stop(at, start) if at > start else None
            if outcome is not None:
                return outcome
            if token.end() == len(window) and not complete and window[at] not in SINGLE:
                return Outcome.UNDECIDED
            self._take(token)
            self.length = token.end() - start
            if self._hidden is None and self._hides_object(token[0]):
                self._hidden = self.length - len(b'{"')
            if self._flawed and self._hidden is not None:
                self.length = self._hidden
                return Outcome.FOUND
        return self._at_the_end(window[start + self.length :])

    def _at_the_end(self, blanks: bytes) -> Outcome:
        if not self._open and self._place is Place.TOP and LF in blanks:
            return Outcome.FOUND
        if not self._complete:
            return Outcome.UNDECIDED
        if not self._open and (self._before == CLOSE or not self._flawed):
            return Outcome.FOUND
        return Outcome.LOST if self._flawed else Outcome.UNDECIDED

    def _stop(self, at: int, start: int) -> Outcome | None:
        """Whether the element ends before the token that begins here."""
        byte = self._window[at]
        if not self._open and self._ends_before(byte, self._window[start + self.length : at]):
            return Outcome.FOUND
        if byte == OPEN and not self._may_nest():
            return self._before_object(at, start)
        if byte == CLOSE_LIST and self._place is not Place.TOP and not self._kinds[OPEN_LIST]:
            return self._before_end_of_array(at)
        return None

    def _hides_object(self, token: bytes) -> bool:
        """Where a quote is missing, what stands between two objects seems to be a string's end.

        A sound string may look like that: it counts only once tokens do not fit together.
        """
        if self._line_start or not token.endswith(b'{"') or len(token) == len(b'{"'):
            return False
        return token[:-2].rstrip(b" \t,").endswith(b"}")

    def _ends_before(self, byte: int, blanks: bytes) -> bool:
        if self._place is Place.TOP:
            return byte == COMMA or LF in blanks
        return byte in {COMMA, CLOSE_LIST}

    def _may_nest(self) -> bool:
        if self._before == COMMA:
            return bool(self._open) and self._open[-1] == OPEN_LIST
        return self._before in {COLON, OPEN_LIST}

    def _before_object(self, at: int, start: int) -> Outcome | None:
        self._flawed = True
        if not self._window.endswith(self._line_start, start, at):
            return None
        found = BEGINS_OBJECT.match(self._window, at)
        if found and found[1]:
            self.length = at - start
            return Outcome.FOUND
        more = found and found.end() == len(self._window) and not self._complete
        return Outcome.UNDECIDED if more else None

    def _before_end_of_array(self, at: int) -> Outcome | None:
        """The array around the element ends if nothing follows, or the rest of its object."""
        found = AFTER_LIST.match(self._window, at)
        if found and found.end() == len(self._window) and not found[1]:
            return Outcome.FOUND if self._complete else Outcome.UNDECIDED
        ends = found and found[1] and self._place is Place.MEMBER
        return Outcome.FOUND if ends else None

    def _take(self, token: re.Match[bytes]) -> None:
        byte = token[0][0]
        if byte in self._kinds:
            self._open.append(byte)
            self._kinds[byte] += 1
        elif byte in {CLOSE, CLOSE_LIST}:
            self._close(OPEN if byte == CLOSE else OPEN_LIST)
            byte = CLOSE
        elif byte not in {COMMA, COLON}:
            self._flawed |= self._before in {QUOTE, CLOSE} or token[1] is not None
            byte = QUOTE
        self._before = byte

    def _close(self, opener: int) -> None:
        if not self._kinds[opener]:
            self._flawed = True
            return
        while (last := self._open.pop()) != opener:
            self._kinds[last] -= 1
            self._flawed = True
        self._kinds[opener] -= 1
