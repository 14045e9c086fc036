"""Text in other encodings, as UTF-8."""

import codecs
import io
import re
from typing import BinaryIO, Final

MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Longest first: UTF-32's mark begins with that of UTF-16. The Unicode Standard, 23.8."""
FIRST_UNDECODED: Final = 0xDC00
UNDECODED: Final = re.compile(rb"\xed[\xb0-\xb3][\x80-\xbf]")
"""Stands in the text for a byte that could not be decoded: half a surrogate pair, U+DC00 and the
byte, as UTF-8 would write it if it could."""
PLAIN: Final = frozenset({"utf-8", "utf-8-sig"})
BLOCK_BYTES: Final = 256 * 1024


def encoding_of(head: bytes) -> str | None:
    """The encoding that a byte order mark names."""
    return next((name for mark, name in MARKS if head.startswith(mark)), None)


def _keep_undecoded(error: UnicodeError) -> tuple[str, int]:
    """Let each byte without a meaning through as half a surrogate pair, which UTF-8 lacks."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    meaningless = error.object[error.start : error.end]
    return "".join(chr(FIRST_UNDECODED + byte) for byte in meaningless), error.end


codecs.register_error("landfall.undecoded", _keep_undecoded)


def _byte_of(mark: bytes) -> int:
    return ord(mark.decode("utf-8", "surrogatepass")) - FIRST_UNDECODED


def show(raw: bytes, encoding: str = "utf-8") -> str:
    """Text of a malformed record; a byte that could not be decoded becomes its escaped number.

    Args:
        raw: the record in the text of ``Utf8Stream``.
        encoding: the file's.
    """
    if encoding not in PLAIN:
        raw = UNDECODED.sub(lambda found: b"\\x%02x" % _byte_of(found[0]), raw)
    return raw.decode("utf-8", "backslashreplace")


def decoding_fault(raw: bytes, encoding: str = "utf-8") -> str | None:
    """Say which byte of the file could not be decoded; null when all could.

    Args:
        raw: a record in the text of ``Utf8Stream``.
        encoding: the file's.
    """
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        number, byte, name = error.start + 1, raw[error.start], "UTF-8"
    else:
        return None
    if encoding not in PLAIN and (found := UNDECODED.match(raw, number - 1)):
        before = raw[: found.start()].decode().encode(encoding, "replace")
        number, byte, name = len(before) + 1, _byte_of(found[0]), encoding
    return f"byte {number} of the record, 0x{byte:02x}, is not {name}"


class Utf8Stream(io.RawIOBase):
    """UTF-8 passes untouched, but for its mark; the rest is decoded and encoded again.

    What cannot be decoded becomes marks that are not UTF-8 (``UNDECODED``), so that the record in
    which they stand is found malformed and no other is, and shows the bytes that it had.
    """

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        mark = next((mark for mark, name in MARKS if name == encoding), b"")
        stream.read(len(mark))
        self._decoder = (
            None
            if encoding in PLAIN
            else codecs.getincrementaldecoder(encoding)("landfall.undecoded")
        )
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        """Read as much as there is, up to the room."""
        if self._decoder is None:
            block = self._stream.read(len(buffer))
            buffer[: len(block)] = block
            return len(block)
        while not self._ready:
            if not self._decode(self._decoder):
                return 0
        taken = min(len(buffer), len(self._ready))
        buffer[:taken] = self._ready[:taken]
        self._ready = self._ready[taken:]
        return taken

    def _decode(self, decoder: codecs.IncrementalDecoder) -> bool:
        """Make more text ready; false at the end."""
        block = self._stream.read(BLOCK_BYTES)
        text = decoder.decode(block, final=not block)
        if not block:
            self._decoder = None if not text else decoder
        self._ready = memoryview(text.encode("utf-8", "surrogatepass"))
        return bool(block or text)
