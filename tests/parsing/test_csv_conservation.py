"""Whatever the bytes of a CSV file: rows are what is counted, and no text of a record is lost."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from landed_bytes import Read, Reader, Row

from pipeline_assets.errors import (
    CorruptFileError,
    HeaderError,
    LandfallError,
    LimitExceededError,
    UnsupportedFormatError,
)
from pipeline_assets.parsing import content, csv_records
from pipeline_assets.parsing.content import Content
from pipeline_assets.parsing.csv_records import _exact, _ExactNeededError, _fast, _understand
from pipeline_assets.parsing.formats import Format
from pipeline_assets.parsing.records import Layout

ANY_FILE = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))

EVIDENCE = '"x\\"y"D1\n' * 70
"""More rows that only escapes make sound than a body of 60 pieces has others."""
delimiters = st.sampled_from(",;\t|")
line_ends = st.sampled_from(["\n", "\r\n", "\r"])
pieces = st.sampled_from(
    [
        *("a", "b", " ", "é", "\0", "\ufeff", "\u2028", "\x1c", ",", ";", "D", "D", "D"),
        *("\n", "\n", "\r", "\r\n", "\n\n", '"', '"', '""', "\\", '\\"', '"xD\ny"', "\n1D2\n"),
    ]
)
bodies = st.lists(pieces, max_size=60).map("".join)
lines = st.sampled_from(
    [
        *("1D2\n", "éD\0\n", "\ufeff1D\ufeff\n", "D\r", "D\n", " D \x1f\r\n", "\\D\\\n"),
        *('"x""D\ny"D\n', '""D""\n', '"\r"D"\r\n"\n', '"D"D""""\n', "1\n", "1D2D3\n", "\n"),
    ]
)
tidy_bodies = st.lists(lines, max_size=30).map("".join)
parts = st.lists(st.tuples(pieces, st.sampled_from([b"", b"", b"", b"\xff", b"\xc3"])), max_size=40)
texts = st.text(st.sampled_from('ab,;\t|"\\\n\r é\0\ufeff\x1f\U0001f600'), max_size=8)
tables = st.lists(st.lists(texts, min_size=3, max_size=3), max_size=12)


@contextmanager
def blocks_of(size: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "BLOCK_BYTES", size)
        yield


def filled(body: str, delimiter: str) -> bytes:
    return f"aDb\n{body}".replace("D", delimiter).encode()


def doubling(value: str, delimiter: str, *, always: bool) -> str:
    if always or set(value) & {delimiter, '"', "\r", "\n"}:
        return '"{}"'.format(value.replace('"', '""'))
    return value


def escaping(value: str) -> str:
    return '"{}"'.format(re.sub(r'(["\\])', r"\\\1", value))


def value_end(text: str, value: str, *, escapes: bool) -> int:
    """Where the value ends that the text begins with; it must be the given one."""
    if not text.startswith('"'):
        assert text.startswith(value)
        return len(value)
    position, meant = 1, ""
    while not re.match(r'"(?!")', text[position:]):
        pair = text[position : position + 2]
        assert pair
        step = 2 if pair == '""' or (escapes and pair[0] == "\\") else 1
        meant += pair[1] if pair in {'""', *(['\\"', "\\\\"] * escapes)} else pair[:step]
        position += step
    assert meant == value
    return position + 1


def check_all_text_is_there(source: bytes, found: Read, *, escapes: bool = False) -> None:
    """Each row stands in the file where the last one ended, with nothing but line ends between."""
    delimiter = str(found.notes.facts["delimiter"])
    rest = source.decode("utf-8", "backslashreplace").removeprefix(f"a{delimiter}b")
    for row in found.rows:
        assert rest[0] in "\r\n"
        rest = rest.lstrip("\r\n")
        if row["_error"] is None:
            rest = rest[value_end(rest, str(row["a"]), escapes=escapes) :]
            assert rest[0] == delimiter
            rest = rest[1:]
            rest = rest[value_end(rest, str(row["b"]), escapes=escapes) :]
        else:
            assert row["_raw"]
            assert rest.startswith(str(row["_raw"]))
            rest = rest.removeprefix(str(row["_raw"]))
    assert rest.strip("\r\n") == ""
    assert found.counted == len(found.rows)


@ANY_FILE
@given(bodies, delimiters)
def test_all_text_is_in_the_rows_where_quotes_are_doubled(
    read: Reader, body: str, delimiter: str
) -> None:
    source = filled(body.replace("\\", ""), delimiter)
    found = read(source, "f.csv")
    assert found.notes.facts["delimiter"] == delimiter
    check_all_text_is_there(source, found)


@ANY_FILE
@given(bodies, delimiters)
def test_all_text_is_in_the_rows_where_quotes_are_escaped(
    read: Reader, body: str, delimiter: str
) -> None:
    source = filled(EVIDENCE + body, delimiter)
    found = read(source, "f.csv")
    assert found.good[0]["a"] == 'x"y'
    check_all_text_is_there(source, found, escapes=True)


