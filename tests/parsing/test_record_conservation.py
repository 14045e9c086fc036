"""Whatever the bytes: rows are what the framing counts, and no text of a record is lost."""

import csv
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from landed_bytes import Read, Reader

ANY_FILE = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])

csv_pieces = st.sampled_from(
    [b"a", b"b", b",", b",", b'"', b'""', b"\n", b"\n", b"\r", b"\r\n", b" ", b"\xc3\xa9", b"\xff"]
)
sound_csv_values = st.sampled_from([b"", b"x", b'""', b'"p,q"', b'"r\ns"', b'"t""u"', b"\xc3\xa9"])
json_pieces = st.sampled_from(
    [
        *(bytes([char]) for char in b'{}{}[]:,"\\ \n\r\tx1-.'),
        b'{"a":"1"}',
        b'{"a":{"b":[1,{}]}}',
        b'{"a":',
        b'"}{"',
        b"{}",
        b'{"',
        b"\xff",
        b"\xc3\xa9",
        b"NaN",
        b"\\ud800",
        b"true",
    ]
)


def joined(pieces: st.SearchStrategy[bytes], most: int = 60) -> st.SearchStrategy[bytes]:
    return st.lists(pieces, max_size=most).map(b"".join)


def unread_after(source: bytes, found: Read) -> str:
    """What is left of the file's text once each record is taken from it, in order."""
    rest, decoder = source.decode("utf-8", "backslashreplace"), json.JSONDecoder()
    for row in found.rows:
        rest = rest.lstrip(" \t\r\n")
        if row["_error"] is None:
            rest = rest[decoder.raw_decode(rest)[1] :]
        else:
            raw = str(row["_raw"]).lstrip(" \t\r")
            assert rest.startswith(raw)
            rest = rest.removeprefix(raw)
    return rest.lstrip(" \t\r\n")


def check_csv(body: bytes, found: Read) -> None:
    assert found.counted == len(found.rows)
    assert all(raw for _, raw, _ in found.malformed)
    source_text = body.decode("utf-8", "backslashreplace")
    texts = [str(row["_raw"]) for row in found.rows if row["_raw"]]
    values = [value for row in found.good for value in (row["a"], row["b"])]
    kept = "".join(texts) + "".join(str(value) for value in values)
    for char in "ab\xe9 ":
        assert kept.count(char) == source_text.count(char)


def check_json(body: bytes, found: Read) -> None:
    assert found.counted == len(found.rows)
    assert unread_after(body, found) == ""


@ANY_FILE
@given(joined(csv_pieces))
def test_csv_rows_are_what_is_counted_and_no_text_is_lost(read: Reader, body: bytes) -> None:
    check_csv(body, read(b"a,b\n" + body, "f.csv"))


@ANY_FILE
@given(st.lists(st.lists(sound_csv_values, min_size=2, max_size=2), max_size=20))
def test_sound_csv_reads_like_the_standard_library(read: Reader, rows: list[list[bytes]]) -> None:
    body = b"".join(b",".join(row) + b"\n" for row in rows)
    expected = list(csv.reader(body.decode().splitlines(keepends=True)))
    found = read(b"a,b\n" + body, "f.csv")
    assert [[row["a"], row["b"]] for row in found.good] == expected
    assert found.malformed == []


@ANY_FILE
@given(joined(json_pieces))
def test_json_rows_are_what_is_counted_and_no_text_is_lost(read: Reader, body: bytes) -> None:
    check_json(body, read(body, "f.json"))


@ANY_FILE
@given(st.binary(max_size=200))
@pytest.mark.parametrize("name", ["f.csv", "f.json"])
def test_any_bytes_are_read_or_refused_by_name(read: Reader, name: str, body: bytes) -> None:
    prefix = b"a,b\n" if name == "f.csv" else b"{}\n"
    found = read(prefix + body, name)
    assert found.counted == len(found.rows)


@pytest.mark.usefixtures("small_blocks")
class TestAtEveryBlockEdge:
    @ANY_FILE
    @given(joined(csv_pieces, 250))
    def test_csv_rows_are_what_is_counted(self, read: Reader, body: bytes) -> None:
        found = read(b"a,b\n" + body, "f.csv")
        assert found.counted == len(found.rows)
        if not any("longer than" in error for _, _, error in found.malformed):
            check_csv(body, found)

    @ANY_FILE
    @given(joined(json_pieces, 150))
    def test_json_rows_are_what_is_counted(self, read: Reader, body: bytes) -> None:
        check_json(body, read(body, "f.json"))

    @ANY_FILE
    @given(st.lists(st.sampled_from(["", "x", "\xe9", '"', "}{", "\n"]), max_size=40), st.data())
    def test_good_json_is_good_however_it_is_joined(
        self, read: Reader, texts: list[str], data: st.DataObject
    ) -> None:
        between = st.sampled_from(["", "\n", " ", "\r\n", "\n\n"])
        body = "".join(
            json.dumps({"a": text}, ensure_ascii=False) + data.draw(between) for text in texts
        )
        found = read(body.encode(), "f.json")
        assert [row["a"] for row in found.good] == texts
        assert found.malformed == []
