"""Whatever the bytes: rows are what is counted, no text is lost, and blocks make no difference."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from landed_bytes import Read, Reader

from pipeline_assets.errors import CorruptFileError, LandfallError
from pipeline_assets.parsing import (
    content,
    json_balance,
    json_documents,
    json_framing,
    json_records,
)

ANY_FILE = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
BETWEEN = " \t\r\n,[]"
PATH = ("data", "items")

texts = st.text(st.sampled_from('a\xe9"\\{}[],:\n\u2028 \U0001f600'), max_size=6)
numbers = st.one_of(st.integers(), st.floats(), st.integers(10**30, 10**40))
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
nested = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
records = st.dictionaries(st.one_of(st.just("a"), st.just("b"), texts), nested, max_size=4)
many_records = st.lists(records, min_size=1, max_size=6)
pieces = st.sampled_from(
    [
        *(bytes([char]) for char in b'{}{}[]:,"\\ \n\r\tx1-.\x0b\x00'),
        b'{"a":"1"}',
        b',{"a":"1"}',
        b',\n  {"a":[{"b":1},{"b":2}]}',
        b'\n{\n  "a": 1\n}',
        b'{"a":',
        b'"}{"',
        b'"},{"',
        b"{}",
        b'{"',
        b"\xff",
        b"\xc3\xa9",
        b"NaN",
        b"\\ud800",
        b"true",
        b'"x":',
    ]
)
openings = st.sampled_from(
    [
        b"",
        b"[",
        b"{\n",
        b"[\n  {},",
        b"[{}",
        b'{"data":{"items":[',
        b'{"data":{"items":[{}]',
        b"{}\n",
    ]
)
bodies = st.builds(bytes.__add__, openings, st.lists(pieces, max_size=60).map(b"".join))


def written(form: str, rows: list[dict[str, object]]) -> str:
    if form == "array":
        return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    if form == "pretty array":
        return json.dumps(rows, indent=2)
    if form == "held":
        return json.dumps({"n": {"items": [1]}, "data": {"m": "]", "items": rows}, "z": []})
    if form == "pretty":
        return "\n".join(["{\n}"] + [json.dumps(row, indent=1) for row in rows])
    between = {"lines": "\n", "joined": "", "array of lines": ",\n"}[form]
    joined = between.join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f"[\n{joined}\n]\n" if form == "array of lines" else joined


FORMS = ["lines", "joined", "array", "array of lines", "pretty array", "pretty", "held"]


def expected_text(value: object) -> str | None:
    """What JSON text of a value means, numbers that JSON lacks being text."""
    if value is None or isinstance(value, str):
        return value
    text = json.dumps(value)
    return text if isinstance(value, dict | list) else text.strip('"')


def without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {name: without_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    if isinstance(value, float) and json.dumps(value) in {"NaN", "Infinity", "-Infinity"}:
        return json.dumps(value)
    return value


def same(found: object, meant: object) -> bool:
    if isinstance(meant, dict | list):
        assert isinstance(found, str)
        return bool(json.loads(found) == without_nan(meant))
    return found == expected_text(meant)


def unread_after(source: str, found: Read) -> str:
    """What is left of the file's text once each record is taken from it, in order."""
    rest, decoder = source, json.JSONDecoder()
    for row in found.rows:
        if row["_error"] is None:
            rest = rest.lstrip(BETWEEN)
            rest = rest[decoder.raw_decode(rest)[1] :]
            continue
        raw = str(row["_raw"])
        at = rest.index(raw)
        assert rest[:at].strip(BETWEEN) == ""
        rest = rest[at + len(raw) :]
    return rest.strip(BETWEEN)


@dataclass(frozen=True)
class Small:
    """Reads with blocks of so few bytes that short files meet every edge."""

    read: Reader

    def __call__(self, data: bytes, block: int, **options: object) -> Read:
        with pytest.MonkeyPatch.context() as patch:
            for module in (content, json_framing, json_records):
                patch.setattr(module, "BLOCK_BYTES", block)
            for module in (json_framing, json_documents):
                patch.setattr(module, "LOOKAHEAD", 32)
            patch.setattr(json_balance, "TRUSTED", 48)
            return self.read(data, "f.json", **options)


@pytest.fixture(scope="module")
def small(read: Reader) -> Small:
    return Small(read)


def but_for_leading_blanks(found: Read | str) -> object:
    """Blanks before a malformed part of a line may be left out where a block ends."""
    if isinstance(found, str):
        return found
    return found.good, [(row, raw.strip()) for row, raw, _ in found.malformed], found.notes


def outcome(small: Small, data: bytes, block: int, **options: object) -> Read | str:
    try:
        found = small(data, block, **options)
    except LandfallError as error:
        return error.kind
    assert found.counted == len(found.rows)
    return found