@ANY_FILE
@given(parts, delimiters)
def test_bytes_that_are_not_utf8_lose_no_text_either(
    read: Reader, parts: list[tuple[str, bytes]], delimiter: str
) -> None:
    mixed = b"".join(
        text.replace("\\", "").replace("D", delimiter).encode() + byte for text, byte in parts
    )
    source = filled("", delimiter) + mixed
    check_all_text_is_there(source, read(source, "f.csv"))


@ANY_FILE
@given(bodies, st.integers(1, 40), st.integers(4, 80))
@pytest.mark.parametrize("evidence", ["", EVIDENCE])
def test_what_is_read_does_not_depend_on_where_blocks_end(
    read: Reader, evidence: str, body: str, block: int, record_bytes: int
) -> None:
    outcomes: list[object] = []
    for size in (block, 4096):
        with blocks_of(size):
            try:
                found = read(filled(evidence + body, ","), "f.csv", record_bytes=record_bytes)
            except LandfallError as error:
                outcomes.append([str(error)])
            else:
                assert found.counted == len(found.rows)
                outcomes.append([found.rows, found.notes])
    assert outcomes[0] == outcomes[1]


@ANY_FILE
@given(st.one_of(bodies, tidy_bodies), delimiters, st.sampled_from([64, 4096]))
@pytest.mark.parametrize("blanks", [b"", b" \n\t\n"], ids=["", "blanks"])
def test_the_fast_path_reads_nothing_otherwise_than_the_exact_one(
    tmp_path_factory: pytest.TempPathFactory, blanks: bytes, body: str, delimiter: str, block: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "paths.csv"
    path.write_bytes(blanks + filled(body, delimiter))
    fast, exact = Layout(("b",), batch_rows=7), Layout(("b",))
    file = _understand(Content(path, "f.csv"), fast)
    assert file is not None
    rows = [row for batch in _exact(file, exact) for row in batch.to_pylist()]
    assert len(rows) == file.rows
    found: list[Row] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_records, "FAST_BLOCK_BYTES", block)
        patch.setattr(csv_records, "BATCH_BYTES", block // 2)
        try:
            for batch in _fast(file, fast) if file.fast else ():
                found += batch.to_pylist()
        except (pa.ArrowInvalid, _ExactNeededError):
            assert found == rows[: len(found)]
            return
    assert found == (rows if file.fast else [])
    assert not file.fast or fast.notes.unknown == exact.notes.unknown


@pytest.mark.parametrize("always", [True, False])
@ANY_FILE
@given(rows=tables, delimiter=delimiters, end=line_ends)
def test_sound_files_mean_what_was_written(
    read: Reader, *, always: bool, rows: list[list[str]], delimiter: str, end: str
) -> None:
    doubled = [
        delimiter.join(doubling(value, delimiter, always=always) for value in row) for row in rows
    ]
    header = delimiter.join("abc")
    found = read(end.join([header, *doubled]).encode(), "f.csv", fields=("a", "b", "c"))
    assert [[row[name] for name in "abc"] for row in found.good] == rows
    assert found.malformed == []


@ANY_FILE
@given(tables, delimiters, line_ends)
def test_sound_files_with_escapes_mean_what_was_written(
    read: Reader, rows: list[list[str]], delimiter: str, end: str
) -> None:
    rows = [['x"y', "", ""]] * 15 + rows
    lines = [delimiter.join(escaping(value) for value in row) for row in rows]
    header = delimiter.join("abc")
    found = read(end.join([header, *lines]).encode(), "f.csv", fields=("a", "b", "c"))
    assert [[row[name] for name in "abc"] for row in found.good] == rows
    assert found.malformed == []


@ANY_FILE
@given(tables.filter(bool), delimiters, line_ends, st.data())
def test_a_cut_costs_no_record_before_it(
    read: Reader, rows: list[list[str]], delimiter: str, end: str, data: st.DataObject
) -> None:
    rows = [[value.replace("\\", "") for value in row] for row in rows]
    lines = [
        delimiter.join(doubling(value, delimiter, always=True) for value in row) for row in rows
    ]
    whole = data.draw(st.integers(0, len(rows) - 1))
    kept = data.draw(st.integers(0, len(lines[whole].encode())))
    source = end.join([delimiter.join("abc"), *lines[:whole], ""]).encode()
    found = read(source + lines[whole].encode()[:kept], "f.csv", fields=("a", "b", "c"))
    assert [[row[name] for name in "abc"] for row in found.rows[:whole]] == rows[:whole]
    assert found.counted == len(found.rows)
    assert (len(found.rows) > whole) == (kept > 0)


@ANY_FILE
@given(st.binary(max_size=300), st.sampled_from([b"", b"a,b\n"]))
def test_any_bytes_are_read_or_refused_by_name(read: Reader, body: bytes, header: bytes) -> None:
    csv = frozenset({Format.CSV})
    try:
        found = read(header + body, "f.csv", record_bytes=100, formats=csv)
    except (HeaderError, LimitExceededError, CorruptFileError, UnsupportedFormatError):
        return
    assert found.counted == len(found.rows)
