import contextlib
import gzip
import io
import json
import random
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from landed_bytes import Reader

from pipeline_assets.errors import CorruptFileError
from pipeline_assets.parsing.formats import Kind


def parquet(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def column(values: list[object], kind: pa.DataType) -> bytes:
    return parquet(pa.table({"a": pa.array(values, kind)}))


MOMENT = datetime(2010, 12, 3, 9, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "kind", "texts"),
    [
        (["x", "", None], pa.string(), ["x", "", None]),
        (["x", None], pa.string_view(), ["x", None]),
        (["x", "y", None], pa.dictionary(pa.int32(), pa.string()), ["x", "y", None]),
        ([2**64 - 1, None], pa.uint64(), ["18446744073709551615", None]),
        ([-1], pa.int8(), ["-1"]),
        ([1.0, 0.1, 1e300, None], pa.float64(), ["1.0", "0.1", "1e+300", None]),
        ([0.1], pa.float32(), ["0.1"]),
        ([1.5], pa.float16(), ["1.5"]),
        ([Decimal("4.50"), None], pa.decimal128(10, 2), ["4.50", None]),
        ([True, False, None], pa.bool_(), ["true", "false", None]),
        ([MOMENT], pa.timestamp("s"), ["2010-12-03T09:31:00Z"]),
        ([MOMENT, None], pa.timestamp("us", "UTC"), ["2010-12-03T09:31:00Z", None]),
        ([MOMENT], pa.timestamp("ns", "America/New_York"), ["2010-12-03T09:31:00Z"]),
        (
            [MOMENT + timedelta(microseconds=120)],
            pa.timestamp("us"),
            ["2010-12-03T09:31:00.000120Z"],
        ),
        ([MOMENT + timedelta(milliseconds=5)], pa.timestamp("ms"), ["2010-12-03T09:31:00.005Z"]),
        ([date(2010, 12, 3)], pa.date32(), ["2010-12-03"]),
        ([time(9, 31)], pa.time32("s"), ["09:31:00"]),
        ([time(9, 31, 0, 5)], pa.time64("us"), ["09:31:00.000005"]),
        ([b"x\xc3\xa9", b"\xff\x00", None], pa.binary(), ["x\xe9", "ff00", None]),
        ([b"\xff\x01"], pa.binary(2), ["ff01"]),
        ([None], pa.null(), [None]),
    ],
)
def test_values_become_text(
    read: Reader, values: list[object], kind: pa.DataType, texts: list[str | None]
) -> None:
    found = read(column(values, kind), "f")
    assert [row["a"] for row in found.good] == texts
    assert found.counted == len(values)


@pytest.mark.parametrize(
    ("values", "kind", "texts"),
    [
        (
            [{"p": "\xe9", "q": [1, None]}, None],
            pa.struct({"p": pa.string(), "q": pa.list_(pa.int64())}),
            ['{"p":"\xe9","q":[1,null]}', None],
        ),
        ([[("p", 1)], []], pa.map_(pa.string(), pa.int64()), ['{"p":1}', "{}"]),
        ([[("p", 1), ("p", 2)]], pa.map_(pa.string(), pa.int64()), ['[["p",1],["p",2]]']),
        ([[MOMENT]], pa.list_(pa.timestamp("us", "UTC")), ['["2010-12-03T09:31:00Z"]']),
        ([[b"\xff"]], pa.list_(pa.binary()), ['["ff"]']),
        ([[float("nan")]], pa.list_(pa.float64()), ['["nan"]']),
        ([[Decimal("1.50")]], pa.list_(pa.decimal128(5, 2)), ['["1.50"]']),
    ],
)
def test_nested_values_become_compact_json(
    read: Reader, values: list[object], kind: pa.DataType, texts: list[str | None]
) -> None:
    found = read(column(values, kind), "f", kinds={"a": Kind.JSON})
    assert [row["a"] for row in found.good] == texts


def test_text_that_is_not_utf8_keeps_its_row(read: Reader) -> None:
    broken = pa.array([b"x", b"\xff\xfe"], pa.binary()).view(pa.string())
    found = read(parquet(pa.table({"a": broken})), "f")
    assert [row["a"] for row in found.good] == ["x", "fffe"]


