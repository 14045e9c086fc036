import gzip
import json

import pytest
from landed_bytes import Reader

from pipeline_assets.errors import LimitExceededError
from pipeline_assets.parsing.json_framing import MAX_DEPTH


def objects(*rows: tuple[str | None, str | None]) -> list[dict[str, str | None]]:
    return [{"a": a, "b": b, "_rescued": None} for a, b in rows]


def test_lines_and_joined_objects_are_one_format(read: Reader) -> None:
    found = read(b'{"a":"1"}\n{"a":"2"}{"a":"3"} {"a":"4"}\n\n \t\r\n{"a":"5"}', "f")
    assert found.good == objects(*((n, None) for n in "12345"))
    assert found.counted == 5


def test_carriage_returns_and_a_byte_order_mark_are_blank(read: Reader) -> None:
    found = read(b'\xef\xbb\xbf{"a":"1"}\r\n{"a":"2"}\r\n', "f")
    assert found.good == objects(("1", None), ("2", None))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ('"x\\n\\u00e9"', "x\n\xe9"),
        ('""', ""),
        ("null", None),
        ("true", "true"),
        ("false", "false"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("-0", "-0"),
        ("4.50", "4.50"),
        ("1e400", "1e400"),
        ("0.1234567890123456789", "0.1234567890123456789"),
        ('{ "p" : [ 1, 2.50, -0, {} ] }', '{"p":[1,2.50,-0,{}]}'),
        ('["\\u00e9", "q\\"", null, true]', '["\xe9","q\\"",null,true]'),
        ('"{\\"p\\":{}}"', '{"p":{}}'),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ('{"p":[NaN,Infinity,1]}', '{"p":["NaN","Infinity",1]}'),
        ("9" * 5000, "9" * 5000),
        ("-" + "9" * 5000, "-" + "9" * 5000),
        ('{"p":' + "9" * 5000 + "}", '{"p":' + "9" * 5000 + "}"),
    ],
)
def test_values_are_the_text_of_the_file(read: Reader, source: str, text: str | None) -> None:
    line = f'{{"a": {source}, "b": 1}}'
    assert read(line.encode(), "f").good == objects((text, "1"))
    assert read((line * 2).encode(), "f").good == objects((text, "1"), (text, "1"))


def test_names_match_like_csv_headers_and_the_rest_is_rescued(read: Reader) -> None:
    line = '{"user_id":1,"EVENTTYPE":"x","more":{"p":[1.50, null]},"none":null}'
    found = read(line.encode(), "f", fields=("eventType", "userId"))
    assert found.good == [
        {"eventType": "x", "userId": "1", "_rescued": '{"more":{"p":[1.50,null]},"none":null}'}
    ]


def test_an_object_without_any_field_is_a_record(read: Reader) -> None:
    found = read(b"{}{}\n{} \t {}\n", "f.json")
    assert found.good == objects(*[(None, None)] * 4)
    assert found.counted == 4


@pytest.mark.parametrize(
    "line",
    [
        "1",
        '"x"',
        "[]",
        '[{"a":1},{"a":2}]',
        "null",
        "plain text",
        '\tindented {"a":1}',
        'WARN {"a":1}',
        '{"a":1,}',
        '{"a":1} x',
        '{"a":1},{"a":2}',
        '{"a":"x\ty"}',
        '{"a":"cut',
        '{"a":{"b":',
        '{"a":"\\ud800"}',
        "{'a':1}",
        '{"a":1 "b":2}',
        "}{",
        '{"a":"x","b":"{}"',
    ],
)
def test_a_malformed_line_costs_that_line(read: Reader, line: str) -> None:
    found = read(f'{{"a":"0"}}\n{line}\r\n{{"a":"1"}}\n'.encode(), "f")
    assert found.good == objects(("0", None), ("1", None))
    ((row, raw, error),) = found.malformed
    assert (row, raw) == (2, line)
    assert error.startswith("line 2: ")
    assert found.counted == 3


