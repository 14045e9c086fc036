"""Rows of many groups within one memory budget; beyond it they wait in one temporary file."""

import io
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Self

import pyarrow as pa

HELD_BYTES = 128 << 20
"""Bytes of rows in memory before they go to the disk: few files have more, and a process can hold
this much beside the batch that is being parsed, however many groups there are."""
SPILL_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True)
class _Part:
    """Rows of one group that were added together."""

    table: pa.Table
    start: int
    rows: int

    def cut(self) -> pa.Table:
        return self.table.slice(self.start, self.rows)


class TableSpool:
    """Keeps rows by group, in parts as they were added, whether they are in memory or on the disk.

    A context manager: leaving it drops the rows. It has at most one file open.

    Args:
        schema: columns of all rows.
        held_bytes: Arrow's size of the rows that may be in memory; a table that is added comes on
            top until it is filed.
    """

    def __init__(self, schema: pa.Schema, *, held_bytes: int = HELD_BYTES) -> None:
        self._schema = schema
        self._budget = held_bytes
        self._stack = ExitStack()
        self._file: IO[bytes] | None = None
        self._spilled: dict[str, list[int]] = {}
        self._held: dict[str, list[_Part]] = {}
        self.held_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.clear()
        self._stack.close()

    def add(self, table: pa.Table, runs: Iterable[tuple[str, int]]) -> None:
        """File a table whose rows are sorted by group: ``runs`` has each group and its rows."""
        start = 0
        for group, rows in runs:
            self._held.setdefault(group, []).append(_Part(table, start, rows))
            start += rows
        self.held_bytes += table.nbytes
        if self.held_bytes > self._budget:
            self._spill()

    def parts(self, group: str) -> Iterator[pa.Table]:
        """A group's rows in the order and in the parts in which they were added, one at a time."""
        for offset in self._spilled.get(group, ()):
            yield from self._spilled_at(offset)
        for part in self._held.get(group, ()):
            yield part.cut()

    def drop(self, group: str) -> None:
        """Keep a group's rows no longer."""
        self._spilled.pop(group, None)
        self._held.pop(group, None)

    def _spill(self) -> None:
        """Append what is held to the file: a stream for each group, a batch for each part."""
        if self._file is None:
            file = tempfile.TemporaryFile(prefix="landfall-")  # noqa: SIM115  # see __exit__
            self._file = self._stack.enter_context(file)
        self._file.seek(0, io.SEEK_END)  # whoever read a group has left it elsewhere
        for group, parts in self._held.items():
            self._spilled.setdefault(group, []).append(self._file.tell())
            with pa.ipc.new_stream(self._file, self._schema, options=SPILL_OPTIONS) as stream:
                for part in parts:
                    stream.write_table(part.cut())
        self._held.clear()
        self.held_bytes = 0

    def _spilled_at(self, offset: int) -> Iterator[pa.Table]:
        assert self._file is not None  # noqa: S101 - an offset is one of the file
        self._file.seek(offset)
        with pa.ipc.open_stream(self._file) as stream:
            for batch in stream:
                yield pa.Table.from_batches([batch])
