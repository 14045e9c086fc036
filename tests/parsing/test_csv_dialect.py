"""How a file writes its values is found in its beginning, and only there."""

import pytest
from landed_bytes import Read, Reader

from pipeline_assets.errors import HeaderError
from pipeline_assets.parsing.csv_framing import Dialect


def values(found: Read) -> list[list[object]]:
    return [[row["a"], row["b"]] for row in found.good]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("broken", ["", '5,"six\n'], ids=["fast", "exact"])
class TestDelimiters:
    def test_each_is_found_in_the_header(self, read: Reader, delimiter: str, broken: str) -> None:
        text = f'A,b\n1,2\n"x\n,;\t|",4\n{broken}'.replace(",", delimiter)
        found = read(text.encode(), "f.csv")
        assert values(found) == [["1", "2"], [f"x\n{delimiter};\t|", "4"]]
        assert found.notes.facts["delimiter"] == delimiter
        assert len(found.malformed) == bool(broken)

    def test_the_others_are_characters(self, read: Reader, delimiter: str, broken: str) -> None:
        other = ";" if delimiter == "," else ","
        text = f"a,b\n1{other}1,2\n{broken}".replace(",", "D").replace(";", "O")
        text = text.replace("D", delimiter).replace("O", other)
        first = "1" + other + "1"
        assert values(read(f"a{delimiter}b\n{first}{delimiter}2\n".encode(), "f.csv")) == [
            [first, "2"]
        ]

    def test_ragged_rows_show_their_text(self, read: Reader, delimiter: str, broken: str) -> None:
        text = f"a,b\n1,2,3\n4\n{broken}".replace(",", delimiter)
        found = read(text.encode(), "f.csv")
        assert found.malformed[:2] == [
            (1, f"1{delimiter}2{delimiter}3", "line 2: 3 values where the header names 2"),
            (2, "4", "line 3: 1 values where the header names 2"),
        ]


def test_the_delimiter_that_names_most_fields_is_taken(read: Reader) -> None:
    found = read(b"a;b,c\n1;2,3\n", "f.csv", fields=("a", "b,c", "c"))
    assert found.notes.facts["delimiter"] == ";"
    assert found.good[0] == {"a": "1", "b,c": "2,3", "c": None, "_rescued": None}


def test_of_equal_names_the_one_with_steady_rows_is_taken(read: Reader) -> None:
    found = read(b"a,x;b\n1,2;3\n4;5\n,6,7;8\n", "f.csv")
    assert found.notes.facts["delimiter"] == ";"
    assert found.good[0] == {"a": None, "b": "3", "_rescued": '{"a,x":"1,2"}'}


def test_comma_is_taken_where_nothing_decides(read: Reader) -> None:
    found = read(b"a\n1;2\n3,4\n", "f.csv")
    assert found.notes.facts["delimiter"] == ","
    assert [row["a"] for row in found.good] == ["1;2"]
    assert [raw for _, raw, _ in found.malformed] == ["3,4"]


def test_a_fixed_delimiter_is_taken_whatever_the_content_shows(read: Reader) -> None:
    assert values(read(b"a^b\n1,2^3\n", "f.csv", delimiter="^")) == [["1,2", "3"]]
    with pytest.raises(HeaderError, match=r"first line 'a;b' names none"):
        read(b"a;b\n1;2\n", "f.csv", delimiter=",")


@pytest.mark.parametrize("header", [b"p,q", b"p;q", b"p\tq", b"p|q", b'"p;q', b"pq"])
def test_a_first_line_without_a_field_is_refused_whatever_its_delimiter(
    read: Reader, header: bytes
) -> None:
    with pytest.raises(HeaderError, match="names none of the fields a, b"):
        read(header + b"\na,b\n1,2\n", "f.csv")


@pytest.mark.parametrize("delimiter", ["", "ab", '"', "\n", "\\", "§"])
def test_what_cannot_delimit_values_is_refused(delimiter: str) -> None:
    with pytest.raises(ValueError, match="cannot delimit CSV values"):
        Dialect(delimiter)


