"""What the bytes of a landed object are before any format is read."""

import bz2
import gzip
import io
import os
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.errors import CorruptFileError, LimitExceededError, UnsupportedFormatError
from pipeline_assets.parsing import compression
from pipeline_assets.parsing.compression import Compression
from pipeline_assets.parsing.content import BLOCK_BYTES, Content
from pipeline_assets.parsing.encoding import (
    FIRST_UNDECODED,
    MARKS,
    Utf8Stream,
    decoding_fault,
    show,
)
from pipeline_assets.parsing.limits import Limits

TEXT = "".join(f"{number},{number * number}\n" for number in range(100_000)).encode()


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


PACKERS: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.NONE: bytes,
    Compression.GZIP: gzip.compress,
    Compression.ZSTD: zstd,
    Compression.BZIP2: bz2.compress,
}
PACKED = [kind for kind in Compression if kind is not Compression.NONE]


def content(folder: Path, data: bytes, fallback: str | None = None, **limits: Any) -> Content:
    path = folder / "object"
    path.write_bytes(data)
    return Content(path, "events/f", Limits(**limits), fallback)


def text(of: Content) -> bytes:
    return b"".join(block for block, _ in of.blocks())


@pytest.mark.parametrize("kind", list(Compression))
def test_each_compression_is_told_by_its_content(tmp_path: Path, kind: Compression) -> None:
    found = content(tmp_path, PACKERS[kind](TEXT))

    assert found.compression is kind
    assert text(found) == TEXT
    assert TEXT.startswith(found.head)


@pytest.mark.parametrize("kind", PACKED)
def test_packed_parts_that_follow_each_other_are_one_text(
    tmp_path: Path, kind: Compression
) -> None:
    pack = PACKERS[kind]

    assert text(content(tmp_path, pack(b"a\n") + pack(b"") + pack(TEXT))) == b"a\n" + TEXT


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("left", [0.2, 0.5, 0.99])
def test_a_cut_stream_is_named(tmp_path: Path, kind: Compression, left: float) -> None:
    packed = PACKERS[kind](TEXT)

    with pytest.raises(CorruptFileError, match=r"^events/f: the file is cut or damaged"):
        text(content(tmp_path, packed[: int(len(packed) * left)]))


@pytest.mark.parametrize("kind", PACKED)
def test_what_follows_the_packed_stream_is_named(tmp_path: Path, kind: Compression) -> None:
    with pytest.raises(CorruptFileError, match=r"^events/f: the file is cut or damaged"):
        text(content(tmp_path, PACKERS[kind](TEXT) + b"not packed"))


def _zip() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("events.csv", TEXT)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (_zip(), "a zip archive"),
        (b"\xfd7zXZ\x00rest", "xz"),
        (b"7z\xbc\xaf\x27\x1crest", "a 7z archive"),
        (b"events.csv".ljust(257, b"\0") + b"ustar\0" + b"\0" * 249, "a tar archive"),
    ],
)
def test_an_archive_is_refused_by_its_name(tmp_path: Path, data: bytes, name: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=f"its content is {name}: land the files"):
        _ = content(tmp_path, data).compression


@pytest.mark.parametrize("kind", PACKED)
def test_a_stream_that_grows_beyond_the_limit_is_left_there(
    tmp_path: Path, kind: Compression
) -> None:
    bomb = content(tmp_path, PACKERS[kind](bytes(40 * BLOCK_BYTES)), decompressed_bytes=BLOCK_BYTES)
    read: list[int] = []

    with pytest.raises(LimitExceededError, match=r"1,048,576 are allowed.*MAX_DECOMPRESSED_BYTES"):
        read.extend(len(block) for block, _ in bomb.blocks())
    assert sum(read) <= 2 * BLOCK_BYTES


@pytest.mark.parametrize("kind", PACKED)
def test_a_stream_that_grows_too_much_for_its_size_is_left_there(
    tmp_path: Path, kind: Compression, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "RATIO_FROM", BLOCK_BYTES)
    bomb = content(tmp_path, PACKERS[kind](bytes(40 * BLOCK_BYTES)), ratio=20)

    with pytest.raises(LimitExceededError, match=r"where 20 are allowed.*MAX_DECOMPRESSION_RATIO"):
        text(bomb)


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("first", ["repeated", "varied"])
def test_the_ratio_is_that_of_the_whole_file_whatever_comes_first(
    tmp_path: Path, kind: Compression, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "RATIO_FROM", BLOCK_BYTES)
    repeated, varied = bytes(8 * BLOCK_BYTES), os.urandom(BLOCK_BYTES)
    whole = repeated + varied if first == "repeated" else varied + repeated

    assert text(content(tmp_path, PACKERS[kind](whole), ratio=20)) == whole


def test_little_text_may_pack_as_well_as_it_can(tmp_path: Path) -> None:
    assert len(text(content(tmp_path, gzip.compress(bytes(BLOCK_BYTES)), ratio=2))) == BLOCK_BYTES


