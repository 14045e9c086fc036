"""A file's records in fragments by event date, in the lake of a local AWS."""

import errno
import threading
from dataclasses import dataclass, field
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_assets import fragments
from pipeline_assets.datasets.readings import DATASET
from pipeline_assets.fragments import FragmentWriter, fragment_schema
from pipeline_assets.parsing.records import record_schema
from pipeline_assets.probing import Probe, with_valid_row
from resources.aws import Aws
from resources.landfall import Landfall
from resources.ledger.model import FileHead, FileState, LoadedFile
from resources.parquet import TableWriter
from resources.table_spool import HELD_BYTES

DATES = 40
BATCHES = 5
FIRST = date(2024, 1, 1)
HEAD = FileHead(
    file_id="0123456789abcdef",
    bucket="landing",
    key="readings/years.csv",
    dataset="readings",
    etag="etag",
    size=1,
    landed_at="2025-03-01T00:00:00.000Z",
    file_date="2025-03-01",
    epoch=2,
    attempts=0,
    state=FileState.LOADING,
    due_at="2025-03-01T00:00:00.000Z",
)


@dataclass(frozen=True)
class Stored:
    """What the ledger is told, and the bytes in the lake by event date."""

    loaded: LoadedFile
    fragments: dict[str, bytes]
    probes: tuple[Probe, ...] = field(compare=False)


@pytest.fixture
def landfall(aws: Aws) -> Landfall:
    made = Landfall()
    made.aws = aws
    return made


def records(number: int) -> pa.RecordBatch:
    """Two readings of each date, from the last date to the first, and a malformed record."""
    days = [FIRST + timedelta(days=day) for day in range(DATES)][::-1] * 2
    schema = record_schema(DATASET.fields)
    columns: dict[str, list[object]] = {name: [None] * (len(days) + 1) for name in schema.names}
    start = number * (len(days) + 1) + 1
    columns["_row"] = [*range(start, start + len(days) + 1)]
    columns["deviceId"] = ["d", *["d"] * len(days)]
    columns["timestamp"] = [None, *(f"{day}T0{number}:00:00Z" for day in days)]
    columns["metric"] = ["heat"] * (len(days) + 1)
    columns["value"] = [str(number)] * (len(days) + 1)
    columns["_error"][0], columns["_raw"][0] = "cut", "d;"
    return pa.RecordBatch.from_pydict(columns, schema=schema)


def stored(landfall: Landfall, held_bytes: int) -> Stored:
    """The fragments of a file of five batches, read back."""
    with FragmentWriter(DATASET, HEAD, held_bytes=held_bytes) as writer:
        for number in range(BATCHES):
            writer.add(records(number))
        loaded = writer.store(landfall)
    bodies = {
        each.event_date: landfall.aws.s3.get_object(
            Bucket=landfall.settings.lake_bucket, Key=each.fragment_key
        )["Body"].read()
        for each in loaded.fragments
    }
    return Stored(loaded, bodies, tuple(writer.probes))


def table(body: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(body))


def test_fragments_are_the_same_bytes_whether_the_file_fits_into_memory_or_not(
    landfall: Landfall,
) -> None:
    roomy = stored(landfall, 1 << 30)
    for held_bytes in (0, 15_000):
        assert stored(landfall, held_bytes) == roomy


def test_each_date_has_its_rows_in_their_order_and_the_file_all_of_them(
    landfall: Landfall,
) -> None:
    found = stored(landfall, 0)

    assert (found.loaded.records, found.loaded.malformed) == (BATCHES * (2 * DATES + 1), BATCHES)
    assert with_valid_row({"a": found.probes}, DATASET) == {"a"}
    days = [(FIRST + timedelta(days=day)).isoformat() for day in range(DATES)]
    assert [*found.fragments] == [*days, HEAD.file_date]
    for each in found.loaded.fragments:
        rows = table(found.fragments[each.event_date])
        assert rows.schema.names == fragment_schema(DATASET).names
        assert rows.num_rows == each.rows
        assert rows["_row"].to_pylist() == sorted(rows["_row"].to_pylist())
        assert set(rows["_file_id"].to_pylist()) == {HEAD.file_id}
        assert set(rows["_landed_at"].to_pylist()) == {HEAD.landed_at}
    assert [each.malformed for each in found.loaded.fragments] == [0] * DATES + [BATCHES]
    malformed = table(found.fragments[HEAD.file_date])
    assert malformed["_raw"].to_pylist() == ["d;"] * BATCHES


def test_the_rows_of_a_date_that_came_in_many_batches_are_one_row_group(
    landfall: Landfall,
) -> None:
    found = stored(landfall, 0)

    for body in found.fragments.values():
        assert pq.ParquetFile(pa.BufferReader(body)).num_row_groups == 1


def test_row_groups_are_bounded_by_the_text_in_them(
    landfall: Landfall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fragments, "GATHERED_BYTES", 100)
    (first, *_) = stored(landfall, 0).fragments.values()

    assert pq.ParquetFile(pa.BufferReader(first)).num_row_groups > 1


@pytest.mark.parametrize("encoded_dates", [2, DATES])
@pytest.mark.parametrize("held_bytes", [0, HELD_BYTES])
def test_dates_encoded_while_the_file_is_read_have_the_same_bytes(
    landfall: Landfall, monkeypatch: pytest.MonkeyPatch, encoded_dates: int, held_bytes: int
) -> None:
    monkeypatch.setattr(fragments, "ROWS_PER_GROUP", 4)  # two batches
    encoded: set[str] = set()

    def noted(writer: TableWriter, table: pa.Table) -> None:
        if threading.current_thread().name.startswith("encoder"):
            encoded.update(str(each) for each in table["timestamp"].to_pylist() if each)
        write(writer, table)

    write = TableWriter.write
    monkeypatch.setattr(TableWriter, "write", noted)
    monkeypatch.setattr(fragments, "ENCODED_DATES", 0)
    afterwards = stored(landfall, held_bytes)
    assert not encoded
    monkeypatch.setattr(fragments, "ENCODED_DATES", encoded_dates)

    assert stored(landfall, held_bytes) == afterwards
    assert len({each[:10] for each in encoded}) == encoded_dates


def test_a_row_group_that_cannot_be_encoded_fails_the_file(
    landfall: Landfall, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(fragments, "ROWS_PER_GROUP", 4)
    monkeypatch.setattr(TableWriter, "write", full)

    with pytest.raises(OSError, match="no space left"):
        stored(landfall, HELD_BYTES)


def test_a_file_without_records_has_no_fragment(landfall: Landfall) -> None:
    with FragmentWriter(DATASET, HEAD) as writer:
        writer.add(records(0).slice(0, 0))
        loaded = writer.store(landfall)

    assert (loaded.fragments, loaded.records, loaded.malformed) == ((), 0, 0)
    assert writer.probes == []