def test_a_file_in_utf16_is_read_like_any_other(read: Reader) -> None:
    text = "a;b\r\n\xe9\u20ac;\U0001f600\r\n"
    for encoding in ("utf-16", "utf-8-sig"):
        assert values(read(text.encode(encoding), "f.csv")) == [["\xe9\u20ac", "\U0001f600"]]


def test_a_declared_encoding_is_read_and_what_it_lacks_costs_its_row(read: Reader) -> None:
    found = read(b"a;b\n\xe9;\x80\n\xe9;\x81\n3;4\n", "f.csv", encoding="windows-1252")
    assert values(found) == [["\xe9", "\u20ac"], ["3", "4"]]
    error = "line 3: byte 3 of the record, 0x81, is not windows-1252"
    assert found.malformed == [(2, "\xe9;\\x81", error)]


def test_a_byte_that_the_encoding_lacks_is_shown_in_a_name_too(read: Reader) -> None:
    found = read(b"a;\xe9\x81\n1;2\n", "f.csv", encoding="windows-1252")
    assert found.good == [{"a": "1", "b": None, "_rescued": '{"\xe9\\\\x81":"2"}'}]


def test_a_byte_order_mark_before_a_value_belongs_to_it(read: Reader) -> None:
    assert values(read(b"a,b\n\xef\xbb\xbf1,2\n", "f.csv")) == [["\ufeff1", "2"]]


class TestEscapes:
    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
    def test_escaped_quotes_are_read_where_the_content_shows_them(
        self, read: Reader, end: bytes
    ) -> None:
        lines = [b"a,b", rb'"a \"b\" c",1', rb'"x, \"y",2', rb'"\\","\n"', rb'"""",\"']
        found = read(end.join(lines), "f.csv")
        assert values(found) == [
            ['a "b" c', "1"],
            ['x, "y', "2"],
            ["\\", r"\n"],
            ['"', r"\""],
        ]
        assert found.malformed == []

    def test_a_quoted_value_with_escapes_may_hold_line_ends(self, read: Reader) -> None:
        found = read(b'a,b\n"{\\"k\\":\n\\"v\\"}",1\n2\n', "f.csv")
        assert values(found) == [['{"k":\n"v"}', "1"]]
        assert found.malformed == [(2, "2", "line 4: 1 values where the header names 2")]

    @pytest.mark.parametrize(
        "rows",
        [
            [["C:\\", "1"], ["D:\\", "2"]],
            [["1", "C:\\"], ["2", "D:\\"]],
            [["\\", '"'], ['\\"', "\\\\"], ["", "\\"]],
            [["a\\", "\n1,2\n3,4\n5,6\n"], ["x", "y"]],
        ],
    )
    def test_a_value_that_ends_in_a_backslash_stays_where_quotes_are_doubled(
        self, read: Reader, rows: list[list[str]]
    ) -> None:
        body = "".join(
            ",".join('"{}"'.format(value.replace('"', '""')) for value in row) + "\n"
            for row in rows
        )
        assert values(read(b"a,b\n" + body.encode(), "f.csv")) == rows

    def test_such_a_value_stays_although_another_row_is_broken(self, read: Reader) -> None:
        found = read(b'a,b\n"C:\\",1\n"x"y,2\n3,"D:\\"\n', "f.csv")
        assert values(found) == [["C:\\", "1"], ["3", "D:\\"]]
        assert [raw for _, raw, _ in found.malformed] == ['"x"y,2']

    def test_a_broken_row_costs_only_itself_among_escapes(self, read: Reader) -> None:
        found = read(b'a,b\n"x\\"",1\n"y\\",2\n"\\"z",3\n', "f.csv")
        assert values(found) == [['x"', "1"], ['"z', "3"]]
        assert [raw for _, raw, _ in found.malformed] == ['"y\\",2']


