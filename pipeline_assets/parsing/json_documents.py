"""Where records of JSON documents begin and end, found from bytes alone, and the count of them.

A document is an array of objects, an object that holds such an array at a declared path, or
objects that go over several lines. Documents may follow each other. Elements are told apart by
their brackets, not by lines: what stands between two commas of an array is a record, whether it
is an object or not. From where a record begins, it is

1. the object that begins there, by its tokens (as in ``json_framing``, but over lines), if then
   ``,``, ``]`` or another ``{`` follows, or outside an array the end of the line; else
2. broken, or no object, and goes to where its brackets balance (``json_balance``); else
3. broken, and goes to where the next object seems to begin: ``{"`` after ``,`` or ``}``, as far
   indented as itself where it begins a line; outside an array a ``{`` that begins a line; else
4. the rest of the file.

A file that ends within an array has been cut. If the cut falls between two records, no byte is
left to show that some are missing: an empty record at the end stands for them.
"""

import re
from typing import Final

from pipeline_assets.errors import CorruptFileError
from pipeline_assets.parsing.content import Content
from pipeline_assets.parsing.json_balance import Balance, Outcome, Place
from pipeline_assets.parsing.json_framing import (
    CLOSE_LIST,
    LOOKAHEAD,
    OPEN,
    OPEN_LIST,
    Bound,
    object_pattern,
    record_ends,
)
from pipeline_assets.parsing.json_structure import RecordsPath, UnsoundError

TEXT_BLANKS: Final = b" \t\r\n"
BLANK: Final = re.compile(rb"[ \t\r\n]*+")
SEPARATORS: Final = re.compile(rb"[ \t\r\n,]*+")
AFTER_ELEMENT: Final = b",]{"
AFTER_OBJECT: Final = b",[]{"
NEXT_ELEMENT: Final = re.compile(rb'[,}]([ \t\r\n]*+)(?=\{[ \t\r\n]*+["}])')
NEXT_LINE: Final = re.compile(rb"(\n)(?=\{)")


