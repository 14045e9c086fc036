"""How a CSV file is written, told from its beginning: delimiter, escapes and the header's names."""

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Final

from pipeline_assets.errors import HeaderError, LimitExceededError
from pipeline_assets.parsing.content import HEAD_BYTES, Content
from pipeline_assets.parsing.csv_framing import CsvFraming, Dialect, Span
from pipeline_assets.parsing.encoding import show
from pipeline_assets.parsing.notes import EXAMPLE_CHARACTERS, Notes
from pipeline_assets.parsing.records import Layout, NameMatch, compact_json, match_names

DELIMITERS: Final = (",", ";", "\t", "|")
"""In the order in which one is taken where nothing decides."""
FIRST_RECORDS: Final = 100
"""So many records decide on the delimiter where the header's names do not."""
ESCAPED_QUOTE: Final = b'\\"'
ESCAPED: Final = re.compile(r'""|\\(["\\])')

QUOTED: Final = r'[^"]*+(?:""[^"]*+)*+'
QUOTED_WITH_ESCAPES: Final = r'[^"\\]*+(?:(?:""|\\[\s\S])[^"\\]*+)*+'


@dataclass(frozen=True, slots=True)
class Splitter:
    """Takes the values of one sound record apart.

    Attributes:
        split: its values, as they are meant.
        count: how many there are, without keeping them.
    """

    split: Callable[[str], list[str]]
    count: Callable[[str], int]


@cache
def splitter(dialect: Dialect) -> Splitter:
    """The splitter of a dialect."""
    delimiter, unquoted = dialect.delimiter, _unescaped if dialect.escapes else _undoubled
    quoted = QUOTED_WITH_ESCAPES if dialect.escapes else QUOTED
    escaped = re.escape(delimiter)
    value = re.compile(rf'(?:^|{escaped})(?:"({quoted})"|([^{escaped}]*+))')

    def split(text: str) -> list[str]:
        if '"' not in text:
            return text.split(delimiter)
        return [unquoted(quoted) if quoted else bare for quoted, bare in value.findall(text)]

    def count(text: str) -> int:
        if '"' not in text:
            return text.count(delimiter) + 1
        return sum(1 for _ in value.finditer(text))

    return Splitter(split, count)


def _undoubled(quoted: str) -> str:
    return quoted.replace('""', '"')


def _unescaped(quoted: str) -> str:
    return ESCAPED.sub(lambda found: found[1] or '"', quoted)


@dataclass(frozen=True, slots=True)
class Header:
    """The first record, and where the next one may begin (bytes, without byte order mark).

    Attributes:
        width: number of columns.
        columns: for each field its column, and the others under names of which none is twice.
        body: bytes up to the end of the header's line.
        blank_lines: how many lines of nothing but blanks stand before it.
    """

    width: int
    columns: NameMatch
    body: int
    blank_lines: int

    @property
    def rescued_bytes(self) -> int:
        """What ``_rescued`` takes in a row without values."""
        if not self.columns.unknown:
            return 0
        return len(compact_json({name: "" for name, _ in self.columns.unknown}).encode())


def is_blank(line: bytes) -> bool:
    """Whether a line before the header is left out: it has nothing but blanks, if anything."""
    return not line.strip()


def find_dialect(content: Content, layout: Layout) -> Dialect:
    """Tell the dialect from the first 64 KiB of text.

    The delimiter is the one with which the header names most of the fields, then the one with which
    most of the first records have as many values as the header; the dataset may fix it. Quotes are
    doubled, unless fewer records are faulty where a backslash is an escape: a value may well end in
    a backslash where quotes are doubled.
    """
    head = content.text_head
    fixed = layout.writing.delimiter
    delimiter = fixed or max(DELIMITERS, key=lambda each: _delimits(head, each, layout.fields))
    plain = Dialect(delimiter)
    escaping = Dialect(delimiter, escapes=True)
    return escaping if ESCAPED_QUOTE in head and _explains(head, escaping, plain) else plain


def _delimits(head: bytes, delimiter: str, fields: tuple[str, ...]) -> tuple[int, float]:
    """How many fields the header names, and the share of records that are as wide as it is."""
    dialect = Dialect(delimiter)
    widths = [len(values) for values in _head_values(head, dialect, FIRST_RECORDS)]
    names = next(_head_values(head, dialect, 1), [])
    named = sum(place is not None for place in match_names(names, fields).positions)
    if len(names) <= 1:
        return named, 0.0
    return named, widths.count(len(names)) / len(widths)