class TestHeaders:
    @pytest.mark.parametrize("broken", [b"", b'"\n'], ids=["fast", "exact"])
    def test_of_equal_and_empty_names_none_hides_another(self, read: Reader, broken: bytes) -> None:
        found = read(b"a,x,x, ,x.3,a,,x\n1,2,3,4,5,6,7,8\n" + broken, "f.csv")
        assert found.good == [
            {
                "a": "1",
                "b": None,
                "_rescued": '{"x":"2","x.3":"3","column 4":"4","x.3.5":"5","a.6":"6",'
                '"column 7":"7","x.8":"8"}',
            }
        ]

    @pytest.mark.parametrize("broken", [b"", b'"\n'], ids=["fast", "exact"])
    def test_unknown_columns_are_noted_with_their_first_value(
        self, read: Reader, broken: bytes
    ) -> None:
        found = read(b"a,x,b,y,z\n1,,2,,3\n1,p,2,,\n,,,,\n1,q,2,,\n" + broken, "f.csv")
        noted = {name: (at.records, at.example) for name, at in found.notes.unknown.items()}
        assert noted == {"x": (2, "p"), "z": (1, "3")}

    def test_a_header_with_a_quote_out_of_place_loses_no_name(self, read: Reader) -> None:
        found = read(b'a,"b\n1,2\n', "f.csv")
        assert values(found) == [["1", "2"]]
        found = read(b'"a"x,b\n1,2\n', "f.csv")
        assert found.good == [{"a": None, "b": "2", "_rescued": '{"a\\"x":"1"}'}]

    def test_names_may_fill_more_than_the_head(self, read: Reader) -> None:
        names = [f"column_{n}" for n in range(4_900)]
        text = ";".join(["a", *names, "b"]) + "\n" + ";".join(["1"] * 4_902) + "\n"
        assert len(text) > 65_536
        found = read(text.encode(), "f.csv")
        assert values(found) == [["1", "1"]]

    @pytest.mark.parametrize(
        "data", [b"", b"\n", b"\r\n\r\n", b"\xef\xbb\xbf", b"a;b", b"a|b\r", b"\n\na\tb\n\n"]
    )
    def test_a_file_without_rows_has_none(self, read: Reader, data: bytes) -> None:
        found = read(data, "f.csv")
        assert (found.rows, found.counted) == ([], 0)


@pytest.mark.parametrize("broken", [b"", b'"\n'], ids=["fast", "exact"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_blank_lines_are_counted(read: Reader, end: bytes, broken: bytes) -> None:
    found = read(end.join([b"", b"a,b", b"", b'1,"x', b"", b'"', b"", b"", broken]), "f.csv")
    assert found.notes.facts["blank_lines"] == 4
    assert "blank_lines" not in read(b"a,b\n1,2\n", "f.csv").notes.facts


@pytest.mark.parametrize("broken", ["", '5,"six\n'], ids=["fast", "exact"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("blanks", [["  "], ["\t", " \t "], [" ", "", "\t\t"]], ids=repr)
def test_lines_of_blanks_before_the_header_are_left_out_and_counted(
    read: Reader, blanks: list[str], delimiter: str, end: str, broken: str
) -> None:
    text = "\n".join([*blanks, "a,b", "1,2", "3", "4,5", broken])
    found = read(text.replace(",", delimiter).replace("\n", end).encode(), "f.csv")
    assert values(found) == [["1", "2"], ["4", "5"]]
    ragged = f"line {len(blanks) + 3}: 1 values where the header names 2"
    assert found.malformed[0] == (2, "3", ragged)
    assert found.counted == len(found.rows)
    assert found.notes.facts["blank_lines"] == len(blanks)


def test_lines_of_blanks_below_the_header_are_records(read: Reader) -> None:
    found = read(b"a\n  \n\t\n", "f.csv")
    assert [row["a"] for row in found.good] == ["  ", "\t"]


@pytest.mark.parametrize("fixed", [{}, {"delimiter": "\t"}, {"delimiter": " "}], ids=repr)
@pytest.mark.parametrize("data", [b"  ", b" \n\t\n", b"\n \r\n\r", b" \n" * 50_000], ids=len)
def test_a_file_of_nothing_but_blanks_has_no_records(
    read: Reader, data: bytes, fixed: dict[str, str]
) -> None:
    found = read(data, "f.csv", **fixed)
    assert (found.rows, found.counted) == ([], 0)
    assert found.notes.facts["blank_lines"] == len(data.splitlines())