def test_a_moment_beyond_the_calendar_keeps_its_row(read: Reader) -> None:
    found = read(column([2**62, 0], pa.timestamp("us")), "f")
    assert found.counted == 2
    assert found.good[1]["a"] == "1970-01-01T00:00:00Z"


def test_names_match_like_csv_headers_and_the_rest_is_rescued(read: Reader) -> None:
    table = pa.table(
        {
            "user_id": ["u"],
            "n": pa.array([1], pa.int64()),
            "x": [0.5],
            "t": pa.array([MOMENT], pa.timestamp("us")),
            "none": pa.array([None], pa.string()),
        }
    )
    rescued = {"n": 1, "x": 0.5, "t": "2010-12-03T09:31:00Z", "none": None}
    for more in ({}, {"deep": [{"p": [1]}]}):
        wider = table
        for name, values in more.items():
            wider = wider.append_column(name, pa.array([values]))
        (row,) = read(parquet(wider), "f", fields=("userId", "gone")).good
        assert (row["userId"], row["gone"]) == ("u", None)
        assert json.loads(str(row["_rescued"])) == rescued | more


def test_row_groups_and_batches_keep_the_order(read: Reader) -> None:
    table = pa.table({"a": [str(n) for n in range(1000)]})
    found = read(parquet(table, row_group_size=70), "f", batch_rows=33)
    assert [row["a"] for row in found.rows] == [str(n) for n in range(1000)]
    assert found.counted == 1000


def test_a_file_without_rows_has_no_records(read: Reader) -> None:
    found = read(column([], pa.string()), "f")
    assert (found.rows, found.counted) == ([], 0)


KINDS = {"b": Kind.JSON}
SOUND = parquet(
    pa.table({"a": [f"value {n}" for n in range(5_000)], "b": [{"p": n} for n in range(5_000)]}),
    row_group_size=1_000,
    write_page_checksum=True,
)


@pytest.mark.parametrize("length", [4, 5, 8, 12, 100, len(SOUND) // 2, len(SOUND) - 1])
def test_a_cut_file_is_a_corrupt_file(read: Reader, length: int) -> None:
    with pytest.raises(CorruptFileError, match=r"^f\.parquet: the file is cut or damaged"):
        read(SOUND[:length], "f.parquet")


def test_a_damaged_page_is_a_corrupt_file_even_after_good_batches(read: Reader) -> None:
    at = len(SOUND) // 2
    damaged = SOUND[:at] + b"\0" * 64 + SOUND[at + 64 :]
    with pytest.raises(CorruptFileError, match=r"^f\.parquet: "):
        read(damaged, "f.parquet", kinds=KINDS)


def test_no_damage_raises_anything_but_a_corrupt_file(read: Reader) -> None:
    chance = random.Random(7)  # noqa: S311 - repeatable damage, no secret
    for _ in range(150):
        data = bytearray(SOUND)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(4, len(data))] = chance.randrange(256)
        with contextlib.suppress(CorruptFileError):  # damage may also leave a sound file
            read(bytes(data), "f.parquet", kinds=KINDS)


@pytest.mark.parametrize(
    ("data", "looks"),
    [(b"not parquet at all", "plain text"), ("a,b\né,1\n".encode(), "CSV"), (b"a|b\n", "CSV")],
)
def test_text_instead_of_parquet_is_told_as_what_it_looks_like(
    read: Reader, data: bytes, looks: str
) -> None:
    for landed in (data, gzip.compress(data)):
        with pytest.raises(CorruptFileError, match=f"says Parquet.*looks like {looks}"):
            read(landed, "f.parquet")


@pytest.mark.parametrize("data", [b"\0\1\2", b"\xff\xfe\xfd", b"PAR1", b"PAR1 and no more"])
def test_what_is_neither_text_nor_whole_is_told_as_damaged(read: Reader, data: bytes) -> None:
    with pytest.raises(CorruptFileError, match="cut or damaged"):
        read(data, "f.parquet")