def test_bytes_that_are_not_utf8_cost_their_record_only(read: Reader) -> None:
    found = read(b'{"a":"\xc3\xa9"}{"a":"\xff"}{"a":"2"}\n{"a":"\xfe"}\n{"a":"3"}', "f")
    assert found.good == objects(("\xe9", None), ("2", None), ("3", None))
    assert [(row, raw) for row, raw, _ in found.malformed] == [
        (2, '{"a":"\\xff"}'),
        (4, '{"a":"\\xfe"}'),
    ]
    assert "0xff, is not UTF-8" in found.malformed[0][2]


@pytest.mark.parametrize(
    "broken",
    [
        '{"a":oops}',
        '{"a":"cut}',
        '{"a":"cu',
        '{"a":1',
        '{"a":{"b":1}',
        '{"a":1}}',
        '{"a":1}garbage',
        "{oops}",
        '{"a":"\\ud800"}',
        '{"a":"x\x01"}',
        '{"a":[}',
        'ail":"x"}',
    ],
)
def test_reading_resumes_at_the_next_object_of_a_joined_stream(read: Reader, broken: str) -> None:
    good = '{"a":"1","b":{"p":"}{"}}'
    found = read(f"{broken}{good}{good}".encode(), "f.json")
    assert [raw for _, raw, _ in found.malformed] == [broken]
    assert found.good == objects(("1", '{"p":"}{"}'), ("1", '{"p":"}{"}'))
    assert found.counted == 3


def test_what_cannot_be_resumed_is_one_record_to_the_end_of_its_line(read: Reader) -> None:
    rest = '{"a":{"a":[{"a":1},{"a":2}'
    found = read(f'{{"a":"0"}}{rest}\n{{"a":"1"}}'.encode(), "f")
    assert [(row, raw) for row, raw, _ in found.malformed] == [(2, rest)]
    assert found.good == objects(("0", None), ("1", None))


def test_braces_within_strings_do_not_divide(read: Reader) -> None:
    texts = ["}{", "}{}", "{", '{"', '}{"a":1}', "\\", "{} {}", '"}{"']
    line = "".join(json.dumps({"a": text, "b": "{}"}) for text in texts)
    found = read(line.encode(), "f")
    assert found.good == objects(*((text, "{}") for text in texts))
    assert found.counted == len(texts)


def nested(levels: int) -> str:
    return '{"a":' * (levels - 1) + "{}" + "}" * (levels - 1)


def test_nesting_has_a_limit_that_both_count_and_parser_keep(read: Reader) -> None:
    lists = '{"a":' + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + "}"
    for good in (nested(MAX_DEPTH), lists):
        assert read((good * 2).encode(), "f").malformed == []
    for levels in (MAX_DEPTH + 1, 5_000):
        found = read(f'{nested(levels)}\n{{"a":"1"}}'.encode(), "f")
        assert found.good == objects(("1", None))
        assert [raw for _, raw, _ in found.malformed] == [nested(levels)]
    assert "nested deeper" in read(nested(MAX_DEPTH + 1).encode(), "f").malformed[0][2]


def test_a_long_line_of_joined_objects_is_read_in_blocks(read: Reader) -> None:
    one = json.dumps({"a": "x" * 300, "b": "\xe9"}, ensure_ascii=False)
    joined = [one] * 12_000
    joined[5_000] = one[:-1]
    found = read("".join(joined).encode(), "f", batch_rows=1_000)
    assert [row for row, _, _ in found.malformed] == [5_001]
    assert len(found.good) == 11_999
    assert found.counted == 12_000


def test_a_compressed_file_reads_like_the_plain_one(read: Reader) -> None:
    data = b'{"a":"1"}{"a":"2"}\n3\n'
    members = gzip.compress(data[:5]) + gzip.compress(data[5:])
    packed, plain = read(members, "f"), read(data, "f")
    assert (packed.rows, packed.counted) == (plain.rows, plain.counted)


LONG = '{"a":"' + "x" * 150 + '"}'