def _explains(head: bytes, escaping: Dialect, plain: Dialect) -> bool:
    """Whether escapes leave fewer records broken or ragged, and do not cost a sound one."""
    sound, faulty = _soundness(head, plain)
    sound_escaping, faulty_escaping = _soundness(head, escaping)
    return faulty_escaping < faulty and sound_escaping >= sound


def _soundness(head: bytes, dialect: Dialect) -> tuple[int, int]:
    """How many records are as wide as the header, and how many are not."""
    widths = [len(values) for values in _head_values(head, dialect, len(head))]
    sound = widths.count(widths[0]) if widths else 0
    return sound, len(widths) - sound


def _head_values(head: bytes, dialect: Dialect, most: int) -> Iterator[list[str]]:
    """The values of the first records; a broken record but the first has none."""
    for index, span in enumerate(islice(_head_spans(head, dialect), most)):
        text = show(head[span.start : span.end])
        if index == 0:
            yield _names(text, span.fault, dialect)
        else:
            yield [] if span.fault else splitter(dialect).split(text)


def _head_spans(head: bytes, dialect: Dialect) -> Iterator[Span]:
    """The records that end in the head, from the header on; that one although it does not."""
    framing = CsvFraming(dialect, "", len(head))
    cut, found = len(head) >= HEAD_BYTES, False
    for span in framing.spans(head, final=not cut):
        found = found or not is_blank(head[span.start : span.end])
        if found and span.end > span.start:
            yield span
    if not found:
        spans = framing.spans(head, final=True)
        yield from islice((s for s in spans if not is_blank(head[s.start : s.end])), 1)


def read_header(content: Content, framing: CsvFraming, layout: Layout) -> Header | None:
    """Read the first line that is not blank; null when there is none.

    A line of blanks before it names no field, also where they are its delimiter, and holds no
    value: it is left out and counted.

    Raises:
        HeaderError: it names none of the fields; taken for a header, it would be lost.
        LimitExceededError: it has more columns than the limit, or is longer than a record may be.
    """
    body = blank = 0
    for window, span in framing.records(content):
        body += span.stop - span.start
        raw = window[span.start : span.end]
        if is_blank(raw):
            blank += bool(raw)
        else:
            text = show(raw, content.encoding)
            _check_width(content.key, splitter(framing.dialect).count(text), layout)
            names = _names(text, span.fault, framing.dialect)
            columns = match_names(names, layout.fields)
            if all(place is None for place in columns.positions):
                raise HeaderError(content.key, text, layout.fields)
            layout.notes.count("blank_lines", blank)
            return Header(len(names), columns, body, blank)
    layout.notes.count("blank_lines", blank)
    return None


def mark_may_follow(content: Content, header: Header) -> bool:
    """Whether a byte order mark may begin the first record; some parsers would drop it there."""
    following = content.text_head[header.body : header.body + len(codecs.BOM_UTF8)]
    return following == codecs.BOM_UTF8 or header.body + len(codecs.BOM_UTF8) > HEAD_BYTES


def _check_width(key: str, found: int, layout: Layout) -> None:
    if found > layout.limits.columns:
        raise LimitExceededError(key, "columns", found, layout.limits.columns, "MAX_COLUMNS")


def _names(header: str, fault: str | None, dialect: Dialect) -> list[str]:
    """A header with a quote out of place is split at every delimiter: no name is lost."""
    if fault is None:
        return splitter(dialect).split(header)
    return [name.strip().strip('"') for name in header.split(dialect.delimiter)]


class Arrangement:
    """Puts the values of a record in the order of the fields, and counts the unknown ones."""

    def __init__(self, columns: NameMatch) -> None:
        self._columns = columns
        self._records = [0] * len(columns.unknown)
        self._examples = [""] * len(columns.unknown)

    def arranged(self, values: list[str]) -> tuple[str | None, ...]:
        """The text of each field, null for one without a column, and of ``_rescued``."""
        ordered = [None if at is None else values[at] for at in self._columns.positions]
        if not self._records:
            return (*ordered, None)
        unknown = {name: values[at] for name, at in self._columns.unknown}
        for index, value in enumerate(unknown.values()):
            if value:
                self._examples[index] = self._examples[index] or value[:EXAMPLE_CHARACTERS]
                self._records[index] += 1
        return (*ordered, compact_json(unknown))

    def note(self, notes: Notes) -> None:
        """Write down what was counted."""
        for index, (name, _) in enumerate(self._columns.unknown):
            notes.rescued(name, self._records[index], self._examples[index])
