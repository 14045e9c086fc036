import gzip
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from landed_bytes import EVERY_FORMAT, Reader

from pipeline_assets.errors import CorruptFileError, UnsupportedFormatError
from pipeline_assets.parsing.formats import Format
from pipeline_assets.parsing.reader import open_records
from pipeline_assets.parsing.records import Layout


def parquet(rows: int = 3) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": [str(n) for n in range(rows)]}), sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("data", "key", "expected"),
    [
        (parquet(), "x.csv", Format.PARQUET),
        (gzip.compress(parquet(), mtime=0), "x", Format.PARQUET),
        (b' \n\t{"a":1}', "x.csv", Format.JSON),
        (gzip.compress(b'{"a":1}', mtime=0), "x.csv", Format.JSON),
        (b"[1]\n", "x.jsonl", Format.JSON),
        (b"[1]\n", "x.NDJSON.GZ", Format.JSON),
        (b"a,b\n", "x.csv", Format.CSV),
        (b"a,b\n", "x.csv.gz", Format.CSV),
        (b"a,b\n", "clicks-1-2024", Format.CSV),
        (b"a,b\n", "x.data", Format.CSV),
    ],
    ids=range(10),
)
def test_the_format_is_told_by_content_then_name(
    read: Reader, data: bytes, key: str, expected: Format
) -> None:
    assert read(data, key).format is expected


@pytest.mark.parametrize(
    ("data", "key", "formats"),
    [
        (parquet(), "x.csv", {Format.CSV}),
        (b'{"a":1}', "x.csv", {Format.CSV, Format.PARQUET}),
        (b"a,b\n", "x.csv", {Format.JSON}),
        (b"a,b\n", "x", {Format.JSON}),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "x.png", set(Format)),
    ],
)
def test_a_format_that_the_dataset_does_not_take_is_refused(
    read: Reader, data: bytes, key: str, formats: set[Format]
) -> None:
    with pytest.raises(UnsupportedFormatError, match=f"^{key}: .*the dataset takes"):
        read(data, key, formats=frozenset(formats))


@pytest.mark.parametrize("key", ["x", "x.csv", "x.json", "x.parquet", "x.csv.gz"])
@pytest.mark.parametrize("formats", [{Format.CSV}, {Format.JSON}, {Format.PARQUET}, set(Format)])
@pytest.mark.parametrize("data", [b"", gzip.compress(b"")], ids=["plain", "gzip"])
def test_an_empty_file_has_no_records(
    read: Reader, data: bytes, key: str, formats: set[Format]
) -> None:
    found = read(data, key, formats=frozenset(formats))
    assert (found.rows, found.counted) == ([], 0)


BODY = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(300_000))
STREAM = gzip.compress(BODY, 1)


@pytest.mark.parametrize(
    "damaged",
    [
        STREAM[:-1],
        STREAM[:-9],
        STREAM[: len(STREAM) // 2],
        STREAM[:5],
        STREAM[:2],
        STREAM[:20] + b"\0" * 50 + STREAM[70:],
        STREAM[:-8] + b"\0" * 8,
        STREAM + b"trailing",
    ],
    ids=["end", "footer", "half", "header", "magic", "inside", "checksum", "after"],
)
@pytest.mark.parametrize("name", ["f.csv.gz", "f.json.gz", "f.parquet.gz"])
def test_a_damaged_gzip_stream_is_a_corrupt_file(read: Reader, name: str, damaged: bytes) -> None:
    with pytest.raises(CorruptFileError, match=f"^{name}: the file is cut or damaged") as raised:
        read(damaged, name)
    assert not raised.value.retryable


def test_gzip_of_several_members_is_one_file(read: Reader) -> None:
    data = b"".join(gzip.compress(part) for part in (b"a,b\n1,", b"", b"2\n3", b",4\n"))
    assert [row["b"] for row in read(data, "f.csv.gz").good] == ["2", "4"]


def test_the_count_is_refused_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"a\n1\n2\n")
    with open_records(path, key="f.csv", formats=EVERY_FORMAT, layout=Layout(("a",), 1)) as it:
        for batch in it:
            assert batch.num_rows == 1
            with pytest.raises(RuntimeError, match=r"f\.csv: read every batch"):
                _ = it.counted
        assert it.counted == 2


def test_leaving_early_removes_what_was_decompressed(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet.gz"
    path.write_bytes(gzip.compress(parquet()))
    with open_records(
        path, key="f.parquet.gz", formats=EVERY_FORMAT, layout=Layout(("a",), 1)
    ) as reader:
        next(iter(reader))
        assert len(list(tmp_path.iterdir())) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_local_file_is_no_corrupt_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_records(tmp_path / "gone", key="f", formats=EVERY_FORMAT, layout=Layout(("a",)))
