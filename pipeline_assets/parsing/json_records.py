"""JSON records of a file in any of its forms: lines, joined objects, arrays, documents."""

from collections.abc import Generator, Iterator

import pyarrow as pa

from pipeline_assets.parsing.content import BLOCK_BYTES, Content
from pipeline_assets.parsing.json_documents import DocumentFraming, count_documents
from pipeline_assets.parsing.json_forms import Form, form_of
from pipeline_assets.parsing.json_framing import BLANKS, Bound, count_lines, whole_lines
from pipeline_assets.parsing.json_parser import JsonParser
from pipeline_assets.parsing.records import Layout


def read_json(content: Content, layout: Layout) -> Generator[pa.RecordBatch, None, int]:
    """Yield the records in file order; return how many the framing counted.

    What is no object, is not UTF-8, holds half a surrogate pair, or is nested too deep is
    malformed and costs itself only; ``json_framing`` and ``json_documents`` say where reading
    resumes. Memory holds one record, a block and a batch.

    Raises:
        CorruptFileError: the compressed stream is broken or cut, or the text around the records
            is no JSON or leads to none; before any batch.
        LimitExceededError: a record is too long, before any batch; or an object has too many
            names.
    """
    bound = Bound(content.key, layout.limits.record_bytes)
    path = layout.writing.records_path
    form = form_of(content.text_head, path, layout.fields)
    parser = JsonParser(layout, bound, content.encoding)
    if form is Form.LINES:
        counted = count_lines(content, bound)
        yield from _lines(content, parser)
    else:
        path = path if form is Form.HELD else ()
        counted = count_documents(content, bound, path)
        yield from _documents(content, parser, DocumentFraming(bound, path))
    yield from parser.rest()
    return counted


def _lines(content: Content, parser: JsonParser) -> Iterator[pa.RecordBatch]:
    rest = b""
    for block, final in content.blocks():
        window = rest + block
        used = whole_lines(window, final=final)
        if used:
            yield from parser.lines(window[:used])
            rest = window[used:]
        elif len(window) >= BLOCK_BYTES:
            used = yield from parser.part(window)
            rest = window[used:].lstrip(BLANKS)
        else:
            rest = window


def _documents(
    content: Content, parser: JsonParser, framing: DocumentFraming
) -> Iterator[pa.RecordBatch]:
    for block, final in content.blocks():
        framing.feed(block, final=final)
        yield from parser.walk(framing)
    if framing.cut:
        parser.add_cut(framing.line(len(framing.window)))
