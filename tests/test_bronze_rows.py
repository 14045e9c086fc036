"""Bronze rows of a date, at once or in parts: the same rows, the same refusals."""

from collections.abc import Callable, Iterator, Sequence
from typing import IO

import polars as pl
import pyarrow as pa
import pytest

from pipeline_assets import bronze_rows
from pipeline_assets.bronze_rows import read_date, stream_date
from pipeline_assets.datasets.events import DATASET
from pipeline_assets.errors import DateRefusedError
from pipeline_assets.fragments import fragment_schema
from resources import lake as lake_module
from resources.aws import Aws
from resources.lake import Lake
from resources.landfall import Landfall
from resources.ledger.model import Fragment
from resources.parquet import EncodedTable, TableWriter, encode, row_groups

DAY = "2025-03-10"
SCHEMA = fragment_schema(DATASET)
Read = Callable[[Landfall, Sequence[Fragment]], pl.DataFrame]


def at_once(landfall: Landfall, manifest: Sequence[Fragment]) -> pl.DataFrame:
    return read_date(landfall, DATASET, manifest)


def in_parts(landfall: Landfall, manifest: Sequence[Fragment]) -> pl.DataFrame:
    empty = pl.DataFrame(SCHEMA.empty_table())
    return pl.concat([empty, *stream_date(landfall, DATASET, manifest)])


WAYS = pytest.mark.parametrize("read", [at_once, in_parts])


@pytest.fixture
def landfall(aws: Aws) -> Landfall:
    made = Landfall()
    made.aws = aws
    return made


def key_of(number: int) -> str:
    return f"bronze/events/event_date={DAY}/file-{number}.parquet"


def rows(number: int, count: int) -> pa.Table:
    columns = {
        name: pa.array([f"{name}-{number}-{row}" for row in range(count)], SCHEMA.field(name).type)
        if name != "_row"
        else pa.array(range(count), pa.int64())
        for name in SCHEMA.names
    }
    return pa.table(columns, schema=SCHEMA)


def stored(landfall: Landfall, number: int, table: pa.Table) -> Fragment:
    return put(landfall, number, encode(table))


def put(landfall: Landfall, number: int, encoded: EncodedTable) -> Fragment:
    with encoded.body:
        landfall.lake.put_fragment(key_of(number), encoded)
    return Fragment(
        file_id=f"file-{number}",
        epoch=1,
        event_date=DAY,
        landing_key=f"events/{number}.csv",
        fragment_key=key_of(number),
        rows=encoded.rows,
        malformed=0,
    )


@pytest.fixture
def manifest(landfall: Landfall) -> list[Fragment]:
    return [stored(landfall, number, rows(number, number + 1)) for number in range(20)]


@WAYS
def test_all_rows_come_in_the_manifests_order(
    landfall: Landfall, manifest: list[Fragment], read: Read
) -> None:
    found = read(landfall, manifest)

    assert found["_row"].to_list() == [row for n in range(20) for row in range(n + 1)]
    assert found["_raw"].to_list() == [f"_raw-{n}-{row}" for n in range(20) for row in range(n + 1)]
    assert found.columns == SCHEMA.names


def test_large_fragments_are_read_from_the_disk_in_row_groups(
    landfall: Landfall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_module, "SPOOLED_BYTES", 0)
    manifest = [stored(landfall, number, rows(number, 140_000)) for number in range(2)]

    parts = list(stream_date(landfall, DATASET, manifest))

    assert [part.height for part in parts] == [131_072, 131_072, 17_856]
    assert pl.concat(parts).equals(at_once(landfall, manifest))


def in_row_groups(landfall: Landfall, number: int, groups: int, count: int) -> Fragment:
    """A fragment of so many row groups of so many rows."""
    with TableWriter(SCHEMA) as writer:
        for _ in range(groups):
            writer.write(rows(number, count))
        return put(landfall, number, writer.finish())


class Watched:
    """What a stream has fetched and read so far."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.copies: list[IO[bytes]] = []
        self.groups = 0
        copy = Lake.copy_fragment

        def copied(lake: Lake, key: str) -> IO[bytes]:
            self.copies.append(copy(lake, key))
            return self.copies[-1]

        def counted(file: IO[bytes]) -> Iterator[pa.Table]:
            for group in row_groups(file):
                self.groups += 1
                yield group

        monkeypatch.setattr(Lake, "copy_fragment", copied)
        monkeypatch.setattr(bronze_rows, "row_groups", counted)

    @property
    def open_copies(self) -> int:
        return sum(not each.closed for each in self.copies)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_stream_is_only_as_far_ahead_as_it_has_threads(
    landfall: Landfall, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = [in_row_groups(landfall, number, groups=4, count=5) for number in range(9)]
    changed = landfall.settings.model_copy(update={"io_threads": threads})
    monkeypatch.setattr(landfall.aws, "settings", changed)
    monkeypatch.setattr(bronze_rows, "ROWS_PER_GROUP", 5)
    watched = Watched(monkeypatch)

    for number, part in enumerate(stream_date(landfall, DATASET, manifest)):
        assert part.height == 5
        assert watched.groups == number + 1, "the next part is read when it is asked for"
        assert len(watched.copies) <= number // 4 + threads
        assert watched.open_copies <= threads

    assert (watched.groups, len(watched.copies), watched.open_copies) == (36, 9, 0)


def test_a_stream_that_is_left_early_leaves_no_copy_open(
    landfall: Landfall, manifest: list[Fragment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bronze_rows, "ROWS_PER_GROUP", 1)
    watched = Watched(monkeypatch)
    parts = stream_date(landfall, DATASET, manifest)
    next(parts)
    assert watched.open_copies

    parts.close()  # type: ignore[attr-defined]  # a generator, as whoever calls it must not know

    assert not watched.open_copies
    assert len(watched.copies) < len(manifest)


@WAYS
def test_a_fragment_that_is_missing_refuses_the_date(
    landfall: Landfall, manifest: list[Fragment], read: Read
) -> None:
    landfall.lake.delete_fragments([key_of(7)])

    with pytest.raises(DateRefusedError, match=r"file-7\.parquet is missing"):
        read(landfall, manifest)


@WAYS
def test_a_fragment_of_other_rows_than_were_loaded_refuses_the_date(
    landfall: Landfall, manifest: list[Fragment], read: Read
) -> None:
    stored(landfall, 7, rows(7, 3))

    with pytest.raises(DateRefusedError, match=r"has 3 rows, but 8 were loaded from events/7\.csv"):
        read(landfall, manifest)


@WAYS
def test_a_damaged_fragment_refuses_the_date(
    landfall: Landfall, manifest: list[Fragment], read: Read
) -> None:
    bucket = landfall.settings.lake_bucket
    landfall.aws.s3.put_object(Bucket=bucket, Key=key_of(7), Body=b"PAR1 no more")

    with pytest.raises(DateRefusedError, match=r"file-7\.parquet is damaged"):
        read(landfall, manifest)


@WAYS
def test_a_field_that_a_fragment_lacks_is_null(landfall: Landfall, read: Read) -> None:
    older = stored(landfall, 1, rows(1, 2).drop_columns(["sessionId"]))

    found = read(landfall, [older, stored(landfall, 2, rows(2, 1))])

    assert found["sessionId"].to_list() == [None, None, "sessionId-2-0"]


@WAYS
def test_a_date_without_fragments_has_no_rows(landfall: Landfall, read: Read) -> None:
    assert read(landfall, []).height == 0
