import gzip
from pathlib import Path

import pytest
from landed_bytes import Reader

from pipeline_assets.errors import HeaderError
from pipeline_assets.parsing import csv_records
from pipeline_assets.parsing.content import Content
from pipeline_assets.parsing.csv_records import _exact, _fast, _understand
from pipeline_assets.parsing.records import Layout


def cells(*rows: tuple[str | None, str | None]) -> list[dict[str, str | None]]:
    return [{"a": a, "b": b, "_rescued": None} for a, b in rows]


def test_values_come_as_received(read: Reader) -> None:
    found = read(b"a,b\n1, 2.50 \nNULL,true\n", "f.csv")
    assert found.good == cells(("1", " 2.50 "), ("NULL", "true"))
    assert found.counted == 2


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_ends_a_record(read: Reader, end: bytes) -> None:
    found = read(end.join([b"a,b", b"1,2", b"", b"3,4"]), "f.csv")
    assert found.good == cells(("1", "2"), ("3", "4"))
    assert found.counted == 2


def test_blank_lines_and_a_byte_order_mark_are_no_records(read: Reader) -> None:
    found = read(b"\xef\xbb\xbf\n\na,b\n\n1,2\n\n\n3,4\n\n", "f.csv")
    assert found.good == cells(("1", "2"), ("3", "4"))
    assert found.counted == 2
    assert found.notes.facts["blank_lines"] == 6


def test_quoted_newlines_commas_and_quotes_belong_to_the_value(read: Reader) -> None:
    found = read(b'a,b\n"x\ny","p,q"\r\n"say ""hi""",""\n', "f.csv")
    assert found.good == cells(("x\ny", "p,q"), ('say "hi"', ""))
    assert found.counted == 2


def test_an_empty_value_is_empty_text_and_a_missing_column_null(read: Reader) -> None:
    assert read(b'a\n""\nx\n', "f.csv").good == cells(("", None), ("x", None))
    assert read(b"a,b\n,\n", "f.csv").good == cells(("", ""))


def test_header_names_match_whatever_their_case_and_underscores(read: Reader) -> None:
    found = read(b" USER_ID ,EventType\nu,click\n", "f.csv", fields=("eventType", "userId"))
    assert found.good == [{"eventType": "click", "userId": "u", "_rescued": None}]


def test_unknown_columns_are_rescued(read: Reader) -> None:
    found = read(b'more,a,b,"sa""y"\nx,1,2,"\xc3\xa9"\n', "f.csv")
    assert found.good == [{"a": "1", "b": "2", "_rescued": '{"more":"x","sa\\"y":"\xe9"}'}]


def test_a_second_column_for_a_field_is_rescued_and_none_hides_another(read: Reader) -> None:
    found = read(b"A,a,x,x,b\n1,2,3,4,5\n", "f.csv")
    assert found.good == [{"a": "2", "b": "5", "_rescued": '{"A":"1","x":"3","x.4":"4"}'}]


@pytest.mark.parametrize("content", [b"p,q\n1,2\n3,4\n", b"just,one,line", b"\xff\xfe\x80" * 9])
def test_a_first_line_that_names_no_field_is_refused_and_shown(
    read: Reader, content: bytes
) -> None:
    with pytest.raises(HeaderError, match="names none of the fields a, b"):
        read(content, "f.csv")


def test_ragged_rows_are_malformed_in_their_place(read: Reader) -> None:
    found = read(b"a,b\nx\n1,2\n3\n4,5,6\n7,8\n9", "f.csv")
    assert found.malformed == [
        (1, "x", "line 2: 1 values where the header names 2"),
        (3, "3", "line 4: 1 values where the header names 2"),
        (4, "4,5,6", "line 5: 3 values where the header names 2"),
        (6, "9", "line 7: 1 values where the header names 2"),
    ]
    assert found.good == cells(("1", "2"), ("7", "8"))
    assert found.counted == 6


def test_line_numbers_count_the_lines_inside_quotes(read: Reader) -> None:
    found = read(b'a,b\r\n"x\r\ny",2\r\n\r\n3\r\n', "f.csv")
    assert found.malformed == [(2, "3", "line 5: 1 values where the header names 2")]


def test_a_file_of_ragged_rows_only_loads_as_malformed(read: Reader) -> None:
    found = read(b"a,b\n1\n2\n", "f.csv")
    assert [raw for _, raw, _ in found.malformed] == ["1", "2"]
    assert found.counted == 2


def test_bytes_that_are_not_utf8_cost_their_record_only(read: Reader) -> None:
    found = read(b"a,b\n1,2\n3,\xff\n\xfe\n5,6\n", "f.csv")
    assert found.good == cells(("1", "2"), ("5", "6"))
    assert found.malformed == [
        (2, "3,\\xff", "line 3: byte 3 of the record, 0xff, is not UTF-8"),
        (3, "\\xfe", "line 4: byte 1 of the record, 0xfe, is not UTF-8"),
    ]
    assert found.counted == 4


