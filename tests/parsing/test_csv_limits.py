"""What a CSV file may hold at most, and what it costs to find that it holds more."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from landed_bytes import EVERY_FORMAT, Reader

from pipeline_assets.errors import LimitExceededError
from pipeline_assets.parsing import content
from pipeline_assets.parsing.limits import Limits
from pipeline_assets.parsing.reader import open_records
from pipeline_assets.parsing.records import BATCH_BYTES, Layout


@pytest.fixture(params=[16, 1024])
def blocks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Blocks that are smaller and larger than the records of at most 64 bytes here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "BLOCK_BYTES", request.param)
        yield


@pytest.mark.usefixtures("blocks")
class TestRecordLength:
    @pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r", "\n3,4\n"])
    def test_a_record_of_just_the_limit_is_read(self, read: Reader, end: str) -> None:
        found = read(f"a,b\n1,{'x' * 62}{end}".encode(), "f.csv", record_bytes=64)
        assert found.good[0]["b"] == "x" * 62

    @pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r", "\n3,4\n"])
    @pytest.mark.parametrize("start", ["1,", '"1",', '1,2"', "\xff"])
    def test_a_longer_line_costs_the_file_and_says_why(
        self, read: Reader, start: str, end: str
    ) -> None:
        body = f"{start}{'x' * 65}{end}".encode("latin-1")
        with pytest.raises(LimitExceededError, match=r"6[5-9] bytes in a record where 64 are"):
            read(b"a,b\n" + body, "f.csv", record_bytes=64)

    def test_a_header_counts_as_a_record(self, read: Reader) -> None:
        with pytest.raises(LimitExceededError, match="MAX_RECORD_BYTES"):
            read(b"a,b," + b"x" * 61 + b"\n1,2,3\n", "f.csv", record_bytes=64)

    @pytest.mark.parametrize("quoted", [62, 63])
    def test_a_quote_that_is_not_closed_within_the_limit_is_not_closed(
        self, read: Reader, quoted: int
    ) -> None:
        text = "x\n" * 30
        value = f'"{text:y<{quoted - 2}}"'
        found = read(f"a,b\n1,{value}\n3,4\n".encode(), "f.csv", record_bytes=64)
        if quoted == 62:
            assert found.good == [
                {"a": "1", "b": value.strip('"'), "_rescued": None},
                {"a": "3", "b": "4", "_rescued": None},
            ]
        else:
            assert [raw for _, raw, _ in found.malformed] == ['1,"x', *["x"] * 29, 'y"']
            assert found.good == [{"a": "3", "b": "4", "_rescued": None}]

    def test_an_open_quote_pulls_in_no_more_than_the_limit(self, read: Reader) -> None:
        body = b"".join(b"%d,x\n" % n for n in range(50))
        found = read(b'a,b\n1,"open\n' + body, "f.csv", record_bytes=64)
        assert [raw for _, raw, _ in found.malformed] == ['1,"open']
        assert len(found.good) == 50
        assert found.counted == 51


@pytest.mark.parametrize("start", [b"a,b\n", b'a,b\n1,"x"y', b'a,b\n"x\\"y",1\n"', b""])
def test_a_line_without_end_is_given_up_before_it_fills_memory(read: Reader, start: bytes) -> None:
    data = start + b"x" * 60_000_000
    tracemalloc.start()
    with pytest.raises(LimitExceededError, match=r"2,000,\d\d\d bytes in a record"):
        read(data, "f.csv", record_bytes=2_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 24_000_000


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_header_with_more_columns_than_the_limit_costs_the_file(
    read: Reader, delimiter: str
) -> None:
    names = delimiter.join(["a", "b", *(f"c{n}" for n in range(9))])
    assert read(names.encode(), "f.csv", columns=11).counted == 0
    with pytest.raises(LimitExceededError, match=r"11 columns where 10 are allowed.*MAX_COLUMNS"):
        read(names.encode(), "f.csv", columns=10)


def test_quoted_delimiters_make_no_columns(read: Reader) -> None:
    assert read(b'a,b,"c,d"\n1,2,3\n', "f.csv", columns=3).counted == 1


@pytest.mark.parametrize(
    "line",
    [b'"', b'""', b'"a""', b'\\"', b'"\\', b'x,"', b"\\", b'",', b",", b"\r", b'"\n""'],
    ids=repr,
)
@pytest.mark.timeout(120)
def test_no_run_of_quotes_escapes_or_delimiters_takes_long(read: Reader, line: bytes) -> None:
    # In linear time it takes a second or two, in quadratic time hours.
    data = b'a,b\n"1 \\"x\\"",2\n' + line * 100_000 + b"\n" + (line + b"\n") * 50_000
    found = read(data, "f.csv")
    assert found.counted == len(found.rows)


def test_a_line_of_delimiters_does_not_fill_memory(read: Reader) -> None:
    """Two million values apart would take more than a hundred megabytes."""
    line = b",".join([b"xy"] * 2_000_000)
    tracemalloc.start()
    found = read(b'a,b\n"x"y,1\n' + line, "f.csv")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.malformed[1][2] == "line 3: 2000000 values where the header names 2"
    assert peak < 10 * len(line)


@pytest.mark.parametrize("broken", [b"", b'"x"y,\n'], ids=["fast", "exact"])
def test_names_that_rescued_values_repeat_count_as_text_of_a_batch(
    tmp_path: Path, broken: bytes
) -> None:
    """A hundred megabytes of a file of some kilobytes: more than one batch."""
    path, layout = tmp_path / "f.csv", Layout(("a",), limits=Limits(ratio=10_000))
    path.write_bytes(b"a," + b"n" * 50_000 + b"\n" + b"1,2\n" * 2_000 + broken)
    sizes, rows = [], 0
    with open_records(path, key="f.csv", formats=EVERY_FORMAT, layout=layout) as reader:
        for batch in reader:
            sizes.append(batch.nbytes)
            rows += batch.num_rows
    assert rows == reader.counted == 2_000 + bool(broken)
    assert sum(sizes) > 2 * BATCH_BYTES
    assert max(sizes) < 1.1 * BATCH_BYTES


def test_a_header_whose_names_cannot_be_repeated_so_often_costs_the_file(read: Reader) -> None:
    rows = 5_000
    data = b"a," + b"n" * 20_000 + b"\n" + b"1,2\n" * rows
    assert rows * 20_000 > Limits().ratio * len(data)
    with pytest.raises(LimitExceededError, match=r"repeated names.*MAX_DECOMPRESSION_RATIO"):
        read(data, "f.csv")
    assert read(data, "f.csv", ratio=3_000).counted == rows


@pytest.mark.parametrize("broken", [b"", b'"x"y\n'], ids=["fast", "exact"])
def test_of_long_values_and_names_no_more_is_noted_than_is_shown(
    read: Reader, broken: bytes
) -> None:
    found = read(b"a," + b"n" * 5_000 + b"\n1," + b"x" * 5_000 + b"\n" + broken, "f.csv")
    ((name, noted),) = found.notes.unknown.items()
    assert (len(name), noted.records, len(noted.example)) == (200, 1, 200)
