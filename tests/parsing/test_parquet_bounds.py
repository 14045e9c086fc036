"""Files that would take more than a machine has, or whose footers lie: refused by name, in time."""

import io
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from landed_bytes import Reader

from pipeline_assets.errors import CorruptFileError, LimitExceededError
from pipeline_assets.parsing.formats import Kind

MB = 1024 * 1024
BARE: dict[str, Any] = {"use_dictionary": False, "write_statistics": False, "store_schema": False}
"""A footer in which the numbers of rows stand nowhere else."""
IN_A_PROCESS = """
import json, resource, sys, time
from pathlib import Path
from landed_bytes import read_file
from pipeline_assets.errors import LandfallError
from pipeline_assets.parsing.formats import Format, Kind, Writing
from pipeline_assets.parsing.reader import open_records
from pipeline_assets.parsing.records import Layout
import pipeline_assets.parsing.parquet_records, pyarrow as pa

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024

layout = Layout(("a", "b"), int(sys.argv[2]), Writing(kinds={"b": Kind.JSON}))
before, rows, said = peak(), 0, ""
try:
    path = Path(sys.argv[1])
    with open_records(path, key="f", formats=frozenset(Format), layout=layout) as reader:
        for batch in reader:
            rows += batch.num_rows
except LandfallError as error:
    said = f"{type(error).__name__} {error}"
print(json.dumps({"rows": rows, "said": said, "peak": peak() - before}))
"""


def parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def read_in_a_process(data: bytes, folder: Path, batch_rows: int = 65_536) -> dict[str, Any]:
    """Rows read, the error's text, and how many MiB the reader added to the process."""
    path = folder / "object"
    path.write_bytes(data)
    command = [sys.executable, "-c", IN_A_PROCESS, str(path), str(batch_rows)]
    done = subprocess.run(  # noqa: S603 - this interpreter
        command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"died with {done.returncode}: {done.stderr[-500:]}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def repeated(size: int, times: int) -> pa.Array:
    indices = pa.array(np.zeros(times, dtype="int32"))
    return pa.DictionaryArray.from_arrays(indices, pa.array(["x" * size]))


def varint(number: int) -> bytes:
    """Zigzag, as Thrift's compact protocol writes a positive integer."""
    number, written = number * 2, b""
    while number >= 128:
        written += bytes([number % 128 + 128])
        number //= 128
    return written + bytes([number])


def with_footer(data: bytes, footer: bytes) -> bytes:
    length = struct.unpack("<I", data[-8:-4])[0]
    return data[: -8 - length] + footer + struct.pack("<I", len(footer)) + b"PAR1"


def footer_of(data: bytes) -> bytes:
    return data[-8 - struct.unpack("<I", data[-8:-4])[0] : -8]


@pytest.mark.parametrize("options", [{}, {"store_schema": False}])
def test_a_long_value_in_each_row_is_refused_in_little_memory(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    data = parquet(pa.table({"a": repeated(MB, 100_000)}), **options)
    found = read_in_a_process(data, tmp_path)
    assert "decoded bytes for each stored one where 2,000 are allowed" in found["said"]
    assert found["peak"] < 400


def test_a_long_value_in_each_item_of_a_list_is_refused_in_little_memory(tmp_path: Path) -> None:
    lists = pa.ListArray.from_arrays(range(0, 100_001, 10), repeated(100_000, 100_000))
    found = read_in_a_process(parquet(pa.table({"b": lists}), store_schema=False), tmp_path)
    assert "decoded bytes for each stored one" in found["said"]
    assert found["peak"] < 400


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (pa.string(), "bytes in a record where"),
        (pa.binary(4_000), "decoded bytes for each stored one"),
    ],
    ids=["string", "fixed length"],
)
def test_a_row_that_holds_every_value_of_its_group_is_refused_in_little_memory(
    tmp_path: Path, kind: pa.DataType, said: str
) -> None:
    values, rows = 400_000, 60_000
    indices = pa.array(np.zeros(values, dtype="int32"))
    items = pa.DictionaryArray.from_arrays(indices, pa.array([b"v" * 4_000]).cast(kind))
    lists = pa.ListArray.from_arrays(pa.array([0] + [values] * rows, pa.int32()), items)
    found = read_in_a_process(parquet(pa.table({"b": lists}), store_schema=False), tmp_path)
    assert said in found["said"]
    assert found["peak"] < 400


def test_values_that_each_begin_with_the_one_before_are_refused_in_little_memory(
    tmp_path: Path,
) -> None:
    values = pa.array([f"{'x' * 20_000}{n}" for n in range(15_000)])
    data = parquet(
        pa.table({"a": values}), use_dictionary=False, column_encoding={"a": "DELTA_BYTE_ARRAY"}
    )
    assert len(data) < MB
    found = read_in_a_process(data, tmp_path)
    assert "decoded bytes for each stored one" in found["said"]
    assert found["peak"] < 500


