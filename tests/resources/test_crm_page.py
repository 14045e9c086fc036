"""Pages of the CRM: their records are handed over as received, and what is none is told."""

import gzip
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.crm_page import PageBody, decoded, read_page


def body(text: str) -> bytes:
    return text.encode()


def test_records_are_kept_as_received_to_the_last_digit() -> None:
    records = (
        '{"id": 12345678901234567890123, "points": 1.10, "e": 1E+400}',
        '{"name": "a\\u00e9\\n, ]}", "new": {"list": [1, 2]}, "id": 1, "id": 2}',
        "17",
    )

    page = read_page(body(f'{{"next_page": 2, "data": [{" , ".join(records)}], "more": []}}'))

    assert page == PageBody(records, 2)


def test_a_record_over_many_lines_is_one_line() -> None:
    page = read_page(b'{\r\n"data": [\r\n{\r\n"id": "a b"\r\n}\r\n],\r\n"next_page": null\r\n}\r\n')

    assert page.next_page is None
    assert [json.loads(record) for record in page.records] == [{"id": "a b"}]
    assert not set("\r\n") & set(page.records[0])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("null", None),
        ("7", 7),
        ('"7"', 7),
        ('"/customers?page=2"', "/customers?page=2"),
        ('"https:\\/\\/crm.example\\/c?cursor=\\u0061"', "https://crm.example/c?cursor=a"),
    ],
)
def test_the_next_page_is_a_number_an_address_or_none(text: str, place: int | str | None) -> None:
    assert read_page(body(f'{{"data": [], "next_page": {text}}}')) == PageBody((), place)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "it is no JSON"),
        (b"<html>", "it is no JSON"),
        (b'{"data": [{"id": 1}', "it is no JSON"),
        (b'{"data": [], "next_page": null} {}', "it is no JSON"),
        (b'{"data": ["\xff"], "next_page": null}', "it is no JSON"),
        (b'{"data": ["a\nb"], "next_page": null}', "it is no JSON"),
        (b"[]", "it is no JSON object"),
        (b'"data"', "it is no JSON object"),
        (b"{}", "no list `data`"),
        (b'{"data": {"id": 1}, "next_page": null}', "no list `data`"),
        (b'{"items": [], "next_page": null}', "no list `data`"),
        (b'{"data": []}', "no `next_page`"),
        (b'{"data": [], "next_page": 1.5}', "neither an address nor a number"),
        (b'{"data": [], "next_page": false}', "neither an address nor a number"),
        (b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_what_is_no_page_is_told(content: bytes, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        read_page(content)


LIMIT = 1000


def pieces(content: bytes, size: int = 7) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


@pytest.mark.parametrize("encoding", ["", "identity", "gzip", " GZIP ", "x-gzip"])
@pytest.mark.parametrize("length", [0, 1, LIMIT])
def test_a_body_comes_plain_or_in_one_layer_of_gzip(encoding: str, length: int) -> None:
    content = b"a" * length
    sent = gzip.compress(content) if "gzip" in encoding.lower() else content

    assert decoded(pieces(sent), encoding, limit=LIMIT) == content


@pytest.mark.parametrize("encoding", ["gzip, gzip", "deflate", "br", "zstd", "gzip;q=1"])
def test_another_coding_is_refused_before_a_byte_is_read(encoding: str) -> None:
    wire = iter([b"never"])

    with pytest.raises(ValueError, match=r"Content-Encoding .*plain or in gzip, once"):
        decoded(wire, encoding, limit=LIMIT)
    assert next(wire) == b"never"


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_no_more_is_taken_than_the_limit_and_a_chunk(encoding: str) -> None:
    content = b" " * (64 << 20)
    sent = gzip.compress(content) if encoding else content
    wire = iter(pieces(sent, 16 << 10))

    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="more than 1,000 bytes"):
            decoded(wire, encoding, limit=LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1 << 20
    assert next(wire)


@pytest.mark.parametrize(
    ("sent", "cause"),
    [
        (gzip.compress(b"{}", mtime=0)[:-1], "ends too early"),
        (b"", "ends too early"),
        (b"{}", "is broken"),
        (gzip.compress(b"{}", mtime=0)[:-8] + b"\0" * 8, "is broken"),
    ],
)
def test_gzip_that_is_none_or_breaks_off_is_told(sent: bytes, cause: str) -> None:
    with pytest.raises(EOFError, match=cause):
        decoded(pieces(sent), "gzip", limit=LIMIT)


def test_what_comes_after_the_gzip_is_not_lost_in_silence() -> None:
    sent = gzip.compress(b"{}") + gzip.compress(b"{}")

    with pytest.raises(ValueError, match="goes on after its gzip has ended"):
        decoded(pieces(sent), "gzip", limit=LIMIT)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(records=st.lists(JSON, max_size=5), indent=st.sampled_from([None, 1]), escaped=st.booleans())
def test_whatever_the_records_are_each_is_handed_over(
    records: list[Any], indent: int | None, *, escaped: bool
) -> None:
    page = {"meta": {"data": 1}, "data": records, "next_page": None}
    content = json.dumps(page, indent=indent, ensure_ascii=escaped).encode(errors="replace")

    found = read_page(content)

    assert [json.loads(record) for record in found.records] == json.loads(content)["data"]
