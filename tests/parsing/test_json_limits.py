"""What names of JSON objects cost, and bytes that a declared encoding lacks."""

import tracemalloc
from pathlib import Path

import pytest
from landed_bytes import EVERY_FORMAT, Reader

from pipeline_assets.parsing.notes import NAME_CHARACTERS, Notes
from pipeline_assets.parsing.reader import open_records
from pipeline_assets.parsing.records import Layout


def peak_of(path: Path) -> tuple[int, int]:
    """Records of a file, and the most bytes of Python's that reading it takes."""
    rows = 0
    tracemalloc.start()
    with open_records(path, key="f", formats=EVERY_FORMAT, layout=Layout(("a",))) as reader:
        for batch in reader:
            rows += batch.num_rows
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return rows, peak


def test_long_names_are_not_kept_until_the_end(tmp_path: Path) -> None:
    """Kept whole they take 250 million bytes; a batch takes twice 32 MiB while it is made."""
    path = tmp_path / "f.jsonl"
    with path.open("wb") as file:
        for number in range(500):
            file.write(b'{"a":"1","%d%s":1}\n' % (number, b"n" * 500_000))
    rows, peak = peak_of(path)
    assert rows == 500
    assert peak < 150_000_000


def test_wide_objects_of_many_shapes_are_not_kept_until_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept all they take 14 million bytes more."""
    monkeypatch.setattr("pipeline_assets.parsing.json_parser.SHAPES_BYTES", 2_000_000)
    path = tmp_path / "f.jsonl"
    with path.open("wb") as file:
        for number in range(100):
            names = b",".join(b'"%d_%d":1' % (number, name) for name in range(1_000))
            file.write(b'{"a":"1",%s}\n' % names)
    rows, peak = peak_of(path)
    assert rows == 100
    assert peak < 12_000_000


def test_names_are_matched_alike_whether_remembered_or_not(
    read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ['{"A":1,"x":2}', '{"A":3,"y":4}', '{"A":5,"x":6}', '{"a":7,"x":8,"xx":9}'] * 3
    data = "\n".join(lines).encode()
    whole = read(data, "f.json")
    for most in (0, 1_000):
        monkeypatch.setattr("pipeline_assets.parsing.json_parser.SHAPES_BYTES", most)
        assert read(data, "f.json").rows == whole.rows


def test_names_are_noted_no_longer_than_they_are_shown() -> None:
    notes, name = Notes(), "n" * 5_000
    assert not notes.knows(name)
    notes.rescued(name, 1, "x")
    notes.rescued(name, 2, "y")
    assert notes.knows(name)
    ((noted, field),) = notes.unknown.items()
    assert (len(noted), field.records, field.example) == (NAME_CHARACTERS, 3, "x")


@pytest.mark.parametrize("text", ['{"a":"1"}\n{"a":"?"}\n', '[{"a":"1"},\n{"a":"?"}]'])
def test_bytes_that_utf16_lacks_are_shown_as_they_were(read: Reader, text: str) -> None:
    data = f"\ufeff{text}".encode("utf-16-le").replace(b"?\0", b"\n\xd8")
    found = read(data, "f.json")
    assert [row["a"] for row in found.good] == ["1"]
    error = "line 2: byte 13 of the record, 0x0a, is not utf-16-le"
    assert found.malformed == [(2, '{"a":"\\x0a\\xd8"}', error)]
