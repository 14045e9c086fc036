"""What columns of every Arrow type become, and which of them a field refuses."""

import io
import json
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from landed_bytes import Reader

from pipeline_assets.errors import ColumnTypeError
from pipeline_assets.parsing.formats import Kind

MOMENT = datetime(2010, 12, 3, 9, 31, tzinfo=UTC)
AT_A_TIME = '{"2010-12-03T09:31:00Z":1}'
FAR = 2**62
FAR_TEXT = "17036-07-06T14:00:27.387904Z"
NO_TEXT = pa.array([b"\xff"]).view(pa.string())
ID = uuid.UUID(int=5)


def parquet(values: pa.Array, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": values}), sink, **options)
    return sink.getvalue()


def uuids(*raws: bytes | None) -> pa.Array:
    return pa.ExtensionArray.from_storage(pa.uuid(), pa.array(raws, pa.binary(16)))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "+05:30", "America/New_York"])
def test_a_moment_is_the_same_in_every_unit_and_zone(
    read: Reader, unit: str, zone: str | None
) -> None:
    data = parquet(pa.array([MOMENT, None], pa.timestamp(unit, zone)))
    found = read(data, "f", kinds={"a": Kind.TIME})
    assert [row["a"] for row in found.good] == ["2010-12-03T09:31:00Z", None]


def test_old_timestamps_of_96_bits_keep_their_century(read: Reader) -> None:
    moments = [MOMENT, None, datetime(1500, 1, 1), datetime(2500, 1, 1)]  # noqa: DTZ001 - INT96 has no zone
    data = parquet(pa.array(moments, pa.timestamp("us")), use_deprecated_int96_timestamps=True)
    texts = [row["a"] for row in read(data, "f", kinds={"a": Kind.TIME}).good]
    assert texts == ["2010-12-03T09:31:00Z", None, "1500-01-01T00:00:00Z", "2500-01-01T00:00:00Z"]


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        (pa.array([FAR], pa.timestamp("us", "UTC")), Kind.TIME, FAR_TEXT),
        (pa.array([253402300800000], pa.timestamp("ms")), Kind.TIME, "10000-01-01T00:00:00Z"),
        (pa.array([date(2010, 1, 1)], pa.date64()), Kind.TIME, "2010-01-01"),
        (pa.array([Decimal("9" * 60)], pa.decimal256(76)), Kind.NUMBER, "9" * 60),
        (pa.array([Decimal("-1.50")], pa.decimal32(5, 2)), Kind.NUMBER, "-1.50"),
        (pa.array([float("nan")]), Kind.NUMBER, "NaN"),
        (pa.array([float("-inf")]), Kind.NUMBER, "-inf"),
        (pa.array([5e-324]), Kind.NUMBER, "5e-324"),
        (pa.array([timedelta(seconds=-1.5)], pa.duration("us")), Kind.TEXT, "PT-1.5S"),
        (pa.array([100], pa.duration("s")), Kind.TEXT, "PT100S"),
        (pa.array([time(1, 2)], pa.time32("ms")), Kind.TEXT, "01:02:00"),
        (pa.array(["x"], pa.large_string()), Kind.TEXT, "x"),
        (pa.array([b"\xff"], pa.large_binary()), Kind.TEXT, "ff"),
        (pa.array([b"\xff"], pa.binary_view()), Kind.TEXT, "ff"),
        (pa.array([b"\xff"]).dictionary_encode(), Kind.TEXT, "ff"),
        (pa.array([MOMENT]).dictionary_encode(), Kind.TIME, "2010-12-03T09:31:00Z"),
        (pa.array([Decimal("1.5")]).dictionary_encode(), Kind.NUMBER, "1.5"),
        (uuids(ID.bytes), Kind.TEXT, str(ID)),
        (pa.nulls(1), Kind.TIME, None),
        (pa.nulls(1), Kind.NUMBER, None),
        (pa.nulls(1), Kind.JSON, None),
        (pa.array(["2010"]), Kind.TIME, "2010"),
        (pa.array(["1e3"]), Kind.NUMBER, "1e3"),
        (pa.array([b'{"p":1}']), Kind.JSON, '{"p":1}'),
    ],
)
def test_a_value_that_a_field_takes_becomes_text(
    read: Reader, values: pa.Array, kind: Kind, text: str | None
) -> None:
    assert [row["a"] for row in read(parquet(values), "f", kinds={"a": kind}).good] == [text]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pa.array([[FAR]], pa.list_(pa.timestamp("us"))), f'["{FAR_TEXT}"]'),
        (pa.array([[0.1]], pa.list_(pa.float32())), "[0.1]"),
        (pa.array([[2**64 - 1]], pa.list_(pa.uint64())), "[18446744073709551615]"),
        (pa.array([[1, None]], pa.list_(pa.int8(), 2)), "[1,null]"),
        (pa.array([[]], pa.list_(pa.struct([("p", pa.int8())]))), "[]"),
        (pa.ListArray.from_arrays([0, 1], NO_TEXT), '["ff"]'),
        (pa.ListArray.from_arrays([0, 1], uuids(ID.bytes)), f'["{ID}"]'),
        (pa.ListArray.from_arrays([0, 2], pa.array(["x", "x"]).dictionary_encode()), '["x","x"]'),
        (pa.StructArray.from_arrays([NO_TEXT, pa.array([1])], ["p", "q"]), '{"p":"ff","q":1}'),
        (pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["p", "p"]), '{"p":1,"p.2":2}'),
        (pa.array([[(MOMENT, 1)]], pa.map_(pa.timestamp("us", "UTC"), pa.int8())), AT_A_TIME),
    ],
)
def test_nested_values_that_python_could_not_hold_keep_their_row(
    read: Reader, values: pa.Array, text: str | None
) -> None:
    (row,) = read(parquet(values), "f", kinds={"a": Kind.JSON}).good
    assert row["a"] == text
    (row,) = read(parquet(values), "f", fields=("other",)).good
    assert row["_rescued"] == f'{{"a":{text}}}'