def test_a_plain_file_has_the_limit_too(tmp_path: Path) -> None:
    with pytest.raises(LimitExceededError, match=f"{len(TEXT):,} bytes once decompressed"):
        text(content(tmp_path, TEXT, decompressed_bytes=len(TEXT) - 1))


WORDS = "année,größe,東京,🚀\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("kind", list(Compression))
def test_marked_encodings_become_utf8_without_the_mark(
    tmp_path: Path, kind: Compression, encoding: str
) -> None:
    written = (WORDS * 50_000).encode(encoding)

    assert text(content(tmp_path, PACKERS[kind](written))).decode() == WORDS * 50_000


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_both_byte_orders_of_utf16_are_told_by_the_mark(tmp_path: Path, encoding: str) -> None:
    found = content(tmp_path, f"\ufeff{WORDS}".encode(encoding))

    assert found.encoding == encoding
    assert text(found).decode() == WORDS


def test_half_a_character_spoils_its_line_alone(tmp_path: Path) -> None:
    lines = "\ufeffa\nb".encode("utf-16-le") + b"\x00\xd8" + "\nc\n".encode("utf-16-le") + b"x"

    found = text(content(tmp_path, lines)).split(b"\n")
    shown = [show(line, "utf-16-le") for line in found]
    assert shown == ["a", "b\\x00\\xd8", "c", "\\x78"]
    assert [bool(decoding_fault(line, "utf-16-le")) for line in found] == [False, True, False, True]


def test_the_declared_encoding_is_used_where_text_is_not_utf8(tmp_path: Path) -> None:
    assert text(content(tmp_path, b"gr\xf6\xdfe\n", "windows-1252")).decode() == "größe\n"
    assert text(content(tmp_path, "größe\n".encode(), "windows-1252")).decode() == "größe\n"
    assert text(content(tmp_path, b"gr\xf6\xdfe\n")) == b"gr\xf6\xdfe\n"


def test_a_byte_that_the_declared_encoding_lacks_spoils_its_line_alone(tmp_path: Path) -> None:
    lines = text(content(tmp_path, b"\xf6\n\x81\n\xdf\n", "windows-1252")).split(b"\n")

    assert [show(line, "windows-1252") for line in lines] == ["ö", "\\x81", "ß", ""]
    faults = [decoding_fault(line, "windows-1252") for line in lines]
    assert faults == [None, "byte 1 of the record, 0x81, is not windows-1252", None, None]


def test_bytes_without_a_meaning_never_make_a_character_of_utf8(tmp_path: Path) -> None:
    """The second and third, which iso-8859-8 lacks, would be one letter in UTF-8."""
    line = text(content(tmp_path, b"\xe0\xdb\xa1\xd9\x81", "iso-8859-8"))

    assert decoding_fault(line, "iso-8859-8") == "byte 2 of the record, 0xdb, is not iso-8859-8"
    assert show(line, "iso-8859-8") == "א\\xdb\\xa1\\xd9\x81"


@given(data=st.binary(max_size=40))
@pytest.mark.parametrize("encoding", ["windows-1252", "iso-8859-8", "utf-16-le", "utf-32-be"])
def test_each_byte_is_in_the_text_as_it_was_whether_it_has_a_meaning_or_not(
    data: bytes, encoding: str
) -> None:
    mark = next((mark for mark, name in MARKS if name == encoding), b"")
    text = io.BufferedReader(Utf8Stream(io.BytesIO(mark + data), encoding)).read()
    chars = [ord(char) for char in text.decode("utf-8", "surrogatepass")]
    kept = [
        bytes([char - FIRST_UNDECODED]) if 0 <= char - FIRST_UNDECODED < 256 else chr(char)
        for char in chars
    ]
    assert data == b"".join(
        each if isinstance(each, bytes) else each.encode(encoding) for each in kept
    )
    assert (decoding_fault(text, encoding) is None) == all(isinstance(each, str) for each in kept)


def test_half_a_surrogate_pair_in_utf8_is_shown_as_the_bytes_that_are_there() -> None:
    assert show(b"a\xed\xb2\x81") == "a\\xed\\xb2\\x81"
    assert decoding_fault(b"a\xed\xb2\x81") == "byte 2 of the record, 0xed, is not UTF-8"


@given(data=st.binary(max_size=200), kind=st.sampled_from(PACKED), cut=st.integers(0, 200))
def test_damaged_streams_are_refused_or_read_and_never_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, kind: Compression, cut: int
) -> None:
    packed = bytearray(PACKERS[kind](data))
    packed[cut % len(packed)] ^= 1 + cut
    damaged = content(tmp_path_factory.mktemp("damaged"), bytes(packed))
    with suppress(CorruptFileError, UnsupportedFormatError, LimitExceededError):
        text(damaged)
