"""CSV with a header line, in UTF-8 by the time it comes here, whatever its delimiter and quoting.

pyarrow parses the file where a survey of its bytes shows nothing that pyarrow would refuse or
read leniently; everything else is split here, record by record as the framing finds them.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from pipeline_assets.parsing.compression import check_ratio
from pipeline_assets.parsing.content import BLOCK_BYTES, Content
from pipeline_assets.parsing.csv_dialect import (
    Arrangement,
    Header,
    Splitter,
    find_dialect,
    is_blank,
    mark_may_follow,
    read_header,
    splitter,
)
from pipeline_assets.parsing.csv_framing import CsvFraming, Survey, line_ends, survey
from pipeline_assets.parsing.csv_stream import UnsplitLineEnds, skip
from pipeline_assets.parsing.encoding import decoding_fault, show
from pipeline_assets.parsing.notes import Notes
from pipeline_assets.parsing.records import (
    BATCH_BYTES,
    ERROR,
    RAW,
    ROW,
    BatchBuilder,
    Layout,
    Malformed,
    NameMatch,
    json_objects,
    record_schema,
)

FAST_BLOCK_BYTES: Final = 4 * BLOCK_BYTES
FAST_RECORD_BYTES: Final = BLOCK_BYTES
"""pyarrow fails on a record longer than its block; longer ones than this are split here."""
LONG_RECORD: Final = 64 * 1024
"""The values of a longer record are counted first: a line of delimiters would fill memory."""


class _ExactNeededError(Exception):
    """A rejected row's line number cannot be told from its ordinal."""


@dataclass(frozen=True, slots=True)
class _File:
    """A file of which the beginning is understood."""

    content: Content
    framing: CsvFraming
    splits: Splitter
    header: Header
    facts: Survey

    @property
    def fast(self) -> bool:
        """Whether pyarrow reads it as the framing does."""
        facts = self.facts
        sound = facts.quotes_sound and facts.valid_utf8 and facts.longest <= FAST_RECORD_BYTES
        return sound and not mark_may_follow(self.content, self.header)

    @property
    def rows(self) -> int:
        """Records below the header."""
        return self.facts.counted - self.header.blank_lines - 1


def read_csv(content: Content, layout: Layout) -> Generator[pa.RecordBatch, None, int]:
    """Yield the records in file order; return how many the framing counted.

    A record with more or fewer values than the header, with bytes that are not UTF-8, or with a
    quote that is not closed is malformed. An empty value is empty text.

    Raises:
        CorruptFileError: the compressed stream is broken or cut; before any batch.
        HeaderError: the first line names none of the fields; taken for a header, it would be lost.
        LimitExceededError: a record is too long, the header too wide, or its names are too long
            for so many records to repeat them; before any batch.
    """
    file = _understand(content, layout)
    if file is None:
        return 0
    yielded = 0
    if file.fast:
        try:
            for batch in _fast(file, layout):
                yield batch
                yielded += batch.num_rows
        except (pa.ArrowInvalid, _ExactNeededError):
            layout.notes.unknown.clear()
            yield from _after(yielded, _exact(file, layout))
    else:
        yield from _exact(file, layout)
    return file.rows


def _understand(content: Content, layout: Layout) -> _File | None:
    """Survey the whole file and read its header; null when there is none."""
    framing = CsvFraming(find_dialect(content, layout), content.key, layout.limits.record_bytes)
    facts = survey(content, framing)
    layout.notes.count("blank_lines", facts.blank_lines)
    header = read_header(content, framing, layout)
    if header is None:
        return None
    layout.notes.facts["delimiter"] = framing.dialect.delimiter
    file = _File(content, framing, splitter(framing.dialect), header, facts)
    _check_repeated(file, layout)
    return file


def _check_repeated(file: _File, layout: Layout) -> None:
    """Refuse a header whose names, in ``_rescued`` of every row, are too much for the file."""
    repeated, stored = file.rows * file.header.rescued_bytes, file.content.path.stat().st_size
    check_ratio(file.content.key, repeated, stored, layout.limits.ratio, how="repeated names'")


