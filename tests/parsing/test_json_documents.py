import json

import pytest
from landed_bytes import Read, Reader

from pipeline_assets.errors import CorruptFileError, LimitExceededError

A, B, C = '{"a":"1"}', '{"a":"2","b":{"p":["}{",{}]}}', '{"a":"3"}'
PRETTY = "\n".join(json.dumps(json.loads(text), indent=2) for text in (A, B, C))


def values(found: Read) -> list[object]:
    return [row["a"] for row in found.good]


def pretty_array(*texts: str) -> str:
    inner = ",\n".join(
        "\n".join("  " + line for line in json.dumps(json.loads(text), indent=2).splitlines())
        for text in texts
    )
    return f"[\n{inner}\n]\n"


@pytest.mark.parametrize(
    "text",
    [
        f"[{A},{B},{C}]",
        f" \n[\n{A},\n{B},\n{C}\n]\n",
        f"[{A}, {B} ,\r\n{C}]\r\n",
        json.dumps([json.loads(text) for text in (A, B, C)], indent=4),
        pretty_array(A, B, C),
        f"[{A},{B}]\n[{C}]",
        f"[{A}][][{B},{C}]",
        f"[{A},{B}]{C}",
        f"[{A},{B},{C},]",
        f"[{A} {B},{C}]",
        PRETTY,
        PRETTY + "\n",
        PRETTY.replace("\n", "\r\n"),
        f'{{ "a":\n"1"}}{B}{C}',
        f"{{\n{A[1:]}\n[{B},{C}]",
    ],
)
def test_records_may_go_over_lines(read: Reader, text: str) -> None:
    found = read(text.encode(), "f.json")
    assert values(found) == ["1", "2", "3"]
    assert found.malformed == []
    assert found.counted == 3
    assert found.good[1]["b"] == '{"p":["}{",{}]}'


@pytest.mark.parametrize("text", ["[]", " [\n]\n"])
def test_an_empty_array_has_no_records(read: Reader, text: str) -> None:
    assert read(text.encode(), "f.json").rows == []


@pytest.mark.parametrize(
    "element",
    [
        "1",
        "null",
        '"x,]{"',
        '[{"a":9},{"a":8}]',
        "[1,[2]]",
        "oops",
        "oops oops",
        '{"a":oops oops}',
        '{"a":[1,2}',
        '{"a":1]}',
        '{"a":1}}',
        '{"a":1 "b":{"a":2}}',
        '{"a" 1}',
        '{"a":{"b":[{"x":1},{"x":2} "y"]}}',
        '{"a":"\\ud800"}',
        "{'a':1}",
        '{"a":' + "[" * 40 + "]" * 40 + "}",
        "{oops}",
    ],
)
def test_a_malformed_element_costs_itself(read: Reader, element: str) -> None:
    for text in (f"[{A},{element},{C}]", f"[\n  {A},\n  {element},\n  {C}\n]"):
        found = read(text.encode(), "f.json")
        assert values(found) == ["1", "3"]
        assert [(row, raw) for row, raw, _ in found.malformed] == [(2, element)]
        assert found.malformed[0][2].startswith(f"line {1 + 2 * ('  ' in text)}: ")
        assert found.counted == 3


def test_an_element_that_is_no_object_is_said_to_be_none(read: Reader) -> None:
    found = read(f"[{A},[{A}]]".encode(), "f.json")
    assert found.malformed == [(2, f"[{A}]", "line 1: a JSON value, but no object")]


@pytest.mark.parametrize(
    "broken",
    ['{"a":"cut}', '{"a":{"b":1', '{"a":{"b":1}', 'a":"1"}', '{"a":"1', '"a":"1', '{"a":"x"y"}'],
)
def test_reading_resumes_at_the_next_object_of_an_array(read: Reader, broken: str) -> None:
    text = f"[{A},{broken},{C},{C},{C}]"
    found = read(text.encode(), "f.json")
    assert values(found)[0] == "1"
    assert values(found)[-1] == "3"
    assert len(found.good) >= 3
    assert found.counted == len(found.rows)
    assert found.malformed[0][1].startswith(broken)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"p": [', '"p: ['),
        ('"p": [', "oops ["),
        ('"a": "2",', '"a": "2'),
        ('"a": "2",', '"a": 2"'),
        ('"2",', "2,,"),
        ("{}\n", "{\n"),
        ("    ]", ""),
    ],
)
@pytest.mark.parametrize("array", [True, False])
def test_damage_to_a_pretty_object_costs_that_object(
    read: Reader, old: str, new: str, *, array: bool
) -> None:
    text = pretty_array(A, B, C, C) if array else f"{PRETTY}\n{C}"
    assert text.count(old) == 1
    found = read(text.replace(old, new).encode(), "f.json")
    assert values(found) == ["1", "3", "3"]
    assert [row for row, _, _ in found.malformed] == [2]
    assert found.malformed[0][2].startswith("line 5: " if array else "line 4: ")


def test_raw_lines_between_pretty_objects_are_malformed(read: Reader) -> None:
    text = f"{{\n{A[1:]}\nWARN it, broke {{\n{B}\n]\n{C}"
    found = read(text.encode(), "f.json")
    assert values(found) == ["1", "2", "3"]
    assert [(row, raw, error.split(":")[0]) for row, raw, error in found.malformed] == [
        (2, "WARN it, broke {", "line 3"),
        (4, "]", "line 5"),
    ]


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (f"[{A},{B}", ""),
        (f"[{A},{B},", ""),
        (f"[{A},{B},{{", "{"),
        (f'[{A},{B},{{"a":[{{"x":1}},{{"x":2}}', '{"a":[{"x":1},{"x":2}'),
        (f'[{A},{B},{{"a":"x', '{"a":"x'),
        (pretty_array(A, B, C)[:-6], '{\n    "a": "3"'),
        (PRETTY[:-3], '{\n  "a": "3'),
    ],
)
def test_what_is_left_of_a_cut_document_is_one_malformed_record(
    read: Reader, text: str, rest: str
) -> None:
    found = read(text.encode(), "f.json")
    assert values(found) == ["1", "2"]
    assert [(row, raw) for row, raw, _ in found.malformed] == [(3, rest)]
    assert found.counted == 3