@pytest.mark.parametrize(
    "text",
    [
        f'{{"a":"0"}}\n{LONG}\n{{"a":"1"}}',
        f'{{"a":"0"}}{LONG}{{"a":"1"}}',
        LONG,
        "x" * 65,
        '{"a":"' + "x" * 59,
        '{"a":[' + "[" * 59,
    ],
)
def test_a_record_longer_than_the_limit_fails_its_file(read: Reader, text: str) -> None:
    with pytest.raises(LimitExceededError, match=r"^f\.json: .* bytes in a record where 64 are"):
        read(text.encode(), "f.json", record_bytes=64)


def test_a_record_as_long_as_the_limit_is_good(read: Reader) -> None:
    longest = '{"a":"' + "x" * 56 + '"}'
    for text in (longest, longest * 3, f"{longest}\n{longest}", f"{longest} \t{longest}"):
        assert read(text.encode(), "f", record_bytes=64).malformed == []
    with pytest.raises(LimitExceededError):
        read(longest.encode(), "f", record_bytes=63)


def test_an_object_with_too_many_names_fails_its_file(read: Reader) -> None:
    line = json.dumps({f"n{number}": number for number in range(6)})
    assert read(line.encode(), "f", columns=6).malformed == []
    with pytest.raises(LimitExceededError, match="it has 6 names in an object where 5 are"):
        read(f'{{"a":1}}\n{line}'.encode(), "f", columns=5)


@pytest.mark.parametrize("between", ["", "\n", "\noops\n"])
def test_of_repeated_names_the_last_value_counts_and_their_records_are_noted(
    read: Reader, between: str
) -> None:
    records = ['{"a":1,"a":2,"a":3}', '{"a":{"p":1,"p":2}}', '{"a":"4"}', '{"b":"\xe9","b":5}']
    found = read((between.join(records) + '\n{"a":1,"a":2').encode(), "f.json")
    assert [row["a"] or row["b"] for row in found.good] == ["3", '{"p":2}', "4", "5"]
    assert found.notes.facts["repeated_keys"] == 3


def test_names_that_are_repeated_nowhere_are_not_noted(read: Reader) -> None:
    found = read(b'{"a":"1","b":{"a":[{"a":1},{"a":2}]}}\n{"a":"1","a":2', "f")
    assert "repeated_keys" not in found.notes.facts


def test_unknown_fields_are_noted_with_their_records_and_first_value(read: Reader) -> None:
    lines = ['{"a":1,"x":{"p": NaN}}', '{"a":2}', '{"y":null,"x":5}', '{"y":1', '{"y":"z"}']
    unknown = read("\n".join(lines).encode(), "f").notes.unknown
    assert {name: (item.records, item.example) for name, item in unknown.items()} == {
        "x": (2, '{"p":"NaN"}'),
        "y": (2, "null"),
    }


def test_raw_lines_around_json_lines_are_malformed_with_their_line_number(read: Reader) -> None:
    lines = ["[2024-01-31 10:00] INFO up", '{"a":"1"}', "", "at x(y.py:3)", '{"a":"2"}', "[x] {}"]
    found = read("\n".join(lines).encode(), "f.json")
    assert found.good == objects(("1", None), ("2", None))
    assert [raw for _, raw, _ in found.malformed] == [lines[0], lines[3], lines[5]]
    assert [error.split(":")[0] for _, _, error in found.malformed] == [
        "line 1",
        "line 4",
        "line 6",
    ]


@pytest.mark.parametrize(
    "char", [*'[{"\\:,}]x1', '{"', '{"a":', '{"a":[', '"{', '{"a":"{', '[{"a":', '[{"', "[{},"]
)
@pytest.mark.timeout(120)
def test_one_piece_over_and_over_is_read_to_its_end(read: Reader, char: str) -> None:
    # In linear time it takes seconds, in quadratic time hours.
    found = read((char * (300_000 // len(char))).encode(), "f.json")
    assert found.counted == len(found.rows)