class DocumentFraming:
    """A window on the text that finds record after record.

    Feed it a block; then ask for ``start``, decide on an ``end`` and ``take`` it until either is
    null, which asks for the next block.

    Attributes:
        window: the text that is not done with.
    """

    def __init__(self, bound: Bound, path: tuple[str, ...] = ()) -> None:
        self.window = b""
        self._bound = bound
        self._path = RecordsPath(path) if path else None
        self._around = self._path is not None
        self._in_list = False
        self._indent: bytes | None = None
        self._position = 0
        self._balance: Balance | None = None
        self._unbalanced = 0
        self._complete = False
        self._cut = False
        self._line = 1
        self._lines_to = 0

    def feed(self, block: bytes, *, final: bool) -> None:
        """Let go of what was taken, and add a block."""
        used = self._position
        self._line = self.line(used)
        self.window = self.window[used:] + block
        self._position = self._lines_to = 0
        self._unbalanced = max(self._unbalanced - used, 0)
        self._complete = final

    def line(self, position: int) -> int:
        """Number of the line of a position in the window; positions only grow."""
        self._line += self.window.count(b"\n", self._lines_to, position)
        self._lines_to = max(position, self._lines_to)
        return self._line

    def take(self, end: int) -> None:
        """Go on behind the record that ends here."""
        self._position = end
        self._balance = None

    def raw(self, end: int) -> bytes:
        """Text of the record that begins at the last ``start`` and ends here."""
        return self.window[self._position : end].rstrip(TEXT_BLANKS)

    def start(self) -> int | None:
        """Where the next record begins; null when the window is used up.

        Raises:
            CorruptFileError: what surrounds the records is no JSON, or has no records.
            LimitExceededError: a value around the records is too long.
        """
        while not self._around or self._find_array():
            if not self._skip_separators():
                return None
            byte = self.window[self._position]
            if byte == CLOSE_LIST and self._in_list:
                self._leave_array()
            elif byte == OPEN_LIST and not self._in_list:
                self._in_list = True
            else:
                return self._position
            self._position += 1
        return None

    def _leave_array(self) -> None:
        self._in_list = False
        if self._path:
            self._path.leave()
            self._around = True

    def _skip_separators(self) -> bool:
        found = SEPARATORS.match(self.window, self._position)
        end = found.end() if found else self._position
        if end == len(self.window) and not self._complete and end - self._position < LOOKAHEAD:
            return False
        if end > self._position:
            run = self.window[self._position : end]
            self._indent = run[run.rindex(b"\n") + 1 :] if b"\n" in run else None
            self._position = end
        return end < len(self.window)

    def _find_array(self) -> bool:
        if self._path is None:
            return False
        try:
            self._position, self._in_list = self._path.advance(
                self.window, self._position, complete=self._complete
            )
        except UnsoundError as error:
            line = self.line(self._path.start)
            raise CorruptFileError(self._bound.key, f"line {line}: {error}") from error
        self._around = not self._in_list
        self._bound.check(len(self.window) - self._position if self._around else 0)
        return self._in_list

    @property
    def cut(self) -> bool:
        """Whether the text ended within an array, and no record says so."""
        return self._in_list and not self._cut

    def ends_well(self, end: int) -> bool | None:
        """Whether an object may end here; null when more of the text tells."""
        blank = BLANK.match(self.window, end, end + LOOKAHEAD)
        after = blank.end() if blank else end
        if not self._in_list and b"\n" in self.window[end:after]:
            return True
        if after == len(self.window):
            return True if self._complete else None
        if after == end + LOOKAHEAD:
            return True
        return self.window[after] in (AFTER_ELEMENT if self._in_list else AFTER_OBJECT)

    def end(self, start: int) -> int | None:
        """End of the record that begins here; null when more of the text tells.

        Raises:
            LimitExceededError: the record is too long, wherever it ends.
        """
        limit = start + self._bound.record_bytes
        found = object_pattern(TEXT_BLANKS).match(self.window, start, limit)
        followed = self.ends_well(found.end()) if found else False
        if found and followed is not False:
            return found.end() if followed else None
        end = self._broken_end(start)
        self._bound.check((len(self.window) if end is None else end) - start)
        return end

    def _broken_end(self, start: int) -> int | None:
        if not self._in_list and self.window[start] != OPEN:
            return self._rest_or(self.window.find(b"\n", start))
        if start < self._unbalanced:
            return self._next_object(start)
        self._balance = self._balance or self._new_balance()
        outcome = self._balance.find(self.window, start, complete=self._complete)
        end = start + self._balance.length
        if outcome is Outcome.FOUND:
            return end
        if outcome is Outcome.UNDECIDED:
            return self._rest_or(-1)
        self._unbalanced = end
        return self._next_object(start)

    def _new_balance(self) -> Balance:
        if not self._in_list:
            return Balance(Place.TOP, b"")
        return Balance(Place.MEMBER if self._path else Place.LIST, self._indent)

    def _rest_or(self, end: int) -> int | None:
        if end < 0 and self._complete:
            self._cut = True
            return len(self.window)
        return None if end < 0 else end

    def _next_object(self, start: int) -> int | None:
        for found in (NEXT_ELEMENT if self._in_list else NEXT_LINE).finditer(
            self.window, start + 1
        ):
            if not self._in_list or self._indented_alike(found[1]):
                return found.start(1)
        return self._rest_or(-1)

    def _indented_alike(self, blanks: bytes) -> bool:
        if self._indent is None:
            return True
        return b"\n" in blanks and blanks[blanks.rindex(b"\n") + 1 :] == self._indent


def count_documents(content: Content, bound: Bound, path: tuple[str, ...] = ()) -> int:
    """Count the records of documents by one pass over the bytes, without decoding a value.

    Raises:
        CorruptFileError: the compressed stream is broken or cut, or what surrounds the records is
            no JSON or has none.
        LimitExceededError: a record is too long.
    """
    framing = DocumentFraming(bound, path)
    counted = 0
    for block, final in content.blocks():
        framing.feed(block, final=final)
        counted += sum(1 for _ in record_ends(framing))
    return counted + framing.cut
