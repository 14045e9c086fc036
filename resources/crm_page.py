"""A page of the CRM as bytes, taken apart without touching what its records say."""

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

JSON_SPACE = " \t\r\n"
ENCODINGS = frozenset({"", "identity", "gzip", "x-gzip"})
"""Content codings that are understood, one of them at a time. RFC 9110, 8.4.1."""
GZIP = 16 + zlib.MAX_WBITS
LONGEST_SHOWN = 100
# Nothing is computed with: texts keep every digit, and take no time for long numbers.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


@dataclass(frozen=True)
class PageBody:
    """What a page holds.

    Attributes:
        records: JSON text of each record as received, on one line.
        next_page: number of the page that comes next, or where it is; None after the last.
    """

    records: tuple[str, ...]
    next_page: int | str | None


def decoded(chunks: Iterable[bytes], encoding: str, *, limit: int) -> bytes:
    """The content that arrives in chunks; no more than ``limit`` bytes and a chunk are held.

    Args:
        chunks: what comes over the wire.
        encoding: the header Content-Encoding, or nothing.
        limit: most bytes of the content once it is unpacked.

    Raises:
        ValueError: the coding is another, or the content too long; its text says what is wrong.
        EOFError: packed content is broken, or ends too early.
    """
    coding = encoding.strip().lower()
    if coding not in ENCODINGS:
        raise ValueError(
            f"its Content-Encoding is {encoding[:LONGEST_SHOWN]!r}; have the CRM send it plain or "
            "in gzip, once"
        )
    body = bytearray()
    for part in _unpacked(chunks, limit + 1) if "gzip" in coding else chunks:
        body += part
        if len(body) > limit:
            raise ValueError(f"it has more than {limit:,} bytes; have the CRM send smaller pages")
    return bytes(body)


def _unpacked(chunks: Iterable[bytes], longest: int) -> Iterator[bytes]:
    """Parts of what one gzip member holds; one of ``longest`` bytes may not be all of its chunk."""
    unpacking = zlib.decompressobj(GZIP)
    for chunk in chunks:
        try:
            yield unpacking.decompress(chunk, longest)
        except zlib.error as error:
            raise EOFError(f"its gzip is broken ({error})") from None
        if unpacking.unused_data:
            raise ValueError("it goes on after its gzip has ended")
    if not unpacking.eof:
        raise EOFError("its gzip ends too early")


def read_page(body: bytes) -> PageBody:
    """The records of a page, ``{"data": [...], "next_page": ...}`` in UTF-8.

    Raises:
        ValueError: it is not like that; its text says what is wrong.
    """
    text = _text(body)
    members = {name: text[start:end] for name, start, end in _members(text)}
    if not members.get("data", "").startswith("["):
        raise ValueError("it has no list `data`")
    if "next_page" not in members:
        raise ValueError("it has no `next_page`, which is null on the last page")
    records = tuple(_on_one_line(record) for record in _elements(members["data"]))
    return PageBody(records, _next_page(members["next_page"]))


def _text(body: bytes) -> str:
    try:
        text = body.decode("utf-8-sig")
        _DECODER.decode(text)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is no JSON ({error})") from None
    if not text.lstrip(JSON_SPACE).startswith("{"):
        raise ValueError("it is no JSON object")
    return text


def _members(text: str) -> Iterator[tuple[str, int, int]]:
    """Names of an object's members, and where their values begin and end. The text is valid."""
    at = _space(text, _space(text, 0) + 1)
    while text[at] != "}":
        name, at = _DECODER.raw_decode(text, at)
        start = _space(text, _space(text, at) + 1)
        _, end = _DECODER.raw_decode(text, start)
        yield name, start, end
        at = _comma(text, end)


def _elements(text: str) -> Iterator[str]:
    """Texts of an array's elements. The text is valid."""
    at = _space(text, 1)
    while text[at] != "]":
        _, end = _DECODER.raw_decode(text, at)
        yield text[at:end]
        at = _comma(text, end)


def _comma(text: str, at: int) -> int:
    at = _space(text, at)
    return _space(text, at + 1) if text[at] == "," else at


def _space(text: str, at: int) -> int:
    while at < len(text) and text[at] in JSON_SPACE:
        at += 1
    return at


def _on_one_line(record: str) -> str:
    # JSON has line ends between tokens only: within strings they are escaped.
    return record.replace("\r", " ").replace("\n", " ")


def _next_page(text: str) -> int | str | None:
    if text == "null":
        return None
    if text.startswith('"'):
        place: str = json.loads(text)
        return int(place) if place.isascii() and place.isdigit() else place
    if text.isdigit():
        return int(text)
    raise ValueError("its `next_page` is neither an address nor a number nor null")