def _after(yielded: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        rest = batch.slice(max(0, yielded - (batch[ROW][0].as_py() - 1)))
        if rest.num_rows:
            yield rest


# The fast path: pyarrow parses, the ordinals of good rows are what the rejects leave.


def _fast(file: _File, layout: Layout) -> Iterator[pa.RecordBatch]:
    if not file.rows:
        return
    first, rejects = 1, list[pa_csv.InvalidRow]()
    repeated = file.header.rescued_bytes
    for parsed in _parsed(file, rejects):
        _check_lines(rejects, file.facts)
        for portion in _portions(parsed, repeated):
            good = _good_rows(portion, file.header.columns, layout)
            batch, first = _numbered(good, rejects, first, file, layout)
            yield from _sliced(batch, layout.batch_rows)
    _check_lines(rejects, file.facts)
    batch, _ = _numbered(record_schema(layout.fields).empty_table(), rejects, first, file, layout)
    yield from _sliced(batch, layout.batch_rows)


def _portions(parsed: pa.RecordBatch, rescued_bytes: int) -> Iterator[pa.RecordBatch]:
    """Parts of so few rows that what each repeats of the header is no more than a batch."""
    rows = max(1, BATCH_BYTES // max(1, rescued_bytes))
    for start in range(0, parsed.num_rows, rows):
        yield parsed.slice(start, rows)


def _check_lines(rejects: list[pa_csv.InvalidRow], facts: Survey) -> None:
    if rejects and not facts.one_line_each:
        raise _ExactNeededError


def _parsed(file: _File, rejects: list[pa_csv.InvalidRow]) -> Iterator[pa.RecordBatch]:
    names = [str(index) for index in range(file.header.width)]

    def reject(row: pa_csv.InvalidRow) -> str:
        rejects.append(row)
        return "skip"

    with file.content.open() as stream:
        skip(stream, file.header.body)
        yield from pa_csv.open_csv(
            UnsplitLineEnds(stream),
            read_options=pa_csv.ReadOptions(
                use_threads=False, column_names=names, block_size=FAST_BLOCK_BYTES
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=file.framing.dialect.delimiter,
                newlines_in_values=True,
                invalid_row_handler=reject,
            ),
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
    rescued = _rescued(parsed, columns, layout.notes)
    arrays = [pa.nulls(rows, pa.int64()), null, null, *fields, rescued]
    return pa.table(arrays, schema=record_schema(layout.fields))


def _rescued(parsed: pa.RecordBatch, columns: NameMatch, notes: Notes) -> pa.Array:
    if not columns.unknown:
        return pa.nulls(parsed.num_rows, pa.large_string())
    unknown = {name: pl.Series(parsed.column(at)) for name, at in columns.unknown}
    for name, values in unknown.items():
        present = values.filter(values != "")
        if len(present):
            notes.rescued(name, len(present), str(present[0]))
    return json_objects(pl.DataFrame(unknown))


def _numbered(
    good: pa.Table, rejects: list[pa_csv.InvalidRow], first: int, file: _File, layout: Layout
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
    malformed = _malformed_rows(rejects[:due], file.header.blank_lines + 1, layout)
    del rejects[:due]
    return pa.concat_tables([numbered, malformed]).sort_by(ROW), after


def _malformed_rows(rejects: list[pa_csv.InvalidRow], header_line: int, layout: Layout) -> pa.Table:
    schema = record_schema(layout.fields)
    known = {
        ROW: [row.number for row in rejects],
        RAW: [row.text for row in rejects],
        ERROR: [
            _ragged(header_line + row.number, row.actual_columns, row.expected_columns)
            for row in rejects
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


def _exact(file: _File, layout: Layout) -> Iterator[pa.RecordBatch]:
    builder, arrangement = BatchBuilder(layout), Arrangement(file.header.columns)
    for line, raw, fault in _body(file):
        parsed = _parse(line, raw, fault, file)
        if isinstance(parsed, Malformed):
            builder.add_malformed(parsed)
        else:
            values = arrangement.arranged(parsed)
            builder.add(values, len(raw) + len(values[-1] or ""))
        if builder.full:
            yield builder.take()
    arrangement.note(layout.notes)
    if not builder.empty:
        yield builder.take()


def _body(file: _File) -> Iterator[tuple[int, bytes, str | None]]:
    """Each record after the header: the line it begins on, its bytes, the framing's fault."""
    line, header_seen = 1, False
    for window, span in file.framing.records(file.content):
        raw = window[span.start : span.end]
        if header_seen and raw:
            yield line, raw, span.fault
        header_seen = header_seen or not is_blank(raw)
        line += (span.stop > span.end) + line_ends(raw)


def _parse(line: int, raw: bytes, fault: str | None, file: _File) -> list[str] | Malformed:
    encoding = file.content.encoding
    fault = fault or (None if raw.isascii() else decoding_fault(raw, encoding))
    if fault is not None:
        return Malformed(show(raw, encoding), f"line {line}: {fault}")
    text, expected = raw.decode(), file.header.width
    if len(text) > LONG_RECORD and (found := file.splits.count(text)) != expected:
        return Malformed(text, _ragged(line, found, expected))
    values = file.splits.split(text)
    if len(values) != expected:
        return Malformed(text, _ragged(line, len(values), expected))
    return values
