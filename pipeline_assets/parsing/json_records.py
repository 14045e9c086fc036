"""JSON objects, one a line or joined without newlines, or both in one file; in UTF-8."""

import json
from collections.abc import Generator, Iterator
from functools import lru_cache
from typing import Final

import pyarrow as pa

from pipeline_assets.parsing.content import BLOCK_BYTES, RECORD_BYTES, Content
from pipeline_assets.parsing.json_framing import (
    BLANKS,
    MAX_DEPTH,
    count_records,
    ends_well,
    record_end,
    skip_blank,
    whole_lines,
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
    show,
    utf8_fault,
)

SURE_LENGTH: Final = RECORD_BYTES // 4
"""So many characters never take more bytes than a record may have."""

TEXT_BLANKS: Final = BLANKS.decode()
SHAPES: Final = 1024
"""Sets of names whose match is remembered."""


def read_json(content: Content, layout: Layout) -> Generator[pa.RecordBatch, None, int]:
    """Yield the records in file order; return how many the framing counted.

    What is no object, is not UTF-8, holds NaN, Infinity or half a surrogate pair, or is nested too
    deep is malformed and costs itself only; ``json_framing`` says where reading resumes.

    Raises:
        CorruptFileError: the gzip stream is broken or cut; before any batch.
    """
    counted = count_records(content)
    parser = _Parser(layout)
    rest = b""
    for block, final in content.blocks():
        window = rest + block
        used = whole_lines(window, final=final)
        if used:
            yield from parser.lines(window[:used])
            rest = window[used:]
        elif len(window) >= BLOCK_BYTES:
            used = yield from parser.walk(window, complete=False)
            rest = window[used:].lstrip(BLANKS)
        else:
            rest = window
    yield from parser.rest()
    return counted


class _Parser:
    """Decodes lines and parts of lines; independent of the count for every good record."""

    def __init__(self, layout: Layout) -> None:
        self._values = ValueReader()
        self._decode = self._values.decoder.raw_decode
        self._builder = BatchBuilder(layout)
        self._fields = layout.fields
        self._field_set = frozenset(layout.fields)
        self._match = lru_cache(SHAPES)(self._match_shape)
        self._line = 1

    def _match_shape(self, names: tuple[str, ...]) -> NameMatch:
        return match_names(names, self._fields)

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
                yield from self.walk(line, complete=True)
            elif not self._whole(line, surrogates=surrogates):
                yield from self.walk(line.encode(), complete=True)
            if self._builder.full:
                yield self._builder.take()

    def _whole(self, line: str, *, surrogates: bool) -> bool:
        """Take a line that is blank or one good object; say whether it was."""
        text = line.strip(TEXT_BLANKS)
        if not text:
            return True
        try:
            value, end = self._decode(text)
        except (ValueError, RecursionError):
            return False
        if end != len(text) or value.__class__ is not dict or end > SURE_LENGTH:
            return False
        if not is_shallow(text) or (surrogates and not is_unicode(value)):
            return False
        self._builder.add(self._arranged(value), end)
        return True

    def _arranged(self, record: JsonObject) -> tuple[str | None, ...]:
        as_text = self._values.as_text
        if record.keys() <= self._field_set:
            values, unknown = [*map(record.get, self._fields)], None
        else:
            names, received = self._match(tuple(record)), list(record.values())
            values = [None if at is None else received[at] for at in names.positions]
            unknown = {name: received[at] for name, at in names.unknown} or None
        return (
            *[value if value.__class__ is str else as_text(value) for value in values],
            as_text(unknown),
        )

    def walk(self, line: bytes, *, complete: bool) -> Generator[pa.RecordBatch, None, int]:
        """Take record after record of one line; return how many bytes could be decided."""
        text = line.decode("latin-1")  # keeps offsets equal to those of the bytes
        done, start = 0, skip_blank(line, 0)
        while start < len(line):
            found = self._object_at(text, line, start, complete=complete)
            end = found[1] if found else record_end(line, start, complete=complete)
            if end is None:
                break
            record = self._in_unicode(found[0], line[start:end]) if found else None
            if record is None:
                self._builder.add_malformed(self._malformed(line[done:end]))
            else:
                self._builder.add(self._arranged(record), end - start)
            if self._builder.full:
                yield self._builder.take()
            done, start = end, skip_blank(line, end)
        return done

    def _object_at(
        self, text: str, line: bytes, start: int, *, complete: bool
    ) -> tuple[JsonObject, int] | None:
        try:
            value, end = self._decode(text, start)
        except (ValueError, RecursionError):
            return None
        if value.__class__ is not dict or end - start > RECORD_BYTES:
            return None
        if not ends_well(line, end, complete=complete):
            return None
        deep = not is_shallow(text[start:end]) and too_deep(value)
        return None if deep else (value, end)

    def _in_unicode(self, value: JsonObject, raw: bytes) -> JsonObject | None:
        """The object in its own characters; null where they are none."""
        if not raw.isascii():
            if utf8_fault(raw):
                return None
            value = self._decode(raw.decode())[0]
        return None if _may_hold_surrogates(raw) and not is_unicode(value) else value

    def _malformed(self, raw: bytes) -> Malformed:
        raw = raw.rstrip(b"\r")
        return Malformed(show(raw), f"line {self._line}: {self._fault(raw)}")

    def _fault(self, raw: bytes) -> str:
        if len(raw) >= RECORD_BYTES:
            return f"longer than {RECORD_BYTES:,} bytes"
        if fault := utf8_fault(raw):
            return fault
        try:
            value = self._values.decoder.decode(raw.decode())
        except json.JSONDecodeError as error:
            return f"{error.msg} at character {error.pos + 1}"
        except (ValueError, RecursionError) as error:
            return str(error)
        return _fault_of_value(value)


def _fault_of_value(value: object) -> str:
    if not isinstance(value, dict):
        return "a JSON value, but no object"
    if too_deep(value):
        return f"nested deeper than {MAX_DEPTH} levels"
    return "half a surrogate pair is no character"


def _may_hold_surrogates(raw: bytes) -> bool:
    return b"\\ud" in raw or b"\\uD" in raw


def _decoded_lines(region: bytes) -> Iterator[str | bytes]:
    """Lines as text; those that are not UTF-8 as bytes."""
    try:
        yield from region.decode().split("\n")
    except UnicodeDecodeError:
        for line in region.split(b"\n"):
            yield line if utf8_fault(line) else line.decode()
