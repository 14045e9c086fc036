"""Damaged files of every codec, page version and encoding, read in processes of their own."""

import io
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landed_bytes import Reader

from pipeline_assets.parsing.formats import Kind

CODECS = ("none", "snappy", "gzip", "zstd", "lz4", "brotli")
VERSIONS = ("1.0", "2.0")
ENCODINGS: tuple[dict[str, Any], ...] = (
    {},
    {"use_dictionary": False},
    {
        "use_dictionary": False,
        "column_encoding": {
            "a": "DELTA_BYTE_ARRAY",
            "c": "DELTA_LENGTH_BYTE_ARRAY",
            "n": "DELTA_BINARY_PACKED",
            "f": "BYTE_STREAM_SPLIT",
        },
    },
)
DAMAGED_EACH = 60
SECONDS = 100
READ_ALL = """
import contextlib, json, resource, sys
from pathlib import Path
from landed_bytes import read_file
from pipeline_assets.errors import CorruptFileError, LandfallError, LimitExceededError
from pipeline_assets.parsing.formats import Kind

room = 4 << 30
resource.setrlimit(resource.RLIMIT_AS, (room, room))
for path in sorted(Path(sys.argv[1]).iterdir()):
    print(path.name, end=" ", flush=True)
    try:
        found = read_file(path, "f", ("a", "n", "f", "l"), kinds={"l": Kind.JSON})
        print("read" if found.counted == len(found.rows) else "miscounted")
    except LandfallError as error:
        print(type(error).__name__)
"""


def table(rows: int) -> pa.Table:
    chance = random.Random(rows)  # noqa: S311 - repeatable data, no secret
    return pa.table(
        {
            "a": [None if n % 7 == 0 else f"v{n % 5}" for n in range(rows)],
            "c": [f"{chance.random()}" for _ in range(rows)],
            "n": pa.array([n * n for n in range(rows)], pa.int64()),
            "f": [n / 3 for n in range(rows)],
        }
    )


def written(codec: str, version: str, encoding: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    nested = table(60).append_column("l", pa.array([[{"p": [n]}] * (n % 3) for n in range(60)]))
    pq.write_table(
        table(60) if encoding else nested,
        sink,
        compression=codec,
        data_page_version=version,
        row_group_size=25,
        data_page_size=200,
        write_page_checksum=codec in {"gzip", "lz4"},
        **encoding,
    )
    return sink.getvalue()


def damaged(data: bytes, chance: random.Random) -> bytes:
    out = bytearray(data)
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for _ in range(chance.choice([1, 1, 2, 5])):
        at = chance.randrange(*chance.choice([(4, footer), (footer, len(data) - 8)]))
        how = chance.randrange(4)
        if how == 0:
            out[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            out[at] = chance.choice([0, 1, 0x15, 0x19, 0x7F, 0x80, 0xFF])
        elif how == 2:
            out[at : at + 5] = b"\xfe\xff\xff\xff\x0f"[: len(out) - at]
        else:
            piece = chance.randrange(len(data) - 40)
            out[at : at + 20] = data[piece : piece + 20][: len(out) - at]
    return bytes(out)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("codec", CODECS)
def test_damage_costs_the_file_and_never_the_process(
    tmp_path: Path, codec: str, version: str
) -> None:
    chance = random.Random(f"{codec} {version}")  # noqa: S311 - repeatable damage, no secret
    for number, encoding in enumerate(ENCODINGS):
        data = written(codec, version, encoding)
        (tmp_path / f"{number}-sound").write_bytes(data)
        for each in range(DAMAGED_EACH):
            (tmp_path / f"{number}-{each}").write_bytes(damaged(data, chance))
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", READ_ALL, str(tmp_path)],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    outcomes = dict(line.split() for line in done.stdout.splitlines() if " " in line)
    assert done.returncode == 0, f"{done.stdout[-60:]!r}: {done.stderr[-500:]}"
    assert len(outcomes) == len(ENCODINGS) * (DAMAGED_EACH + 1)
    assert {outcomes[f"{number}-sound"] for number in range(len(ENCODINGS))} == {"read"}
    assert set(outcomes.values()) <= {"read", "CorruptFileError", "LimitExceededError"}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ROWS = st.lists(
    st.tuples(
        st.none() | TEXT,
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.lists(st.none() | TEXT, max_size=3),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(
    rows=ROWS,
    codec=st.sampled_from(CODECS),
    version=st.sampled_from(VERSIONS),
    dictionary=st.booleans(),
    checksum=st.booleans(),
    group=st.integers(1, 50),
    batch=st.integers(1, 50),
    name=st.sampled_from(["other", "", " ", "a\0b", "A", "é.x"]),
)
def test_every_value_comes_back_whatever_the_writer_chose(  # noqa: PLR0913 - drawn by hypothesis
    *,
    read: Reader,
    rows: list[tuple[str | None, int | None, list[str | None] | None]],
    codec: str,
    version: str,
    dictionary: bool,
    checksum: bool,
    group: int,
    batch: int,
    name: str,
) -> None:
    texts, numbers, lists = zip(*rows, strict=True) if rows else ((), (), ())
    arrays = [
        pa.array(texts, pa.string()),
        pa.array(numbers, pa.int64()),
        pa.array(lists, pa.list_(pa.string())),
        pa.array(numbers, pa.int64()),
    ]
    sink = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays(arrays, names=["a", "n", "l", name]),
        sink,
        compression=codec,
        data_page_version=version,
        use_dictionary=dictionary,
        write_page_checksum=checksum,
        row_group_size=group,
    )
    found = read(
        sink.getvalue(), "f", fields=("a", "n", "l"), batch_rows=batch, kinds={"l": Kind.JSON}
    )
    assert found.counted == len(found.rows) == len(rows)
    for (text, number, items), row in zip(rows, found.good, strict=True):
        assert (row["a"], row["n"]) == (text, None if number is None else str(number))
        assert (json.loads(str(row["l"])) if row["l"] is not None else None) == items
        assert list(json.loads(str(row["_rescued"])).values()) == [number]
    filled = sum(number is not None for number in numbers)
    assert [each.records for each in found.notes.unknown.values()] == [filled][: bool(filled)]