def test_a_row_group_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    values = np.random.default_rng(1).bytes(150 * MB // 2).hex()
    rows = [values[at : at + 1000] for at in range(0, len(values), 1000)]
    data = parquet(
        pa.table({"a": rows}), use_dictionary=False, compression="none", row_group_size=10**6
    )
    found = read_in_a_process(data, tmp_path, batch_rows=4096)
    assert (found["rows"], found["said"]) == (len(rows), "")
    assert found["peak"] < 100


def test_pages_that_unpack_too_far_are_refused_before_they_are(read: Reader) -> None:
    values = pa.array(["x" * 1000] * 100_000)
    data = parquet(pa.table({"a": values}), compression="zstd", use_dictionary=False)
    with pytest.raises(LimitExceededError, match=r"decompressed bytes for each stored one where 2"):
        read(data, "f", ratio=20)
    with pytest.raises(LimitExceededError, match=r"bytes once decompressed where 1,000,000"):
        read(data, "f", decompressed_bytes=1_000_000)


def test_pages_that_do_not_fit_into_memory_together_are_refused(read: Reader) -> None:
    table = pa.table({"a": ["x" * 1000] * 200})  # a page of 200 kB
    with pytest.raises(LimitExceededError, match=r"bytes in pages.* 131,072 .*MAX_RECORD_BYTES"):
        read(parquet(table, **BARE), "f", record_bytes=2 * 1024)


def test_a_row_longer_than_a_record_may_be_is_refused(read: Reader) -> None:
    data = parquet(pa.table({"a": ["x", "y" * 5000, "z"], "c": ["x" * 5000] * 3}))
    assert read(data, "f", record_bytes=11_000).counted == 3
    with pytest.raises(LimitExceededError, match="10,000 bytes in a record where 9,000"):
        read(data, "f", record_bytes=9_000)


def test_rows_of_nothing_are_refused_where_a_few_bytes_make_millions(read: Reader) -> None:
    data = parquet(pa.table({"a": pa.nulls(70_000_000, pa.int8())}), row_group_size=70_000_000)
    with pytest.raises(LimitExceededError, match="decompressed bytes for each stored one"):
        read(data, "f")


def test_a_longer_footer_than_a_record_is_refused_unread(read: Reader) -> None:
    data = parquet(pa.table({f"c{n}": [n] for n in range(200)}))
    with pytest.raises(LimitExceededError, match="bytes in its footer where 4,096"):
        read(data, "f", record_bytes=4_096)


def test_more_columns_than_are_allowed_are_refused(read: Reader) -> None:
    data = parquet(pa.table({"a": [{"p": 1, "q": 2}], "b": [3]}))
    assert read(data, "f", fields=("b",), columns=3).counted == 1
    with pytest.raises(LimitExceededError, match=r"3 columns where 2 .*LANDFALL_MAX_COLUMNS"):
        read(data, "f", fields=("b",), columns=2)


ROWS = 12_345
HONEST = parquet(pa.table({"a": pa.array(range(ROWS)), "b": pa.array(range(ROWS))}), **BARE)


@pytest.mark.parametrize("which", ["all", "last", "first"])
@pytest.mark.parametrize("claimed", [12_344, 12_346, 1_000_000])
def test_a_footer_that_lies_about_rows_is_a_corrupt_file(
    read: Reader, which: str, claimed: int
) -> None:
    footer, told, lie = footer_of(HONEST), varint(ROWS), varint(claimed)
    assert footer.count(told) == 6, "file, row group, and twice in each of two columns"
    if which == "all":
        footer = footer.replace(told, lie)
    elif which == "first":
        footer = footer.replace(told, lie, 1)
    else:
        at = footer.rindex(told)
        footer = footer[:at] + lie + footer[at + len(told) :]
    with pytest.raises(CorruptFileError, match="cut or damaged"):
        read(with_footer(HONEST, footer), "f")


def test_a_footer_of_billions_of_rows_is_refused_at_once(tmp_path: Path) -> None:
    footer = footer_of(HONEST).replace(varint(ROWS), varint(10**12))
    found = read_in_a_process(with_footer(HONEST, footer), tmp_path)
    assert found["said"].startswith("LimitExceededError")
    assert (found["rows"], found["peak"] < 50) == (0, True)


def test_row_groups_that_share_their_bytes_are_a_corrupt_file(read: Reader) -> None:
    data = parquet(pa.table({"a": [f"{n}" for n in range(2_000)]}), row_group_size=1_000)
    size = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(0).total_compressed_size
    footer = footer_of(data)
    assert varint(size) in footer
    lie = with_footer(data, footer.replace(varint(size), varint(len(data) - 1)))
    with pytest.raises(CorruptFileError, match=r"tells of columns of .* bytes, the file has"):
        read(lie, "f")


def test_statistics_of_a_wrong_shape_do_not_end_the_process(tmp_path: Path) -> None:
    """Arrow's view of such a chunk throws where Python cannot catch it."""
    data = parquet(pa.table({"a": pa.array([1, None, 3], pa.int64())}))
    optional, required = b"\x25\x02\x18\x01a", b"\x25\x00\x18\x01a"
    footer = footer_of(data)
    assert footer.count(optional) == 1
    found = read_in_a_process(with_footer(data, footer.replace(optional, required)), tmp_path)
    assert found["said"].startswith("CorruptFileError") or found["rows"] == 3


def test_a_footer_of_nothing_but_rows_and_one_without_any_are_read(read: Reader) -> None:
    empty = pa.table({"a": pa.array([], pa.string())})
    for data in (parquet(empty), parquet(pa.table({})), with_footer(HONEST, b"")):
        try:
            assert read(data, "f").counted == 0
        except CorruptFileError as error:
            assert data.endswith(b"\0\0\0\0PAR1"), error  # noqa: PT017 - only that one has no footer


def test_small_batches_are_put_together_again(read: Reader) -> None:
    values = [f"{'x' * 100}{n}" for n in range(30_000)]
    data = parquet(
        pa.table({"a": values}), use_dictionary=False, column_encoding={"a": "DELTA_BYTE_ARRAY"}
    )
    found = read(data, "f", kinds={"b": Kind.JSON}, record_bytes=64 * 1024)
    assert [row["a"] for row in found.good] == values