def test_nested_rows_are_cut_where_nulls_and_batches_lie_between(read: Reader) -> None:
    rows = [[{"p": n, "q": [("k", n)]}] * (n % 3) if n % 5 else None for n in range(50)]
    kind = pa.list_(pa.struct([("p", pa.int64()), ("q", pa.map_(pa.string(), pa.int64()))]))
    found = read(parquet(pa.array(rows, kind)), "f", kinds={"a": Kind.JSON}, batch_rows=7)
    expected = [row and [{"p": each["p"], "q": {"k": each["p"]}} for each in row] for row in rows]
    texts = [row["a"] for row in found.good]
    assert [text and json.loads(str(text)) for text in texts] == expected


@pytest.mark.parametrize(
    ("values", "kind", "expected", "found"),
    [
        (pa.array([[1]]), Kind.NUMBER, "a number", "list<element: int64>"),
        (pa.array([True]), Kind.TIME, "a timestamp", "bool"),
        (pa.array([True]), Kind.NUMBER, "a number", "bool"),
        (pa.array([1]), Kind.TIME, "a timestamp", "int64"),
        (pa.array([time(1)]), Kind.TIME, "a timestamp", r"time64\[us\]"),
        (pa.array([MOMENT]), Kind.NUMBER, "a number", r"timestamp\[us, tz=UTC\]"),
        (pa.array([1.5]), Kind.JSON, "a struct, map or list", "double"),
        (pa.array([{"p": 1}]), Kind.TEXT, "a single value", "struct<p: int64>"),
        (pa.array([1]).dictionary_encode(), Kind.TIME, "a timestamp", "int64"),
    ],
)
def test_a_column_of_a_wrong_type_is_named_with_what_was_expected_and_found(
    read: Reader, values: pa.Array, kind: Kind, expected: str, found: str
) -> None:
    message = f"^f.parquet: its column 'a' is of type {found}.* where {expected} is expected"
    with pytest.raises(ColumnTypeError, match=message) as raised:
        read(parquet(values), "f.parquet", kinds={"a": kind})
    assert not raised.value.retryable
