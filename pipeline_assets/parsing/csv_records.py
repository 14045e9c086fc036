"""CSV with a header line, comma separated and quoted as in RFC 4180, in UTF-8.

pyarrow parses the file where a survey of its bytes shows nothing that pyarrow would refuse or
read leniently; everything else is split here, record by record as the framing finds them.
"""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from pipeline_assets.errors import HeaderError
from pipeline_assets.parsing.content import BLOCK_BYTES, BYTE_ORDER_MARK, Content
from pipeline_assets.parsing.csv_framing import CsvFraming, Span, Survey, survey
from pipeline_assets.parsing.records import (
    ERROR,
    RAW,
    ROW,
    BatchBuilder,
    Layout,
    Malformed,
    NameMatch,
    compact_json,
    match_names,
    record_schema,
    show,
    utf8_fault,
)

FAST_BLOCK_BYTES: Final = 4 * BLOCK_BYTES
FAST_RECORD_BYTES: Final = BLOCK_BYTES
"""pyarrow fails on a record longer than its block; longer ones than this are split here."""

CELL: Final = re.compile(r'(?:^|,)(?:"([^"]*+(?:""[^"]*+)*+)"|([^,]*+))')


class _ExactNeededError(Exception):
    """A rejected row's line number cannot be told from its ordinal."""


@dataclass(frozen=True, slots=True)
class _Header:
    """Column names, and where the first record begins (bytes, after any byte order mark)."""

    names: tuple[str, ...]
    body: int


def read_csv(content: Content, layout: Layout) -> Generator[pa.RecordBatch, None, int]:
    """Yield the records in file order; return how many the framing counted.

    A record with more or fewer values than the header, with bytes that are not UTF-8, or with a
    quote that is not closed is malformed. An empty value is empty text.

    Raises:
        CorruptFileError: the gzip stream is broken or cut; before any batch.
        HeaderError: the first line names none of the fields; taken for a header, it would be lost.
    """
    facts = survey(content)
    header = _read_header(content)
    if header is None:
        return 0
    if not any(place is not None for place in match_names(header.names, layout.fields).positions):
        raise HeaderError(content.key, ",".join(header.names), layout.fields)
    yielded = 0
    if facts.quotes_sound and facts.valid_utf8 and facts.longest <= FAST_RECORD_BYTES:
        try:
            for batch in _fast(content, header, layout, facts):
                yield batch
                yielded += batch.num_rows
        except (pa.ArrowInvalid, _ExactNeededError):
            yield from _after(yielded, _exact(content, header, layout))
    else:
        yield from _exact(content, header, layout)
    return facts.counted - 1


def _after(yielded: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        rest = batch.slice(max(0, yielded - (batch[ROW][0].as_py() - 1)))
        if rest.num_rows:
            yield rest


def _windows(content: Content, framing: CsvFraming) -> Iterator[tuple[bytes, Span]]:
    rest = b""
    for block, final in content.blocks():
        window, used = rest + block, 0
        for span in framing.spans(window, final=final):
            yield window, span
            used = span.stop
        rest = window[used:]


def _read_header(content: Content) -> _Header | None:
    consumed = 0
    for window, span in _windows(content, CsvFraming()):
        consumed += span.stop - span.start
        if span.end > span.start:
            names = _cells(show(window[span.start : span.end]))
            return _Header(tuple(names), consumed)
    return None


def _cells(text: str) -> list[str]:
    if '"' not in text:
        return text.split(",")
    return [quoted.replace('""', '"') or plain for quoted, plain in CELL.findall(text)]


# The fast path: pyarrow parses, the ordinals of good rows are what the rejects leave.


def _fast(
    content: Content, header: _Header, layout: Layout, facts: Survey
) -> Iterator[pa.RecordBatch]:
    if facts.counted == 1:
        return
    rejects: list[pa_csv.InvalidRow] = []
    columns = match_names(header.names, layout.fields)
    first = 1
    for parsed in _parsed(content, header, rejects):
        if rejects and not facts.one_line_each:
            raise _ExactNeededError
        good = _good_rows(parsed, columns, layout)
        batch, first = _numbered(good, rejects, first, layout)
        yield from _sliced(batch, layout.batch_rows)
    batch, _ = _numbered(record_schema(layout.fields).empty_table(), rejects, first, layout)
    yield from _sliced(batch, layout.batch_rows)


def _parsed(
    content: Content, header: _Header, rejects: list[pa_csv.InvalidRow]
) -> Iterator[pa.RecordBatch]:
    names = [str(index) for index in range(len(header.names))]

    def reject(row: pa_csv.InvalidRow) -> str:
        rejects.append(row)
        return "skip"

    with content.open() as stream:
        mark = content.head.startswith(BYTE_ORDER_MARK)
        stream.read(header.body + (len(BYTE_ORDER_MARK) if mark else 0))
        yield from pa_csv.open_csv(
            stream,
            read_options=pa_csv.ReadOptions(
                use_threads=False, column_names=names, block_size=FAST_BLOCK_BYTES
            ),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=reject),
            convert_options=pa_csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(names, pa.large_string()),
                strings_can_be_null=False,
            ),
        )


