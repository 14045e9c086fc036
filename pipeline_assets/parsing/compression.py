"""Compression by content: gzip, zstd and bzip2 are unpacked, archives are refused by name."""

import bz2
import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import BinaryIO, Final, cast

import pyarrow as pa

from pipeline_assets.errors import CorruptFileError, LimitExceededError, UnsupportedFormatError
from pipeline_assets.parsing.limits import RATIO_FROM, Limits


class Compression(StrEnum):
    """How the bytes of an object are packed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    BZIP2 = "bz2"


MAGIC: Final = {
    b"\x1f\x8b": Compression.GZIP,  # RFC 1952, 2.3.1
    b"\x28\xb5\x2f\xfd": Compression.ZSTD,  # RFC 8878, 3.1.1
    b"BZh": Compression.BZIP2,
}
ARCHIVES: Final = {
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "an empty zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a rar archive",
    b"\xfd7zXZ\x00": "xz",
    b"\x04\x22\x4d\x18": "lz4",
    b"\xff\x06\x00\x00sNaPpY": "snappy",
}
TAR_MAGIC: Final = slice(257, 262)
"""Where ``ustar`` stands: POSIX.1-1988, the header of the first member."""
BLOCK_BYTES: Final = 256 * 1024
UNPACK: Final = "land the files it holds one by one, plain or packed with gzip, zstd or bzip2"


def compression_of(head: bytes, key: str) -> Compression:
    """Tell it from the first bytes.

    Raises:
        UnsupportedFormatError: they begin an archive, or a compression that is not read here.
    """
    for magic, name in ARCHIVES.items():
        if head.startswith(magic):
            raise UnsupportedFormatError(key, f"its content is {name}: {UNPACK}")
    if head[TAR_MAGIC] == b"ustar":
        raise UnsupportedFormatError(key, f"its content is a tar archive: {UNPACK}")
    return next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), Compression.NONE)


def damaged(key: str, error: Exception) -> CorruptFileError:
    """The error for bytes that a library refused, with the first line of its reason."""
    reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return CorruptFileError(key, f"the file is cut or damaged ({reason}): land it again")


@contextmanager
def unpack(
    stored: BinaryIO, compression: Compression, key: str, limits: Limits
) -> Iterator[BinaryIO]:
    """The unpacked bytes of a file that is open; what is not packed, the file itself.

    Any number of gzip members, zstd frames or bzip2 streams may follow each other.
    """
    if compression is Compression.NONE:
        check_size(key, os.fstat(stored.fileno()).st_size, limits)
        yield stored
        return
    with OPENERS[compression](stored) as opened:
        yield cast("BinaryIO", io.BufferedReader(_Unpacked(opened, stored, key, limits)))


def check_size(key: str, size: int, limits: Limits) -> None:
    """Refuse a file of so many bytes.

    Raises:
        LimitExceededError: there are more than the limits allow.
    """
    if size > limits.decompressed_bytes:
        raise LimitExceededError(
            key,
            "bytes once decompressed",
            size,
            limits.decompressed_bytes,
            "MAX_DECOMPRESSED_BYTES",
        )


def check_ratio(key: str, size: int, stored: int, most: int, *, how: str = "decompressed") -> None:
    """Refuse what so few stored bytes become.

    Args:
        key: the object's key.
        size: bytes that came of them so far.
        stored: bytes that are stored, all of them: what comes first may pack better than the rest.
        most: bytes that each of them may become.
        how: what makes them more.

    Raises:
        LimitExceededError: they are more, and more than ``RATIO_FROM``.
    """
    if size > RATIO_FROM and size > most * stored:
        what, found = f"{how} bytes for each stored one", size // max(1, stored)
        raise LimitExceededError(key, what, found, most, "MAX_DECOMPRESSION_RATIO")


class _Bzip2(io.RawIOBase):
    """Streams of bzip2 one after the other.

    The standard library's file ends quietly at what is no stream, and Arrow's reader fails at an
    empty one.
    """

    def __init__(self, stored: BinaryIO) -> None:
        self._stored = stored
        self._stream = bz2.BZ2Decompressor()
        self._packed = stored.read(BLOCK_BYTES)

    def read(self, size: int = -1) -> bytes:
        """So many bytes at most; none at the end.

        Raises:
            EOFError: the last stream is cut.
            OSError: what follows a stream is none.
        """
        while True:
            if self._stream.eof:
                self._packed = self._stream.unused_data or self._stored.read(BLOCK_BYTES)
                if not self._packed:
                    return b""
                self._stream = bz2.BZ2Decompressor()
            elif self._stream.needs_input and not self._packed:
                self._packed = self._stored.read(BLOCK_BYTES)
                if not self._packed:
                    raise EOFError("the last bzip2 stream is cut")
            packed, self._packed = self._packed, b""
            if block := self._stream.decompress(packed, size):
                return block


class _Unpacked(io.RawIOBase):
    """Counts what comes out, and names the object in what goes wrong."""

    def __init__(self, opened: BinaryIO, stored: BinaryIO, key: str, limits: Limits) -> None:
        self._opened = opened
        self._stored_bytes = os.fstat(stored.fileno()).st_size
        self._key = key
        self._limits = limits
        self._come = 0

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        """Read as much as there is room for.

        Raises:
            CorruptFileError: the stream is cut, is none, or fails its checksum.
            LimitExceededError: more has come out than the limits allow.
        """
        try:
            block = self._opened.read(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile, pa.ArrowException) as error:
            raise damaged(self._key, error) from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise damaged(self._key, error) from error
        self._come += len(block)
        self._check()
        buffer[: len(block)] = block
        return len(block)

    def _check(self) -> None:
        check_size(self._key, self._come, self._limits)
        check_ratio(self._key, self._come, self._stored_bytes, self._limits.ratio)


OPENERS: Final[dict[Compression, Callable[[BinaryIO], BinaryIO]]] = {
    Compression.GZIP: lambda stored: cast("BinaryIO", gzip.GzipFile(fileobj=stored, mode="rb")),
    Compression.ZSTD: lambda stored: cast("BinaryIO", pa.CompressedInputStream(stored, "zstd")),
    Compression.BZIP2: lambda stored: cast("BinaryIO", _Bzip2(stored)),
}
