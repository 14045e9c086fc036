"""Where CSV records begin and end, found from bytes alone, and the count of them.

A record ends at CR, LF or CRLF outside quotes. A quote opens a quoted value only where a value
begins; inside, a doubled quote stands for one, and so does an escaped one where the dialect has
escapes. A quote that is not closed, or is closed before something other than a delimiter or the end
of the line, does not hide line ends: its record is broken and ends with the line in which that
quote stands. Lines without a byte are no records.

Where every quote is where it belongs and none is escaped, quote parity says the same; numpy finds
the records of whole blocks then, and the walk from record to record is for all else.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline_assets.errors import LimitExceededError
from pipeline_assets.parsing.content import BLOCK_BYTES, Content

QUOTE, LF, CR = 34, 10, 13
NO_DELIMITERS: Final = frozenset('"\r\n\\')
PARITY_BYTES: Final = 4 * BLOCK_BYTES
"""A longer record is left to the walk: positions of many line ends take eight times their bytes."""

QUOTED: Final = rb'"[^"]*+(?:""[^"]*+)*+"'
QUOTED_WITH_ESCAPES: Final = rb'"[^"\\]*+(?:(?:""|\\[\s\S])[^"\\]*+)*+"'
LINE_REST: Final = re.compile(rb"[^\r\n]*+")
LINE_END: Final = re.compile(rb"\r\n|\r|\n")

UNCLOSED: Final = "a quote is not closed, or text follows a closing quote"

Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file writes its values.

    Attributes:
        delimiter: one ASCII character between values.
        escapes: whether a backslash inside quotes takes a quote or a backslash for itself.

    Raises:
        ValueError: the delimiter is none that could be told from quotes, escapes and line ends.
    """

    delimiter: str = ","
    escapes: bool = False

    def __post_init__(self) -> None:
        single = len(self.delimiter) == 1 and self.delimiter.isascii()
        if not single or self.delimiter in NO_DELIMITERS:
            raise ValueError(
                f"{self.delimiter!r} cannot delimit CSV values: give one ASCII character that is "
                "no quote, backslash or line end"
            )


class _Grammar(NamedTuple):
    """A record, one with its line end, the sound values that open one, a closed quoted value."""

    record: re.Pattern[bytes]
    line: re.Pattern[bytes]
    sound_values: re.Pattern[bytes]
    closed: re.Pattern[bytes]


@cache
def _grammar_of(dialect: Dialect) -> _Grammar:
    quoted = QUOTED_WITH_ESCAPES if dialect.escapes else QUOTED
    delimiter = re.escape(dialect.delimiter.encode())
    value = rb'(?:%b(?=[%b\r\n]|\Z)|(?!")[^%b\r\n]*+)' % (quoted, delimiter, delimiter)
    values = rb"%b(?:%b%b)*+" % (value, delimiter, value)
    return _Grammar(
        record=re.compile(values + rb"(?=[\r\n]|\Z)"),
        line=re.compile(values + rb"(\n|\r\n|\r(?=[^\n]))"),
        sound_values=re.compile(rb"(?:%b%b)*+" % (value, delimiter)),
        closed=re.compile(quoted + rb'(?!")'),
    )


class Span(NamedTuple):
    """A record's place in a window; ``fault`` says why it is broken, ``stop`` is past its end."""

    start: int
    end: int
    fault: str | None
    stop: int


@dataclass(frozen=True)
class CsvFraming:
    """Walks from record to record through windows that begin where the last one was left.

    What it finds does not depend on where windows end: a record is looked at up to one byte beyond
    the limit, and no further.

    Attributes:
        dialect: how the file writes its values.
        key: the file's key, for messages.
        record_bytes: most bytes of a record, without its line end.

    Raises:
        LimitExceededError: from any walk, when a record is longer.
    """

    dialect: Dialect
    key: str
    record_bytes: int

    @cached_property
    def _grammar(self) -> _Grammar:
        return _grammar_of(self.dialect)

    def records(self, content: Content) -> Iterator[tuple[bytes, Span]]:
        """Every span of the whole content, blank lines included, each with its window."""
        rest = b""
        for block, final in content.blocks():
            window, used = rest + block, 0
            for span in self.spans(window, final=final):
                yield window, span
                used = span.stop
            rest = window[used:]

    def spans(self, window: bytes, *, final: bool) -> Iterator[Span]:
        """Every span, blank lines included (start is end), that the window lets decide."""
        position, size, line = 0, len(window), self._grammar.line
        while position < size:
            sound = line.match(window, position, position + self.record_bytes + 1)
            span = (
                Span(position, sound.start(1), None, sound.end())
                if sound
                else self._span(window, position, final=final)
            )
            if span is None:
                return
            yield span
            position = span.stop

    def _span(self, window: bytes, start: int, *, final: bool) -> Span | None:
        found = self._end(window, start, final=final)
        if found is None:
            return None
        end, fault = found
        if end - start > self.record_bytes:
            raise LimitExceededError(
                self.key, "bytes in a record", end - start, self.record_bytes, "MAX_RECORD_BYTES"
            )
        at_edge = end >= len(window) or (end == len(window) - 1 and window[end] == CR)
        if at_edge and not final:
            return None
        line_end = LINE_END.match(window, end)
        return Span(start, end, fault, line_end.end() if line_end else end)

    def _end(self, window: bytes, start: int, *, final: bool) -> tuple[int, str | None] | None:
        """Where the record ends and what is wrong with it; null when more bytes are needed."""
        reach = start + self.record_bytes + 1
        limit = min(reach, len(window))
        whole = self._grammar.record.match(window, start, limit)
        if whole and (whole.end() < reach or self._grammar.record.match(window, start, reach - 1)):
            return whole.end(), None
        sound = self._grammar.sound_values.match(window, start, limit)
        opened = sound.end() if sound else start
        closed = self._grammar.closed.match(window, opened, limit)
        undecided = closed is None or closed.end() >= limit
        if undecided and not final and len(window) < reach:
            return None
        line_rest = LINE_REST.match(window, opened, limit)
        return (line_rest.end() if line_rest else opened), UNCLOSED


