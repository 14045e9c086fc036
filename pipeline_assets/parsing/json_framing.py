"""Where JSON records of lines begin and end, found from bytes alone, and the count of them.

A record never goes beyond its line (LF), and a line without one is skipped. From where a record
begins, it is

1. the object that begins there, if its braces and brackets close, with strings, numbers and
   separators in between where they may stand, at most 32 deep, and if then the line ends or
   another ``{`` follows; else
2. broken, or not an object, and goes to where the next object seems to begin on that line: a
   ``{"`` that does not stand where a nested object would (after ``:``, ``,`` or ``[``); after text
   that begins with no ``{`` itself, only one that stands after ``}``; else
3. the rest of the line.

That holds for JSON lines, for objects joined without a newline, and for both in one file. Blank
means JSON's blanks. A record longer than the limit is the failure of its file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from pipeline_assets.errors import LimitExceededError
from pipeline_assets.parsing.content import BLOCK_BYTES, Content

MAX_DEPTH: Final = 32
TOO_DEEP: Final = f"nested deeper than {MAX_DEPTH} levels"
BLANKS: Final = b" \t\r"
BLANK_RUN: Final = re.compile(rb"[ \t\r]*+")
NEXT_OBJECT: Final = re.compile(rb'\{"')
LOOKAHEAD: Final = BLOCK_BYTES
"""So many bytes beyond the longest record decide whether another object follows it."""

LF, SPACE, TAB, CR, QUOTE, COMMA, COLON, OPEN_LIST, CLOSE_LIST, OPEN, CLOSE = (
    ord(char) for char in '\n \t\r",:[]{}'
)

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Bound:
    """How many bytes a record of a file may have."""

    key: str
    record_bytes: int

    def check(self, length: int) -> None:
        """Pass a record of so many bytes, or of so many and more.

        Raises:
            LimitExceededError: it is too long.
        """
        if length > self.record_bytes:
            raise LimitExceededError(
                self.key, "bytes in a record", length, self.record_bytes, "MAX_RECORD_BYTES"
            )


@cache
def object_pattern(blanks: bytes) -> re.Pattern[bytes]:
    """An object by its tokens, nested to the greatest depth; every part gives nothing back."""
    blank = rb"[%b]*+" % blanks
    string = rb'"(?:[^"\\\x00-\x1f]++|\\[^\x00-\x1f])*+"'
    scalar = rb"(?:%b|[-+.0-9A-Za-z]++)" % string
    nested = scalar
    for _ in range(MAX_DEPTH - 1):
        key = rb"(?:%b%b:%b)?+" % (string, blank, blank)
        element = rb"%b%b%b(?:,%b|(?=[}\]]))" % (key, nested, blank, blank)
        nested = rb"(?:%b|[{\[]%b(?:%b)*+[}\]])" % (scalar, blank, element)
    key = rb"%b%b:%b" % (string, blank, blank)
    return re.compile(rb"\{%b(?:%b%b%b(?:,%b|(?=\})))*+\}" % (blank, key, nested, blank, blank))


def record_end(line: bytes, start: int, *, complete: bool, bound: Bound) -> int | None:
    """End of the record that begins at ``start``, which is not blank.

    ``line`` has no newline; with ``complete`` unset more of the line is to come, and the answer is
    null when it depends on that.

    Raises:
        LimitExceededError: the record is too long, wherever it ends.
    """
    limit = min(start + bound.record_bytes, len(line))
    decided = complete or len(line) >= start + bound.record_bytes + LOOKAHEAD
    found = object_pattern(BLANKS).match(line, start, limit)
    if found:
        followed = ends_well(line, found.end(), complete=complete)
        if followed is not False:
            return found.end() if followed else None
    elif not decided:
        return None
    resumed = _next_object(line, start, limit)
    if resumed is not None or not decided:
        return resumed
    bound.check(len(line) - start)
    return len(line)


def ends_well(line: bytes, end: int, *, complete: bool) -> bool | None:
    """Whether the line ends or another object begins here; null when more of the line tells."""
    blank = BLANK_RUN.match(line, end, end + LOOKAHEAD)
    after = blank.end() if blank else end
    if after == len(line):
        return True if complete else None
    return line[after] == OPEN


def _next_object(line: bytes, start: int, limit: int) -> int | None:
    is_object = line[start] == OPEN
    for found in NEXT_OBJECT.finditer(line, start + 1, limit):
        before = found.start() - 1
        while line[before] in BLANKS and before > start:
            before -= 1
        if line[before] not in b":,[" if is_object else line[before] == CLOSE:
            return found.start()
    return None


class Framing(Protocol):
    """Text in which record after record is found."""

    @property
    def window(self) -> bytes:
        """The text."""

    def start(self) -> int | None:
        """Where the next record begins; null when there is none, or more of the text tells."""

    def end(self, start: int) -> int | None:
        """End of the record that begins here; null when more of the text tells."""

    def ends_well(self, end: int) -> bool | None:
        """Whether an object may end here; null when more of the text tells."""

    def raw(self, end: int) -> bytes:
        """Text of the record that ends here."""

    def line(self, position: int) -> int:
        """Number of the line of a position; positions only grow."""

    def take(self, end: int) -> None:
        """Go on behind the record that ends here."""


class LineFraming:
    """One line, or the beginning of one when it is not complete."""

    def __init__(self, window: bytes, bound: Bound, *, complete: bool, number: int = 1) -> None:
        self.window = window
        self.done = 0
        self._bound = bound
        self._complete = complete
        self._number = number

    def start(self) -> int | None:
        """Where the next record begins; null when nothing is left."""
        position = skip_blank(self.window, self.done)
        return None if position == len(self.window) else position

    def end(self, start: int) -> int | None:
        """End of the record that begins here; null when more of the line tells."""
        return record_end(self.window, start, complete=self._complete, bound=self._bound)

    def ends_well(self, end: int) -> bool | None:
        """Whether an object may end here; null when more of the line tells."""
        return ends_well(self.window, end, complete=self._complete)

    def raw(self, end: int) -> bytes:
        """Text since the last record."""
        return self.window[self.done : end].rstrip(b"\r")

    def line(self, position: int) -> int:  # noqa: ARG002 - all of it is one line
        """Number of the line."""
        return self._number

    def take(self, end: int) -> None:
        """Go on behind the record that ends here."""
        self.done = end


def record_ends(framing: Framing) -> Iterator[int]:
    """Take record after record; their ends."""
    while (start := framing.start()) is not None and (end := framing.end(start)) is not None:
        framing.take(end)
        yield end


def skip_blank(line: bytes, position: int) -> int:
    """First position that is not blank."""
    blank = BLANK_RUN.match(line, position)
    return blank.end() if blank else position


def whole_lines(window: bytes, *, final: bool) -> int:
    """How many bytes of the window are complete lines."""
    return len(window) if final else window.rfind(b"\n") + 1


def count_lines(content: Content, bound: Bound) -> int:
    """Count the records of lines by one pass over the bytes, without decoding a value.

    Raises:
        CorruptFileError: the compressed stream is broken or cut.
        LimitExceededError: a record is too long.
    """
    counted, rest = 0, b""
    for block, final in content.blocks():
        window = rest + block
        used = whole_lines(window, final=final)
        if used:
            counted += _count_region(window[:used], bound)
        elif len(window) >= BLOCK_BYTES:
            line = LineFraming(window, bound, complete=False)
            counted += sum(1 for _ in record_ends(line))
            window, used = window[line.done :].lstrip(BLANKS), 0
        rest = window[used:]
    return counted


def _count_region(region: bytes, bound: Bound) -> int:
    """Count in complete lines: one each, but for those that may hold another number."""
    data = np.frombuffer(region, np.uint8)
    ends = np.append(np.flatnonzero(data == LF), len(region))
    starts = np.concatenate(([0], ends[:-1] + 1))
    used = ends > starts
    starts, ends = starts[used], ends[used]
    unclear = np.isin(data[starts], (SPACE, TAB, CR)) | (ends - starts > bound.record_bytes)
    unclear[np.searchsorted(ends, _joints(data))] = True
    return int((~unclear).sum()) + sum(
        sum(1 for _ in record_ends(LineFraming(region[start:end], bound, complete=True)))
        for start, end in zip(starts[unclear].tolist(), ends[unclear].tolist(), strict=True)
    )


def _joints(data: Bytes) -> Positions:
    """Where a second record of a line may begin: a ``{`` that is no plain nested object."""
    braces = np.flatnonzero(data == OPEN)
    braces = braces[braces > 0]
    before = data[braces - 1]
    spaced = (before == SPACE) & (braces > 1)
    before = np.where(spaced, data[braces - 2], before)
    after = data[np.minimum(braces + 1, len(data) - 1)]
    inside = np.isin(before, (COLON, COMMA, OPEN_LIST))
    at_line_start = before == LF
    blank = np.isin(before, (SPACE, TAB, CR))
    joint = (before == CLOSE) | blank | ((after == QUOTE) & ~inside)
    joints: Positions = braces[joint & ~at_line_start]
    return joints