def test_a_quote_that_is_never_closed_costs_its_line_only(read: Reader) -> None:
    found = read(b'a,b\n1,2\n3,"four\n5,6\n"7",8\n', "f.csv")
    assert found.good == cells(("1", "2"), ("5", "6"), ("7", "8"))
    ((row, raw, error),) = found.malformed
    assert (row, raw) == (2, '3,"four')
    assert error.startswith("line 3: a quote is not closed")
    assert found.counted == 4


def test_a_quote_at_the_end_of_the_file_costs_its_line_only(read: Reader) -> None:
    found = read(b'a,b\n1,2\n3,"', "f.csv")
    assert found.good == cells(("1", "2"))
    assert [raw for _, raw, _ in found.malformed] == ['3,"']


def test_text_after_a_closing_quote_is_malformed(read: Reader) -> None:
    found = read(b'a,b\n"x"y,2\n3,4\n', "f.csv")
    assert found.good == cells(("3", "4"))
    assert [raw for _, raw, _ in found.malformed] == ['"x"y,2']


def test_a_quote_within_a_bare_value_is_a_character(read: Reader) -> None:
    found = read(b'a,b\n5" pipe,2\n3,4\n,""\n', "f.csv")
    assert found.good == cells(('5" pipe', "2"), ("3", "4"), ("", ""))
    assert found.counted == 3


def test_a_record_longer_than_the_parsers_block_is_read(read: Reader) -> None:
    long = "x\n" * 3_000_000
    found = read(f'a,b\n1,2\n"{long}",4\n'.encode(), "f.csv")
    assert found.good == cells(("1", "2"), (long, "4"))


def test_an_unknown_name_with_a_nul_is_a_name(read: Reader) -> None:
    found = read(b"x\0y,a\n1,2\n", "f.csv")
    assert found.rows[0]["_rescued"] == '{"x\\u0000y":"1"}'


def test_a_header_alone_has_no_records(read: Reader) -> None:
    for data in (b"a,b", b"a,b\n", b"\n\n", b"a,b\r\n\r\n"):
        found = read(data, "f.csv")
        assert (found.rows, found.counted) == ([], 0)


def test_batches_keep_to_their_size_and_order(read: Reader) -> None:
    lines = [f"{n},x" if n % 7 else f"{n}" for n in range(1, 101)]
    found = read("\n".join(["a,b", *lines]).encode(), "f.csv", batch_rows=9)
    texts = [row["a"] or row["_raw"] for row in found.rows]
    assert texts == [str(n) for n in range(1, 101)]


def test_both_paths_read_a_sound_file_alike(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b'a,b,c\r\n1,"x\ty",\xc3\xa9/\x7f\n"2","","q""\\"\n3\n,,\n')
    content, layout = Content(path, "f.csv"), Layout(("a", "b"), 10)
    file = _understand(content, layout)
    assert file is not None
    assert file.fast
    fast = list(_fast(file, layout))
    exact = list(_exact(file, layout))
    assert [row for batch in fast for row in batch.to_pylist()] == [
        row for batch in exact for row in batch.to_pylist()
    ]


def test_a_fault_of_the_fast_parser_continues_where_it_stopped(
    read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{n},{'x' * 90}" for n in range(1000)]
    lines[700] = f"700,{'y' * 9000}"  # larger than the parser's block
    monkeypatch.setattr(csv_records, "FAST_BLOCK_BYTES", 4096)
    found = read("\n".join(["a,b", *lines]).encode(), "f.csv")
    assert [row["a"] for row in found.rows] == [str(n) for n in range(1000)]
    assert found.counted == 1000


def test_a_compressed_file_reads_like_the_plain_one(read: Reader) -> None:
    data = b'a,b\n1,"x\ny"\n3\n'
    packed, plain = read(gzip.compress(data), "f.csv.gz"), read(data, "f.csv")
    assert (packed.rows, packed.counted) == (plain.rows, plain.counted)


@pytest.mark.parametrize("shift", range(8))
def test_a_quoted_line_end_is_whole_wherever_the_fast_parsers_blocks_end(
    read: Reader, monkeypatch: pytest.MonkeyPatch, shift: int
) -> None:
    monkeypatch.setattr(csv_records, "FAST_BLOCK_BYTES", 32)
    found = read(b"a,b\n" + b"x" * shift + b"y,0\n" + b'1,"\r\n"\n' * 50, "f.csv")
    assert [row["b"] for row in found.good[1:]] == ["\r\n"] * 50
