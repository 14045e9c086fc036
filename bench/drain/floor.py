"""The least that any pipeline must do: the bytes once there, once back, and once through DuckDB."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import duckdb

from resources.aws import Aws

VALID = r"""
    eventType IN ('page_view', 'click', 'purchase', 'signup')
    AND regexp_matches(userId, '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')
    AND timestamp IS NOT NULL
"""
COLUMNS = (
    "{eventType: 'VARCHAR', userId: 'VARCHAR', timestamp: 'TIMESTAMPTZ', eventId: 'VARCHAR', "
    "sessionId: 'VARCHAR', properties: 'VARCHAR'}"
)
READERS: Mapping[str, str] = {
    "csv": f"read_csv(?, columns={COLUMNS}, header=true, strict_mode=true, ignore_errors=true)",
    "json": f"read_json(?, columns={COLUMNS}, format='newline_delimited', ignore_errors=true)",
    "parquet": "read_parquet(?)",
}


@dataclass(frozen=True)
class Floor:
    """The landed objects and the fragments that ours made of them, as keys."""

    aws: Aws
    landed: Sequence[str]
    fragments: Sequence[str]
    output_bucket: str
    folder: Path

    def run(self) -> int:
        """Get and put each landed object, get each fragment, read all; its valid rows."""
        with ThreadPoolExecutor(self.aws.settings.io_threads) as pool:
            paths = list(pool.map(self._copy, enumerate(self.landed)))
            sizes = list(pool.map(self._fetch, self.fragments))
        if not all(sizes):
            raise AssertionError("a fragment is empty")
        return _valid_rows(paths)

    def _copy(self, numbered: tuple[int, str]) -> Path:
        number, key = numbered
        bucket = self.aws.settings.landing_bucket
        body = self.aws.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        self.aws.s3.put_object(Bucket=self.output_bucket, Key=f"floor/{key}", Body=body)
        path = self.folder / f"{number}.{Path(key).name.partition('.')[2]}"
        path.write_bytes(body)
        return path

    def _fetch(self, key: str) -> int:
        answer = self.aws.s3.get_object(Bucket=self.aws.settings.lake_bucket, Key=key)
        return len(answer["Body"].read())


def _valid_rows(paths: Sequence[Path]) -> int:
    """Valid rows of all files, by one pass over each format."""
    by_format: dict[str, list[str]] = {}
    for path in paths:
        by_format.setdefault(_format(path), []).append(str(path))
    with duckdb.connect() as connection:
        counts = [
            connection.execute(
                f"SELECT count(*) FROM {READERS[name]} WHERE {VALID}",  # noqa: S608 - our own
                [files],
            ).fetchall()
            for name, files in by_format.items()
        ]
    return sum(int(count) for (count,) in chain.from_iterable(counts))


def _format(path: Path) -> str:
    return next(name for name in READERS if f".{name}" in path.name)
