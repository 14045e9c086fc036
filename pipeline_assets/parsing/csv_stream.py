"""The text of a CSV file as pyarrow's reader must get it."""

import io
from typing import BinaryIO

from pipeline_assets.parsing.content import BLOCK_BYTES


class UnsplitLineEnds(io.RawIOBase):
    """Ends no block at a CR: pyarrow drops an LF that opens the next one, even inside quotes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._held = b""

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def read(self, size: int = BLOCK_BYTES) -> bytes:
        """The next block; it is shorter than asked for by a CR that would end it."""
        block = self._held + self._stream.read(size - len(self._held))
        self._held = b"\r" if len(block) > 1 and block.endswith(b"\r") else b""
        return block.removesuffix(self._held)


def skip(stream: BinaryIO, size: int) -> None:
    """Leave out so many bytes; blank lines before a header may be many."""
    while size:
        size -= len(stream.read(min(size, BLOCK_BYTES)))