def _good_rows(parsed: pa.RecordBatch, columns: NameMatch, layout: Layout) -> pa.Table:
    """The schema's columns, still without ordinals."""
    rows = parsed.num_rows
    null = pa.nulls(rows, pa.large_string())
    fields = [null if at is None else parsed.column(at) for at in columns.positions]
    arrays = [pa.nulls(rows, pa.int64()), null, null, *fields, _rescued(parsed, columns)]
    return pa.table(arrays, schema=record_schema(layout.fields))


def _rescued(parsed: pa.RecordBatch, columns: NameMatch) -> pa.Array:
    if not columns.unknown:
        return pa.nulls(parsed.num_rows, pa.large_string())
    unknown = {name: pl.Series(parsed.column(at)) for name, at in columns.unknown}
    encoded = pl.DataFrame(unknown).select(pl.struct(pl.all()).struct.json_encode())
    return encoded.to_series().to_arrow().cast(pa.large_string())


def _numbered(
    good: pa.Table, rejects: list[pa_csv.InvalidRow], first: int, layout: Layout
) -> tuple[pa.Table, int]:
    """Give the good rows the ordinals that the rejects leave, and put the rejects between them."""
    after, due = first + good.num_rows, 0
    while due < len(rejects) and rejects[due].number <= after:
        due, after = due + 1, after + 1
    taken = [row.number for row in rejects[:due]]
    ordinals = np.setdiff1d(np.arange(first, after), taken, assume_unique=True)
    numbered = good.set_column(0, record_schema(()).field(ROW), pa.array(ordinals, pa.int64()))
    if not due:
        return numbered, after
    malformed = _malformed_rows(rejects[:due], layout)
    del rejects[:due]
    return pa.concat_tables([numbered, malformed]).sort_by(ROW), after


def _malformed_rows(rejects: list[pa_csv.InvalidRow], layout: Layout) -> pa.Table:
    schema = record_schema(layout.fields)
    known = {
        ROW: [row.number for row in rejects],
        RAW: [row.text for row in rejects],
        ERROR: [
            _ragged(row.number + 1, row.actual_columns, row.expected_columns) for row in rejects
        ],
    }
    arrays = [
        pa.array(known.get(field.name, [None] * len(rejects)), field.type) for field in schema
    ]
    return pa.table(arrays, schema=schema)


def _sliced(table: pa.Table, batch_rows: int) -> Iterator[pa.RecordBatch]:
    yield from table.combine_chunks().to_batches(max_chunksize=batch_rows)


def _ragged(line: int, found: int, expected: int) -> str:
    return f"line {line}: {found} values where the header names {expected}"


# The exact path: the framing finds each record, and what is wrong with one costs only that one.


def _exact(content: Content, header: _Header, layout: Layout) -> Iterator[pa.RecordBatch]:
    columns = match_names(header.names, layout.fields)
    builder = BatchBuilder(layout)
    for line, raw, fault in _body(content):
        parsed = _parse(line, raw, fault, len(header.names))
        if isinstance(parsed, Malformed):
            builder.add_malformed(parsed)
        else:
            builder.add(_arranged(parsed, columns), len(raw))
        if builder.full:
            yield builder.take()
    if not builder.empty:
        yield builder.take()


def _body(content: Content) -> Iterator[tuple[int, bytes, str | None]]:
    """Each record after the header: the line it begins on, its bytes, the framing's fault."""
    line, header_seen = 1, False
    for window, span in _windows(content, CsvFraming()):
        raw = window[span.start : span.end]
        if raw:
            if header_seen:
                yield line, raw, span.fault
            header_seen = True
        line += (span.stop > span.end) + _line_ends(raw)


def _line_ends(raw: bytes) -> int:
    found = raw.count(b"\n")
    return found + raw.count(b"\r") - raw.count(b"\r\n") if b"\r" in raw else found


def _parse(line: int, raw: bytes, fault: str | None, expected: int) -> list[str] | Malformed:
    fault = fault or utf8_fault(raw)
    if fault is not None:
        return Malformed(show(raw), f"line {line}: {fault}")
    text = raw.decode()
    cells = _cells(text)
    if len(cells) != expected:
        return Malformed(text, _ragged(line, len(cells), expected))
    return cells


def _arranged(cells: list[str], columns: NameMatch) -> tuple[str | None, ...]:
    values = (None if at is None else cells[at] for at in columns.positions)
    unknown = {name: cells[at] for name, at in columns.unknown}
    return (*values, compact_json(unknown) if unknown else None)
