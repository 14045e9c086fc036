"""The one way in: the bytes of a landed object as batches of records."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pyarrow as pa

from pipeline_assets.parsing.content import Content
from pipeline_assets.parsing.csv_records import read_csv
from pipeline_assets.parsing.detection import detect_format
from pipeline_assets.parsing.formats import Format
from pipeline_assets.parsing.json_records import read_json
from pipeline_assets.parsing.parquet_records import read_parquet
from pipeline_assets.parsing.records import Layout

Batches = Generator[pa.RecordBatch, None, int]

READERS: Final[dict[Format, Callable[[Content, Layout], Batches]]] = {
    Format.CSV: read_csv,
    Format.JSON: read_json,
    Format.PARQUET: read_parquet,
}


class RecordReader:
    """Batches of one file, once, in file order; a context manager that closes the file.

    Each batch has ``record_schema(fields)`` and at least one row. ``_row`` runs from 1 without a
    gap. Iterating raises CorruptFileError as soon as the bytes turn out to be damaged; what was
    yielded before counts for nothing then.
    """

    def __init__(self, content: Content, file_format: Format, layout: Layout) -> None:
        self.key = content.key
        self.format = file_format
        self.notes = layout.notes
        self._counted: int | None = None
        self._batches = self._read(READERS[file_format](content, layout))

    def _read(self, batches: Batches) -> Generator[pa.RecordBatch, None, None]:
        try:
            counted = yield from batches
        finally:
            batches.close()
        self._counted = counted

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._batches

    @property
    def counted(self) -> int:
        """Records in the file by a count that owes nothing to the parser.

        CSV and JSON: framing of the bytes; Parquet: the footer's number of rows.

        Raises:
            RuntimeError: the batches are not read to the end yet.
        """
        if self._counted is None:
            raise RuntimeError(f"{self.key}: read every batch before asking for the count")
        return self._counted

    def close(self) -> None:
        """Close the file and remove what was decompressed beside it."""
        self._batches.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_records(
    path: Path, *, key: str, formats: frozenset[Format], layout: Layout
) -> RecordReader:
    """Open a local file that holds a landed object's bytes, compressed or not.

    Args:
        path: the file; compressed Parquet is unpacked into a temporary file beside it.
        key: the S3 key, for messages and as the last resort for the format.
        formats: what the dataset accepts.
        layout: the fields that are asked for, and what bounds the reader.

    Raises:
        UnsupportedFormatError: neither content nor name is one of ``formats``; an archive.
        CorruptFileError: the compressed stream is broken in its beginning.
        LimitExceededError: a limit is crossed in its beginning.
    """
    content = Content(path, key, layout.limits, layout.writing.encoding)
    file_format = detect_format(content, formats)
    layout.notes.facts["compression"] = content.compression.value
    if file_format is not Format.PARQUET:
        layout.notes.facts["encoding"] = content.encoding
    return RecordReader(content, file_format, layout)
