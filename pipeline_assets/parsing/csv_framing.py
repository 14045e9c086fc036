"""Where CSV records begin and end, found from bytes alone, and the count of them.

A record ends at CR, LF or CRLF outside quotes. A quote opens a quoted value only where a value
begins, and a doubled quote inside stands for one. A quote that is not closed, or is closed before
something other than a comma or the end of the line, does not hide line ends: its record is broken
and ends with the line in which that quote stands. Lines without a byte are no records.

Where every quote is where it belongs, quote parity says the same; numpy finds the records of whole
blocks then, and the walk from record to record is for blocks with a stray quote.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline_assets.parsing.content import RECORD_BYTES, Content

QUOTED: Final = rb'"[^"]*+(?:""[^"]*+)*+"'
VALUE: Final = rb'(?:%b(?=[,\r\n]|\Z)|(?!")[^,\r\n]*+)' % QUOTED
RECORD: Final = re.compile(rb"%b(?:,%b)*+(?=[\r\n]|\Z)" % (VALUE, VALUE))
SOUND_VALUES: Final = re.compile(rb"(?:%b,)*+" % VALUE)
CLOSED: Final = re.compile(QUOTED + rb'(?!")')
LINE_REST: Final = re.compile(rb"[^\r\n]*+")
LINE_END: Final = re.compile(rb"\r\n|\r|\n")

COMMA, QUOTE, LF, CR = 44, 34, 10, 13

UNCLOSED: Final = "a quote is not closed, or text follows a closing quote"
TOO_LONG: Final = f"longer than {RECORD_BYTES:,} bytes"

Positions = npt.NDArray[np.intp]


class Span(NamedTuple):
    """A record's place in a window; ``fault`` says why it is broken, ``stop`` is past its end."""

    start: int
    end: int
    fault: str | None
    stop: int


class CsvFraming:
    """Walks from record to record through windows that begin where the last one was left."""

    def __init__(self) -> None:
        self._in_long_line = False

    def spans(self, window: bytes, *, final: bool) -> Iterator[Span]:
        """Every span, blank lines included (start is end), that the window lets decide."""
        position = 0
        while position < len(window):
            span = self._span(window, position, final=final)
            if span is None:
                return
            yield span
            position = span.stop

    def _span(self, window: bytes, start: int, *, final: bool) -> Span | None:
        end, fault = self._end(window, start, final=final)
        if end - start >= RECORD_BYTES:
            self._in_long_line = True
            return Span(start, start + RECORD_BYTES, TOO_LONG, start + RECORD_BYTES)
        at_edge = end >= len(window) or (end == len(window) - 1 and window[end] == CR)
        if at_edge and not final:
            return None
        self._in_long_line = False
        line_end = LINE_END.match(window, end)
        return Span(start, end, fault, line_end.end() if line_end else end)

    def _end(self, window: bytes, start: int, *, final: bool) -> tuple[int, str | None]:
        limit = min(start + RECORD_BYTES, len(window))
        if self._in_long_line:
            return _line_rest(window, start, limit), TOO_LONG
        whole = RECORD.match(window, start, limit)
        if whole:
            return whole.end(), None
        sound = SOUND_VALUES.match(window, start, limit)
        opened = sound.end() if sound else start
        closed = CLOSED.match(window, opened, limit)
        undecided = closed is None or closed.end() >= limit
        if undecided and not final and limit == len(window) and limit - start < RECORD_BYTES:
            return len(window), None
        return _line_rest(window, opened, limit), UNCLOSED


def _line_rest(window: bytes, start: int, limit: int) -> int:
    found = LINE_REST.match(window, start, limit)
    return found.end() if found else start


@dataclass(frozen=True, slots=True)
class Survey:
    """What one pass over the bytes tells; ``counted`` includes the header."""

    counted: int
    longest: int
    quotes_sound: bool
    valid_utf8: bool
    one_line_each: bool


class CsvCounter:
    """Counts records window by window; independent of whatever parses them."""

    def __init__(self) -> None:
        self.counted = 0
        self.longest = 0
        self.quotes_sound = True
        self.one_line_each = True
        self._framing = CsvFraming()

    def count(self, window: bytes, *, final: bool) -> int:
        """Count the complete records and return how many bytes they take."""
        if self.quotes_sound:
            ends = self._sound_ends(window, final=final)
            if ends is not None:
                return self._count_sound(window, ends)
            self.quotes_sound = False
        return self._walk(window, final=final)

    def _walk(self, window: bytes, *, final: bool) -> int:
        used = 0
        for span in self._framing.spans(window, final=final):
            self.counted += span.end > span.start
            used = span.stop
        return used

    def _sound_ends(self, window: bytes, *, final: bool) -> Positions | None:
        """Positions of the line ends outside quotes; null where parity does not decide."""
        data = np.frombuffer(window, np.uint8)
        quotes = np.flatnonzero(data == QUOTE)
        ends = np.flatnonzero((data == LF) | (data == CR))
        if quotes.size:
            if not _quotes_sound(data, quotes) or (final and quotes.size % 2):
                return None
            outside = np.searchsorted(quotes, ends) % 2 == 0
            self.one_line_each &= bool(outside.all())
            ends = ends[outside]
        if final:
            ends = np.append(ends, len(window))
        elif ends.size and ends[-1] == len(window) - 1 and data[-1] == CR:
            ends = ends[:-1]
        lengths = np.diff(ends, prepend=-1)
        too_long = lengths.size and lengths.max() > RECORD_BYTES
        waiting = len(window) - (ends[-1] if ends.size else 0)
        return None if too_long or waiting >= RECORD_BYTES else ends

    def _count_sound(self, window: bytes, ends: Positions) -> int:
        if not ends.size:
            return 0
        lengths = np.diff(ends, prepend=-1) - 1
        blank = ends[lengths == 0]
        blank = blank[blank < len(window)]
        data = np.frombuffer(window, np.uint8)
        after_cr = (data[blank] == LF) & (blank > 0) & (data[blank - 1] == CR)
        self.one_line_each &= bool(after_cr.all())
        self.counted += int((lengths > 0).sum())
        self.longest = max(self.longest, int(lengths.max()))
        return min(int(ends[-1]) + 1, len(window))


def _quotes_sound(data: npt.NDArray[np.uint8], quotes: Positions) -> bool:
    """Whether each opening quote begins a value and each closing quote ends one or is doubled."""
    opening, closing = quotes[0::2], quotes[1::2]
    before = data[opening - 1]
    doubled = data[opening - 1] == QUOTE
    begins = (before == COMMA) | (before == LF) | (before == CR) | doubled | (opening == 0)
    after = data[closing[closing < len(data) - 1] + 1]
    ends = (after == COMMA) | (after == LF) | (after == CR) | (after == QUOTE)
    return bool(begins.all() and ends.all())


def survey(content: Content) -> Survey:
    """Read the whole content once: count its records and find what the fast parser cannot take.

    Raises:
        CorruptFileError: the gzip stream is broken or cut.
    """
    counter = CsvCounter()
    decoder = codecs.getincrementaldecoder("utf-8")()
    valid, rest = True, b""
    for block, final in content.blocks():
        valid = valid and _decodes(decoder, block, final=final)
        window = rest + block
        rest = window[counter.count(window, final=final) :]
    return Survey(
        counted=counter.counted,
        longest=counter.longest,
        quotes_sound=counter.quotes_sound,
        valid_utf8=valid,
        one_line_each=counter.one_line_each,
    )


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool) -> bool:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError:
        return False
    return True