def line_ends(record: bytes) -> int:
    """How many line ends are within a record."""
    found = record.count(b"\n")
    return found + record.count(b"\r") - record.count(b"\r\n") if b"\r" in record else found


@dataclass(frozen=True, slots=True)
class Survey:
    """What one pass over the bytes tells; ``counted`` includes the header."""

    counted: int
    blank_lines: int
    longest: int
    quotes_sound: bool
    valid_utf8: bool
    one_line_each: bool


class CsvCounter:
    """Counts records window by window; independent of whatever parses them."""

    def __init__(self, framing: CsvFraming) -> None:
        self.counted = 0
        self.blank_lines = 0
        self.longest = 0
        self.quotes_sound = not framing.dialect.escapes
        self.one_line_each = True
        self._framing = framing
        self._delimiter = ord(framing.dialect.delimiter)
        self._longest_sound = min(framing.record_bytes, PARITY_BYTES)

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
            self.blank_lines += span.end == span.start
            self.counted += span.end > span.start
            used = span.stop
        return used

    def _sound_ends(self, window: bytes, *, final: bool) -> Positions | None:
        """Positions of the line ends outside quotes; null where parity does not decide."""
        data = np.frombuffer(window, np.uint8)
        quotes = np.flatnonzero(data == QUOTE)
        ends = np.flatnonzero((data == LF) | (data == CR))
        if quotes.size:
            if not _quotes_sound(data, quotes, self._delimiter) or (final and quotes.size % 2):
                return None
            outside = np.searchsorted(quotes, ends) % 2 == 0
            self.one_line_each &= bool(outside.all())
            ends = ends[outside]
        if final:
            ends = np.append(ends, len(window))
        elif ends.size and ends[-1] == len(window) - 1 and data[-1] == CR:
            ends = ends[:-1]
        waiting = len(window) - (int(ends[-1]) + 1 if ends.size else 0)
        longest = int((np.diff(ends, prepend=-1) - 1).max(initial=waiting))
        return None if longest > self._longest_sound else ends

    def _count_sound(self, window: bytes, ends: Positions) -> int:
        if not ends.size:
            return 0
        lengths = np.diff(ends, prepend=-1) - 1
        blank = ends[lengths == 0]
        blank = blank[blank < len(window)]
        data = np.frombuffer(window, np.uint8)
        after_cr = (data[blank] == LF) & (blank > 0) & (data[blank - 1] == CR)
        self.one_line_each &= bool(after_cr.all())
        self.blank_lines += int((~after_cr).sum())
        self.counted += int((lengths > 0).sum())
        self.longest = max(self.longest, int(lengths.max()))
        return min(int(ends[-1]) + 1, len(window))


def _quotes_sound(data: npt.NDArray[np.uint8], quotes: Positions, delimiter: int) -> bool:
    """Whether each opening quote begins a value and each closing quote ends one or is doubled."""
    opening, closing = quotes[0::2], quotes[1::2]
    before = data[opening - 1]
    doubled = data[opening - 1] == QUOTE
    begins = (before == delimiter) | (before == LF) | (before == CR) | doubled | (opening == 0)
    after = data[closing[closing < len(data) - 1] + 1]
    ends = (after == delimiter) | (after == LF) | (after == CR) | (after == QUOTE)
    return bool(begins.all() and ends.all())


def survey(content: Content, framing: CsvFraming) -> Survey:
    """Read the whole content once: count its records and find what the fast parser cannot take.

    Raises:
        CorruptFileError: the compressed stream is broken or cut.
        LimitExceededError: a record is longer than the limit, or the content is.
    """
    counter = CsvCounter(framing)
    decoder = codecs.getincrementaldecoder("utf-8")()
    valid, rest = True, b""
    for block, final in content.blocks():
        valid = valid and _decodes(decoder, block, final=final)
        window = rest + block
        rest = window[counter.count(window, final=final) :]
    return Survey(
        counted=counter.counted,
        blank_lines=counter.blank_lines,
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
