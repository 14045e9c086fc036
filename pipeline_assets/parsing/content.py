"""The bytes of a landed object as UTF-8 text or plain bytes: unpacked, decoded, bounded."""

import codecs
import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Final

from pipeline_assets.parsing.compression import Compression, compression_of, unpack
from pipeline_assets.parsing.encoding import Utf8Stream, encoding_of
from pipeline_assets.parsing.limits import Limits

BLOCK_BYTES: Final = 1024 * 1024
"""How much of a file is read at a time."""
HEAD_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class Content:
    """A local file that holds an object's bytes.

    Attributes:
        path: the file.
        key: the object's key, for messages.
        limits: what is read at most.
        fallback: encoding of text that has no byte order mark and is not UTF-8.

    Raises:
        CorruptFileError: from any read, when the compressed stream is broken or cut.
        LimitExceededError: from any read, when more comes out than the limits allow.
        UnsupportedFormatError: from any read, when the bytes are an archive.
    """

    path: Path
    key: str
    limits: Limits = field(default_factory=Limits)
    fallback: str | None = None

    @cached_property
    def compression(self) -> Compression:
        """What the bytes, not the name, say."""
        with self.path.open("rb") as stored:
            return compression_of(stored.read(HEAD_BYTES), self.key)

    @contextmanager
    def open_bytes(self) -> Iterator[BinaryIO]:
        """The unpacked bytes, as a stream."""
        with (
            self.path.open("rb") as stored,
            unpack(stored, self.compression, self.key, self.limits) as stream,
        ):
            yield stream

    @cached_property
    def head(self) -> bytes:
        """The first 64 KiB of the unpacked bytes."""
        with self.open_bytes() as stream:
            return stream.read(HEAD_BYTES)

    @cached_property
    def encoding(self) -> str:
        """By the byte order mark; else UTF-8 unless a fallback is declared and they are not."""
        marked = encoding_of(self.head)
        if marked is not None or self.fallback is None:
            return marked or "utf-8"
        return "utf-8" if self._is_utf8() else self.fallback

    def _is_utf8(self) -> bool:
        decoder = codecs.getincrementaldecoder("utf-8")()
        with self.open_bytes() as stream:
            try:
                while block := stream.read(BLOCK_BYTES):
                    decoder.decode(block)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                return False
        return True

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The text in UTF-8 without byte order mark; what cannot be decoded is no UTF-8 then."""
        with self.open_bytes() as stream:
            yield io.BufferedReader(Utf8Stream(stream, self.encoding), BLOCK_BYTES)

    def blocks(self) -> Iterator[tuple[bytes, bool]]:
        """Blocks of text, each with whether it is the last; at least one."""
        with self.open() as stream:
            block = stream.read(BLOCK_BYTES)
            while following := stream.read(BLOCK_BYTES):
                yield block, False
                block = following
        yield block, True

    @cached_property
    def text_head(self) -> bytes:
        """The beginning of the text."""
        with self.open() as stream:
            return stream.read(HEAD_BYTES)

    @contextmanager
    def seekable(self) -> Iterator[BinaryIO]:
        """The unpacked bytes where seeking works: what is packed goes through a temporary file.

        The temporary file lies beside the object's and is removed on leaving.
        """
        with self.open_bytes() as stream:
            if self.compression is Compression.NONE:
                yield stream
                return
            with tempfile.NamedTemporaryFile(dir=self.path.parent) as plain:
                shutil.copyfileobj(stream, plain, BLOCK_BYTES)
                plain.seek(0, io.SEEK_SET)
                yield plain  # type: ignore[misc]  # a named file is a binary one
