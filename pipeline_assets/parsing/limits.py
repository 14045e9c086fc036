"""How much of a landed object is read before it is given up, and what else bounds a reader."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one file; crossing one is a permanent failure that names it.

    They are there for what is broken or hostile: a stream of a few kilobytes that grows to a
    terabyte, a quote or brace that is never closed.

    Attributes:
        decompressed_bytes: most bytes of a file once it is decompressed.
        ratio: most decompressed bytes for each stored one, judged from ``RATIO_FROM`` on.
        record_bytes: most bytes of one record, as UTF-8; of Parquet also of the footer, and what is
            in memory at a time is a multiple of it.
        columns: most columns of a CSV header or a Parquet schema, and most names of a JSON object.
    """

    decompressed_bytes: int = 50_000_000_000
    ratio: int = 200
    record_bytes: int = 16 * 1024 * 1024
    columns: int = 5_000


RATIO_FROM = 64 * 1024 * 1024
"""So many bytes may come of any stored ones: little text of one kind packs very well, and no
machine is harmed by this much."""
