"""Decodes JSON records, and says of those that are malformed what is wrong with them."""

import json
from collections.abc import Generator, Iterator
from typing import Final

import pyarrow as pa

from pipeline_assets.errors import LimitExceededError
from pipeline_assets.parsing.encoding import decoding_fault, show
from pipeline_assets.parsing.json_framing import (
    BLANKS,
    TOO_DEEP,
    Bound,
    Framing,
    LineFraming,
)
from pipeline_assets.parsing.json_values import (
    JsonObject,
    ValueReader,
    is_shallow,
    is_unicode,
    too_deep,
)
from pipeline_assets.parsing.records import (
    BatchBuilder,
    Layout,
    Malformed,
    NameMatch,
    match_names,
)

TEXT_BLANKS: Final = BLANKS.decode()
SHAPES_BYTES: Final = 32 * 1024 * 1024
"""About so much memory is taken by names whose match is remembered."""
NAME_BYTES: Final = 256
"""Of a name that is remembered, beside its text: two references, and its place among others."""
WORST_CHARACTER: Final = 4
"""Most bytes of a character in UTF-8."""


class _Shapes:
    """Matches names, and remembers the matches until they take too much memory."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        self._fields = fields
        self._known: dict[tuple[str, ...], NameMatch] = {}
        self.bytes = 0

    def match(self, names: tuple[str, ...]) -> NameMatch:
        found = self._known.get(names)
        if found is None:
            found = match_names(names, self._fields)
            self._remember(names, found)
        return found

    def _remember(self, names: tuple[str, ...], match: NameMatch) -> None:
        size = NAME_BYTES * (len(names) + 1) + WORST_CHARACTER * sum(map(len, names))
        if self.bytes + size > SHAPES_BYTES:
            self._known.clear()
            self.bytes = 0
        if size <= SHAPES_BYTES:
            self._known[names] = match
            self.bytes += size


class JsonParser:
    """Makes batches of records; finds the end of every good one without the framing's help."""

    def __init__(self, layout: Layout, bound: Bound, encoding: str = "utf-8") -> None:
        self._values = ValueReader()
        self._decode = self._values.decoder.raw_decode
        self._builder = BatchBuilder(layout)
        self._layout = layout
        self._bound = bound
        self._fields = layout.fields
        self._field_set = frozenset(layout.fields)
        self._most_names = layout.limits.columns
        self._sure_length = bound.record_bytes // WORST_CHARACTER
        self._encoding = encoding
        self._shapes = _Shapes(layout.fields)
        self._line = 1

    def rest(self) -> Iterator[pa.RecordBatch]:
        """The last batch."""
        if not self._builder.empty:
            yield self._builder.take()

    def lines(self, region: bytes) -> Iterator[pa.RecordBatch]:
        """Complete lines, the last one with or without its newline."""
        first, surrogates = self._line, _may_hold_surrogates(region)
        for offset, line in enumerate(_decoded_lines(region)):
            self._line = first + offset
            if isinstance(line, bytes):
                yield from self.walk(self._framing(line, complete=True))
            elif not self._whole(line, surrogates=surrogates):
                yield from self.walk(self._framing(line.encode(), complete=True))
            if self._builder.full:
                yield self._builder.take()

    def part(self, window: bytes) -> Generator[pa.RecordBatch, None, int]:
        """What can be decided of an incomplete line; return its length."""
        framing = self._framing(window, complete=False)
        yield from self.walk(framing)
        return framing.done

    def _framing(self, line: bytes, *, complete: bool) -> LineFraming:
        return LineFraming(line, self._bound, complete=complete, number=self._line)

    def _whole(self, line: str, *, surrogates: bool) -> bool:
        """Take a line that is blank or one good object; say whether it was."""
        text = line.strip(TEXT_BLANKS)
        if not text:
            return True
        try:
            value, end = self._decode(text)
        except (ValueError, RecursionError):
            return False
        if end != len(text) or value.__class__ is not dict or end > self._sure_length:
            return False
        if not is_shallow(text) or (surrogates and not is_unicode(value)):
            return False
        self._add(value, end)
        return True

    def _add(self, record: JsonObject, size: int) -> None:
        if len(record) > self._most_names:
            raise LimitExceededError(
                self._bound.key,
                "names in an object",
                len(record),
                self._most_names,
                "MAX_COLUMNS",
            )
        if self._values.repeated:
            self._values.repeated = False
            self._layout.notes.count("repeated_keys")
        self._builder.add(self._arranged(record), size)

    def _arranged(self, record: JsonObject) -> tuple[str | None, ...]:
        as_text = self._values.as_text
        if record.keys() <= self._field_set:
            values, unknown = [*map(record.get, self._fields)], None
        else:
            names, received = self._shapes.match(tuple(record)), list(record.values())
            values = [None if at is None else received[at] for at in names.positions]
            unknown = {name: received[at] for name, at in names.unknown} or None
            if unknown:
                self._note(unknown)
        return (
            *[value if value.__class__ is str else as_text(value) for value in values],
            as_text(unknown),
        )

    def _note(self, unknown: JsonObject) -> None:
        notes = self._layout.notes
        for name, value in unknown.items():
            example = "" if notes.knows(name) else self._values.as_text(value) or "null"
            notes.rescued(name, 1, example)

    def walk(self, framing: Framing) -> Iterator[pa.RecordBatch]:
        """Take record after record until more of the text is needed."""
        text = framing.window.decode("latin-1")  # keeps offsets equal to those of the bytes
        doubtful = False
        while (start := framing.start()) is not None:
            found = None if doubtful else self._object_at(text, start, framing)
            end = found[1] if found else framing.end(start)
            if end is None:
                return
            raw = framing.window[start:end]
            if found:
                record = self._in_unicode(found[0], raw)
            else:
                # The standard library counts the lines before each fault: only once in a window.
                record, doubtful = self._object_of(raw) if doubtful else None, True
            if record is None:
                self._refuse(framing.raw(end), framing.line(start))
            else:
                self._add(record, end - start)
            framing.take(end)
            if self._builder.full:
                yield self._builder.take()

    def _object_at(self, text: str, start: int, framing: Framing) -> tuple[JsonObject, int] | None:
        try:
            value, end = self._decode(text, start)
        except (ValueError, RecursionError):
            return None
        if value.__class__ is not dict or end - start > self._bound.record_bytes:
            return None
        if not framing.ends_well(end):
            return None
        deep = not is_shallow(text[start:end]) and too_deep(value)
        return None if deep else (value, end)

    def _in_unicode(self, value: JsonObject, raw: bytes) -> JsonObject | None:
        """The object in its own characters; null where they are none."""
        if not raw.isascii():
            if decoding_fault(raw):
                return None
            value = self._decode(raw.decode())[0]
        return None if _may_hold_surrogates(raw) and not is_unicode(value) else value

    def _object_of(self, raw: bytes) -> JsonObject | None:
        try:
            value = self._values.decoder.decode(raw.decode())
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) and _fault_of_value(value) is None else None

    def _refuse(self, raw: bytes, line: int) -> None:
        error = f"line {line}: {self._fault(raw)}"
        self._builder.add_malformed(Malformed(show(raw, self._encoding), error))
        self._values.repeated = False

    def add_cut(self, line: int) -> None:
        """Add a record for those that may have followed where a file was cut."""
        error = f"line {line}: the file ends within its array: it is cut, records may be missing"
        self._builder.add_malformed(Malformed("", error))

    def _fault(self, raw: bytes) -> str:
        if fault := decoding_fault(raw, self._encoding):
            return fault
        try:
            value = self._values.decoder.decode(raw.decode())
        except json.JSONDecodeError as error:
            return f"{error.msg} at character {error.pos + 1}"
        except RecursionError:
            return TOO_DEEP
        except ValueError as error:
            return str(error)
        return _fault_of_value(value) or "what follows it does not belong there"


def _fault_of_value(value: object) -> str | None:
    if not isinstance(value, dict):
        return "a JSON value, but no object"
    if too_deep(value):
        return TOO_DEEP
    return None if is_unicode(value) else "half a surrogate pair is no character"


def _may_hold_surrogates(raw: bytes) -> bool:
    return b"\\ud" in raw or b"\\uD" in raw


def _decoded_lines(region: bytes) -> Iterator[str | bytes]:
    """Lines as text; those that are not UTF-8 as bytes."""
    try:
        yield from region.decode().split("\n")
    except UnicodeDecodeError:
        for line in region.split(b"\n"):
            yield line if decoding_fault(line) else line.decode()