@pytest.mark.parametrize(
    "text",
    [
        f'{{"data":{{"items":[{A},{B},{C}]}}}}',
        f'{{"n":[1,{{"items":[4]}}],"data":{{"x":{{}},"items":[{A},{B},{C}],"n":"]"}},"m":null}}\n',
        f'{{"data":{{"items":[{A}]}}}}\n{{"data":{{"items":[{B},{C}],"items":[]}}}}',
        json.dumps({"data": {"items": [json.loads(text) for text in (A, B, C)]}}, indent=1),
        f"[{A},{B},{C}]",
        f"{A}\n{B}\n{C}",
        PRETTY,
        f'{{"a":"1","b":1}}{B}{C}',
    ],
)
def test_records_are_found_at_the_declared_path(read: Reader, text: str) -> None:
    found = read(text.encode(), "f.json", records_path=("data", "items"))
    assert values(found) == ["1", "2", "3"]
    assert found.malformed == []
    assert found.counted == 3


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ('{"items":[],"error":"x"}', r"no array of records at data\.items .*there: items, error"),
        ('{"data":{"n":1}}', r"names there: data, data\.n\): send it there, or change"),
        ('{"data":{"items":null}}', r"names there: data, data\.items\)"),
        ('{"data":{"items":[]}}\n{"data":[]}', "line 2: an object holds no array"),
        (f'{{"data":{{"items":[{A}]}}', "line 1: the text ends before its objects are closed"),
        (f'{{"data":{{"items":[{A}],{A}]}}}}', r"line 1: '\{' may not stand here"),
        (f'{{"data":{{"items":[{A}]}},\n"n":oops}}', "line 2: 'oops' is no value"),
        (f'{{"data":{{"items":[{A}]}}}}\n\nx', "line 3: 'x' is no value"),
        ('{"data":{"x":"\n","items":[]}}', "is a string that does not end on its line"),
        ('{"n":' + "[" * 40 + "]" * 40 + "}", "nested deeper than 32 levels"),
        ('{"n":' + "[" * 9000 + "]" * 9000 + "}", "nested deeper than 32 levels"),
    ],
)
def test_unsound_text_around_the_records_is_a_corrupt_file(
    read: Reader, text: str, cause: str
) -> None:
    with pytest.raises(CorruptFileError, match=rf"^f\.json: .*{cause}"):
        read(text.encode(), "f.json", records_path=("data", "items"))


def test_a_cut_within_the_records_at_a_path_is_a_malformed_record(read: Reader) -> None:
    found = read(f'{{"data":[{A},{B},{{"a'.encode(), "f.json", records_path=("data",))
    assert values(found) == ["1", "2"]
    assert [raw for _, raw, _ in found.malformed] == ['{"a']


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ('[1]\n{"a":"1"}\n', 1),
        ('[2024-01-31] {"a":1}\n{"a":"1"}\n', 1),
        ('[INFO] up\n{"a":"1"}', 1),
        ('["x"] y\n{"a":"1"}', 1),
        ('{"a":"cut\n{"a":"1"}\n', 1),
        ('{"a":1,\n{"a":"1"}\n', 1),
        ('{"a":[\n{"a":"1"}\n{"a":"2"}\n', 2),
    ],
)
def test_lines_stay_lines_whatever_the_first_one_is(read: Reader, text: str, good: int) -> None:
    found = read(text.encode(), "f.json")
    assert values(found) == [str(number + 1) for number in range(good)]
    assert [row for row, _, _ in found.malformed] == [1]


@pytest.mark.parametrize("opening", ["[", '{"data":[', ""])
def test_an_element_longer_than_the_limit_fails_its_file(read: Reader, opening: str) -> None:
    longest = '{\n"a":"' + "x" * 55 + '"}'
    text = f"{opening}{longest},{longest}"
    options = {"records_path": ("data",)}
    assert len(read(text.encode(), "f.json", record_bytes=64, **options).good) == 2
    with pytest.raises(LimitExceededError, match="bytes in a record where 63 are"):
        read(text.encode(), "f.json", record_bytes=63, **options)


def test_bytes_that_are_not_utf8_cost_their_element(read: Reader) -> None:
    found = read(b'[{"a":"\xc3\xa9"},{"a":"\xff"},\n{"a":"2"}]', "f.json")
    assert values(found) == ["\xe9", "2"]
    assert "0xff, is not UTF-8" in found.malformed[0][2]


def test_a_string_like_the_end_of_an_object_divides_nothing(read: Reader) -> None:
    one = json.dumps({"a": '},{"', "b": {"},{": "x" * 700_000, "}, {": 1}})
    found = read(f"[{one},{one},{one}]".encode(), "f.json")
    assert values(found) == ['},{"'] * 3
    assert found.malformed == []


def test_a_long_document_is_read_in_blocks(read: Reader) -> None:
    one = json.dumps({"a": "x" * 300, "b": "\xe9"}, ensure_ascii=False)
    elements = [one] * 12_000
    elements[5_000] = one[:-1] + "]"
    found = read(f"[{','.join(elements)}]".encode(), "f", batch_rows=1_000)
    assert [row for row, _, _ in found.malformed] == [5_001]
    assert (len(found.good), found.counted) == (11_999, 12_000)
