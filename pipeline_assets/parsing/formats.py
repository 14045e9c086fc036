"""The formats that a dataset may accept."""

from enum import StrEnum


class Format(StrEnum):
    """What the bytes of a landed object hold, once decompressed."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