@pytest.mark.parametrize("form", FORMS)
@ANY_FILE
@given(many_records, st.sampled_from([7, 16, 1 << 20]))
def test_sound_values_come_through_in_every_form(
    small: Small, form: str, rows: list[dict[str, object]], block: int
) -> None:
    path = PATH if form == "held" else ()
    found = small(written(form, rows).encode(), block, records_path=path)
    assert found.malformed == []
    assert found.counted == len(found.rows)
    good = found.good[1:] if form == "pretty" else found.good
    assert len(good) == len(rows)
    for row, meant in zip(good, rows, strict=True):
        if meant.keys() <= {"a", "b"}:
            assert all(same(row[name], meant.get(name)) for name in ("a", "b"))


@ANY_FILE
@given(bodies, st.sampled_from([5, 16, 33]))
@pytest.mark.parametrize("declared", [PATH, ()], ids=["path", "none"])
@pytest.mark.parametrize("limit", [64, 1 << 20])
def test_any_text_is_accounted_for_and_blocks_make_no_difference(
    small: Small, limit: int, declared: tuple[str, ...], data: bytes, block: int
) -> None:
    path = PATH if data.startswith(b'{"data') else declared
    found = outcome(small, data, block, records_path=path, record_bytes=limit)
    whole = outcome(small, data, 1 << 20, records_path=path, record_bytes=limit)
    assert but_for_leading_blanks(found) == but_for_leading_blanks(whole)
    if isinstance(found, Read) and not path:
        assert unread_after(data.decode("utf-8", "backslashreplace"), found) == ""


def damaged(draw: st.DrawFn, data: bytes) -> tuple[int, bytes]:
    at = draw(st.integers(0, len(data) - 1))
    kind = draw(st.sampled_from(["cut", "flip", "delete", "insert"]))
    inserted = draw(
        st.one_of(
            st.binary(min_size=1, max_size=3),
            st.sampled_from(list(b'"{}[],\\\n')).map(lambda c: bytes([c])),
        )
    )
    after = {
        "cut": b"",
        "flip": bytes([data[at] ^ draw(st.integers(1, 255))]) + data[at + 1 :],
        "delete": data[at + draw(st.integers(1, 5)) :],
        "insert": inserted + data[at:],
    }
    return at, data[:at] + after[kind]


@st.composite
def damaged_files(draw: st.DrawFn) -> tuple[str, list[dict[str, object]], int, bytes]:
    form, rows = draw(st.sampled_from(FORMS)), draw(many_records)
    at, data = damaged(draw, written(form, rows).encode())
    return form, rows, at, data


@settings(ANY_FILE, max_examples=400)
@given(damaged_files(), st.sampled_from([7, 16, 1 << 20]))
def test_damage_leaves_the_records_before_it(
    small: Small, file: tuple[str, list[dict[str, object]], int, bytes], block: int
) -> None:
    form, rows, at, data = file
    path = PATH if form == "held" else ()
    found = outcome(small, data, block, records_path=path)
    if isinstance(found, str):
        assert (form, found) == ("held", CorruptFileError.__name__)
        return
    if not path:
        assert unread_after(data.decode("utf-8", "backslashreplace"), found) == ""
    before = [
        row
        for number, row in enumerate(rows)
        if len(written(form, rows[: number + 1]).encode()) < at - 1
    ]
    assume(len(before) > 1)
    sound = small(written(form, before).encode(), block, records_path=path).good
    assert found.good[: len(sound)] == sound


@ANY_FILE
@given(many_records, st.data())
@pytest.mark.parametrize("form", ["lines", "pretty", "pretty array"])
def test_damage_that_leaves_lines_alone_costs_one_record(
    small: Small, form: str, rows: list[dict[str, object]], data: st.DataObject
) -> None:
    """Between records of which nothing is damaged; the broken one never balances."""
    broken = data.draw(st.sampled_from(['"cut', "oops oops", "[1,2", '{"x":1', '{"x":[{"y":1}']))
    indent = "  " if form == "pretty array" else ""
    rows = [{"a": "1"}, *rows]
    at = data.draw(st.integers(1, len(rows)))
    parts = [json.dumps(row, indent=None if form == "lines" else 1) for row in rows]
    parts = [part.replace("\n", "\n" + indent) for part in parts]
    parts.insert(
        at, f'{{"a":{broken}' if form == "lines" else f'{{\n {indent}"a": {broken}\n{indent}}}'
    )
    text = (",\n" if indent else "\n").join(indent + part for part in parts)
    found = small(
        (f"[\n{text}\n]" if indent else ("" if form == "lines" else "{\n}\n") + text).encode(), 16
    )
    assert found.counted == len(found.rows)
    assert len(found.malformed) >= 1
    assert len(found.good) == len(rows) + (form == "pretty")
