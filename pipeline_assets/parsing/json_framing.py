"""Where JSON records begin and end, found from bytes alone, and the count of them.

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
means JSON's blanks; a record longer than the limit comes in pieces of that size.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline_assets.parsing.content import BLOCK_BYTES, RECORD_BYTES, Content

MAX_DEPTH: Final = 32
BLANKS: Final = b" \t\r"
BLANK_RUN: Final = re.compile(rb"[ \t\r]*+")
NEXT_OBJECT: Final = re.compile(rb'\{"')
LOOKAHEAD: Final = BLOCK_BYTES
"""So many bytes beyond the longest record decide whether another object follows it."""

LF, SPACE, TAB, CR, QUOTE, COMMA, COLON, OPEN_LIST, OPEN, CLOSE = (
    ord(char) for char in '\n \t\r",:[{}'
)

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.intp]


@cache
def _object() -> re.Pattern[bytes]:
    """An object by its tokens, nested to the greatest depth; every part gives nothing back."""
    blank = rb"[ \t\r]*+"
    string = rb'"(?:[^"\\\x00-\x1f]++|\\[^\x00-\x1f])*+"'
    scalar = rb"(?:%b|[-+.0-9A-Za-z]++)" % string
    nested = scalar
    for _ in range(MAX_DEPTH - 1):
        key = rb"(?:%b%b:%b)?+" % (string, blank, blank)
        element = rb"%b%b%b(?:,%b|(?=[}\]]))" % (key, nested, blank, blank)
        nested = rb"(?:%b|[{\[]%b(?:%b)*+[}\]])" % (scalar, blank, element)
    key = rb"%b%b:%b" % (string, blank, blank)
    return re.compile(rb"\{%b(?:%b%b%b(?:,%b|(?=\})))*+\}" % (blank, key, nested, blank, blank))


def record_end(line: bytes, start: int, *, complete: bool) -> int | None:
    """End of the record that begins at ``start``, which is not blank.

    ``line`` has no newline; with ``complete`` unset more of the line is to come, and the answer is
    null when it depends on that.
    """
    limit = min(start + RECORD_BYTES, len(line))
    decided = complete or len(line) >= start + RECORD_BYTES + LOOKAHEAD
    found = _object().match(line, start, limit)
    if found:
        followed = ends_well(line, found.end(), complete=complete)
        if followed is not False:
            return found.end() if followed else None
    elif not decided:
        return None
    resumed = _next_object(line, start, limit)
    if resumed is not None:
        return resumed
    return limit if decided else None


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


def walk(line: bytes, *, complete: bool) -> Iterator[tuple[int, int]]:
    """Start and end of each record that can be decided."""
    position = skip_blank(line, 0)
    while position < len(line):
        end = record_end(line, position, complete=complete)
        if end is None:
            return
        yield position, end
        position = skip_blank(line, end)


def skip_blank(line: bytes, position: int) -> int:
    """First position that is not blank."""
    blank = BLANK_RUN.match(line, position)
    return blank.end() if blank else position


def whole_lines(window: bytes, *, final: bool) -> int:
    """How many bytes of the window are complete lines."""
    return len(window) if final else window.rfind(b"\n") + 1


def count_records(content: Content) -> int:
    """Count by one pass over the bytes, without decoding a value.

    Raises:
        CorruptFileError: the gzip stream is broken or cut.
    """
    counted, rest = 0, b""
    for block, final in content.blocks():
        window = rest + block
        used = whole_lines(window, final=final)
        if used:
            counted += _count_lines(window[:used])
        elif len(window) >= BLOCK_BYTES:
            for _, end in walk(window, complete=False):
                counted += 1
                used = end
            window = window[used:].lstrip(BLANKS)
            used = 0
        rest = window[used:]
    return counted


def _count_lines(region: bytes) -> int:
    """Count in complete lines: one each, but for those that may hold another number."""
    data = np.frombuffer(region, np.uint8)
    ends = np.append(np.flatnonzero(data == LF), len(region))
    starts = np.concatenate(([0], ends[:-1] + 1))
    used = ends > starts
    starts, ends = starts[used], ends[used]
    unclear = np.isin(data[starts], (SPACE, TAB, CR)) | (ends - starts > RECORD_BYTES)
    unclear[np.searchsorted(ends, _joints(data))] = True
    return int((~unclear).sum()) + sum(
        sum(1 for _ in walk(region[start:end], complete=True))
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
