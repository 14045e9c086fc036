"""In which form a file is read where the dataset declares a path to its records."""

import json
from typing import Any

import pytest
from landed_bytes import Read, Reader

from pipeline_assets.errors import CorruptFileError
from pipeline_assets.parsing import content

LINES = "".join(f'{{"a":"{number}"}}\n' for number in range(1, 4))
PATH: dict[str, Any] = {"records_path": ("data",)}


def values(found: Read) -> list[object]:
    return [row["a"] for row in found.good if row["a"] is not None]


@pytest.mark.parametrize(
    "first",
    [
        '{"a',
        '{"a":"0"',
        '{"a":"0","b":',
        '{"a":',
        '{"data":"x',
        '{"a":"0"}}',
        '{"a":oops}',
        "{oops}",
        '{"a":"\\ud800","data":""',
        "{" + '"x":[' * 40,
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_a_malformed_first_line_costs_itself_although_a_path_is_declared(
    read: Reader, first: str, end: str
) -> None:
    found = read(f"{first}{end}{LINES}".encode(), "f.json", **PATH)
    assert values(found) == ["1", "2", "3"]
    assert [(row, raw) for row, raw, _ in found.malformed] == [(1, first)]
    assert found.counted == 4


@pytest.mark.parametrize(
    "first",
    [
        "{}",
        '{"type":"begin"}',
        '{"b":"x","data":"x"}',
        '{"b":"x","data":null}',
        '{"data":{"x":[1]}}',
        '{"type":"begin","x":{"data":[]}}',
    ],
)
@pytest.mark.parametrize("end", ["\n", "", " \t", "\n\r\n"])
def test_a_first_object_without_the_array_is_a_record_like_the_others(
    read: Reader, first: str, end: str
) -> None:
    found = read(f"{first}{end}{LINES}".encode(), "f.json", **PATH)
    assert values(found) == ["1", "2", "3"]
    assert found.malformed == []
    assert found.counted == 4


@pytest.mark.parametrize("first", ["{}", '{"a'])
def test_an_odd_first_line_before_a_long_one_costs_itself_too(read: Reader, first: str) -> None:
    long = json.dumps({"a": "x" * 100_000})
    found = read(f"{first}\n{long}\n{LINES}".encode(), "f.json", **PATH)
    assert values(found) == ["x" * 100_000, "1", "2", "3"]


def test_broken_lines_among_lines_stay_lines(read: Reader) -> None:
    found = read(f'{{"a\nat x(y.py:3)\n{LINES}'.encode(), "f.json", **PATH)
    assert values(found) == ["1", "2", "3"]
    assert len(found.malformed) == 2


@pytest.mark.parametrize("first", ["{}", '{"error":"x"}', '{"data":null,"a":1}', '{"a'])
def test_a_first_page_without_the_array_costs_the_file_where_pages_follow(
    read: Reader, first: str
) -> None:
    pages = "".join(f'{{"data":[{{"a":"{n}"}}]}}\n' for n in range(3))
    with pytest.raises(CorruptFileError, match=r"^f\.json: .*line [12]: "):
        read(f"{first}\n{pages}".encode(), "f.json", **PATH)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{}\n", "line 1: an object holds no array"),
        ('{"type":"begin"}', "line 1: an object holds no array"),
        ('{"a":"1","data":"x"}\n\n', "line 1: an object holds no array"),
        ('{"a', "line 1: .* string that does not end"),
        ('{\n "data": {\n  "a": oops,\n  "b": []\n }\n}\n', "line 3: 'oops' is no value"),
        ('{"n": oops, "data": [\n{"a":"1"},\n{"a":"2"}\n]}\n', "line 1: 'oops' is no value"),
        ('{"n":1}, "data":[{"a":"1"}]}\n{}\n', "line 1: an object holds no array"),
    ],
)
def test_a_document_that_cannot_be_lines_is_refused_with_its_cause(
    read: Reader, text: str, cause: str
) -> None:
    with pytest.raises(CorruptFileError, match=rf"^f\.json: .*{cause}"):
        read(text.encode(), "f.json", **PATH)


@pytest.mark.parametrize("block", [1, 3, 7, 16, 1 << 20])
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"data":[]}\n\n{"x":1\n}\n\n\n{"data":[]}\n', 4),
        ('{"data":[]}\n{"data":1}\n\n\n', 2),
        ('{"data":[],\n\n"x":\n\noops}\n', 5),
        ('{"data":[]}\n\n\nx\n\n', 4),
        ('{"data":[{"a":"1"}\n],\n"x" 1}', 3),
    ],
)
def test_the_line_of_what_is_unsound_is_named_wherever_blocks_end(
    read: Reader, text: str, line: int, block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "BLOCK_BYTES", block)
        with pytest.raises(CorruptFileError, match=rf"^f\.json: line {line}: "):
            read(text.encode(), "f.json", **PATH)
