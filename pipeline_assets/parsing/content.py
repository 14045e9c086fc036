"""The decompressed bytes of a landed object, and the faults of its compression."""

import gzip
import io
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Final, cast

from pipeline_assets.errors import CorruptFileError

GZIP_MAGIC: Final = b"\x1f\x8b"
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
BLOCK_BYTES: Final = 1024 * 1024
"""How much of a file is read at a time."""
HEAD_BYTES: Final = 64 * 1024
RECORD_BYTES: Final = 16 * 1024 * 1024
"""A longer CSV or JSON record is malformed and comes in pieces of this size, so that a quote or
brace that is never closed cannot pull the rest of a file into memory."""


class _NamedGzip(gzip.GzipFile):
    """A gzip stream (of any number of members) whose faults name the object."""

    def __init__(self, stored: BinaryIO, key: str) -> None:
        super().__init__(fileobj=stored, mode="rb")
        self._key = key

    def read(self, size: int | None = -1) -> bytes:
        """Read decompressed bytes.

        Raises:
            CorruptFileError: the stream is cut, is no gzip, or fails its checksum.
        """
        try:
            return super().read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise damaged(self._key, error) from error


def damaged(key: str, error: Exception) -> CorruptFileError:
    """The error for bytes that a library refused, with the first line of its reason."""
    reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return CorruptFileError(key, f"the file is cut or damaged ({reason}): land it again")


@dataclass(frozen=True)
class Content:
    """A local file that holds an object's bytes, read decompressed.

    Raises:
        CorruptFileError: from any read, when the gzip stream is broken or cut.
    """

    path: Path
    key: str

    @cached_property
    def is_gzip(self) -> bool:
        """Whether the bytes, not the name, say gzip."""
        with self.path.open("rb") as stream:
            return stream.read(len(GZIP_MAGIC)) == GZIP_MAGIC

    @contextmanager
    def open(self) -> Iterator[BinaryIO | gzip.GzipFile]:
        """The decompressed bytes, as a stream."""
        with self.path.open("rb") as stored:
            if self.is_gzip:
                with _NamedGzip(stored, self.key) as stream:
                    yield stream
            else:
                yield stored

    @cached_property
    def head(self) -> bytes:
        """The first 64 KiB."""
        with self.open() as stream:
            return stream.read(HEAD_BYTES)

    def blocks(self) -> Iterator[tuple[bytes, bool]]:
        """Blocks without the byte order mark, each with whether it is the last; at least one."""
        with self.open() as stream:
            block = stream.read(BLOCK_BYTES).removeprefix(BYTE_ORDER_MARK)
            while following := stream.read(BLOCK_BYTES):
                yield block, False
                block = following
        yield block, True

    @contextmanager
    def seekable(self) -> Iterator[BinaryIO]:
        """The decompressed bytes where seeking works: gzip goes through a temporary file.

        The temporary file lies beside the object's and is removed on leaving.
        """
        with self.open() as stream:
            if not self.is_gzip:
                yield cast("BinaryIO", stream)
                return
            with tempfile.NamedTemporaryFile(dir=self.path.parent) as plain:
                shutil.copyfileobj(stream, plain, BLOCK_BYTES)
                plain.seek(0, io.SEEK_SET)
                yield cast("BinaryIO", plain)
