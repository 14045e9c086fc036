"""What becomes of an event date's rows: each is kept, quarantined or counted as a duplicate."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from pipeline_assets.contract import rules
from pipeline_assets.datasets.events import DATASET, conform
from pipeline_assets.errors import ConformError, ContractBrokenError
from pipeline_assets.refine import RefinedDate, refine

DAY = date(2024, 5, 28)
USER = "64ff50f6-2ff3-56e1-9ef8-6f3c9f39d4de"
KEYS = {"z": "events/1.csv", "a": "events/2.json", "m": "events/3.parquet"}
"""File ids sort differently from their landing keys."""

Record = Mapping[str, str | None]

GOOD: Record = {
    "eventType": "click",
    "userId": USER,
    "timestamp": "2024-05-28T10:00:00Z",
    "sessionId": "s-1",
    "properties": '{"a": 1}',
}


def bronze(files: Mapping[str, list[Record]]) -> pl.DataFrame:
    text = ("_raw", "_error", *DATASET.fields, "_rescued")
    schema = {"_file_id": pl.String(), "_row": pl.Int64()} | dict.fromkeys(text, pl.String())
    rows = [
        {"_file_id": file_id, "_row": row} | {name: record.get(name) for name in text}
        for file_id, records in files.items()
        for row, record in enumerate(records)
    ]
    return pl.DataFrame(rows, schema=schema)


def refined(files: Mapping[str, list[Record]]) -> RefinedDate:
    return refine(bronze(files), DATASET, event_date=DAY, landing_keys=KEYS)


def kept(result: RefinedDate) -> list[tuple[str, int]]:
    return result.silver.select("_file_id", "_row").rows()


def test_a_valid_row_becomes_a_row_of_silver() -> None:
    silver = refined({"z": [GOOD]}).silver

    assert silver.columns == [
        "event_id",
        "event_type",
        "user_id",
        "timestamp",
        "session_id",
        "properties",
        "hour_bucket",
        "event_date",
        "_file_id",
        "_row",
    ]
    assert silver.select("event_type", "properties", "event_date", "_file_id", "_row").rows() == [
        ("click", '{"a":1}', DAY, "z", 0)
    ]


def test_rows_that_say_the_same_in_other_words_are_duplicates() -> None:
    reworded = {
        "userId": USER.upper(),
        "timestamp": "2024-05-28 12:00:00.000+02:00",
        "properties": '{ "a":1 }',
        "eventId": " ",
    }

    result = refined({"z": [GOOD, {**GOOD, **reworded}]})

    assert kept(result) == [("z", 0)]
    assert result.duplicates == 1
    assert result.conserved


def test_rows_with_an_event_id_are_equal_by_it_alone() -> None:
    first = {**GOOD, "eventId": "e-1"}
    again = {**first, "eventType": "signup", "timestamp": "2024-05-28T09:00:00Z"}
    other = {**first, "eventId": "e-2"}

    assert kept(refined({"z": [first, again, other]})) == [("z", 0), ("z", 2)]


def test_a_row_with_an_event_id_never_equals_one_without() -> None:
    assert refined({"z": [GOOD, {**GOOD, "eventId": "e-1"}]}).duplicates == 0


def test_absent_optional_fields_are_equal_to_each_other() -> None:
    bare = {name: GOOD[name] for name in ("eventType", "userId", "timestamp")}

    assert refined({"z": [bare, bare, GOOD]}).duplicates == 1


def test_of_equal_rows_the_one_of_the_lowest_landing_key_and_row_is_kept() -> None:
    bad = {**GOOD, "userId": "nobody"}

    assert kept(refined({"a": [GOOD], "m": [GOOD], "z": [bad, GOOD, GOOD]})) == [("z", 1)]


def test_an_invalid_row_does_not_hide_a_valid_one_of_its_event_id() -> None:
    bad = {**GOOD, "eventId": "e-1", "userId": None}
    good = {**GOOD, "eventId": "e-1"}

    assert kept(refined({"z": [bad, good]})) == [("z", 1)]


def test_silver_is_sorted_by_time_then_file_then_row() -> None:
    early = {**GOOD, "timestamp": "2024-05-28T00:00:00Z"}
    identified: list[Record] = [{**GOOD, "eventId": "1"}, {**early, "eventId": "2"}]

    assert kept(refined({"z": identified, "a": [GOOD, early]})) == [
        ("a", 1),
        ("z", 1),
        ("a", 0),
        ("z", 0),
    ]


def test_an_invalid_row_is_quarantined_with_all_its_reasons_and_its_record() -> None:
    bad = {
        **GOOD,
        "eventType": "refund",
        "userId": "",
        "timestamp": "soon",
        "sessionId": None,
        "_rescued": '{"ip":"::1"}',
    }

    quarantine = refined({"a": [GOOD, bad]}).quarantine

    assert quarantine.columns == [
        "event_date",
        "_file_id",
        "_row",
        "landing_key",
        "reasons",
        "record",
    ]
    *place, reasons, record = quarantine.row(0)
    assert place == [DAY, "a", 1, "events/2.json"]
    assert reasons == "event_type_isin; user_id_required; timestamp_readable"
    names = (*DATASET.fields, "_rescued")
    present = {name: bad[name] for name in names if bad.get(name) is not None}
    assert record == json.dumps(present, separators=(",", ":"))


def test_a_malformed_record_is_quarantined_as_it_was_received() -> None:
    cut = {"_error": "unterminated string in line 2", "_raw": '{"eventType": "cli'}

    result = refined({"z": [GOOD, cut]})

    assert result.quarantine.select("reasons", "record").row(0) == (
        "malformed: unterminated string in line 2",
        '{"eventType": "cli',
    )
    assert all(outcome.failing == 0 for outcome in result.outcomes)


def test_quarantine_is_sorted_by_landing_key_and_row() -> None:
    bad = {**GOOD, "userId": "nobody"}
    cut = {"_error": "cut", "_raw": "x"}

    quarantine = refined({"m": [bad], "a": [bad, cut, bad], "z": [cut, bad]}).quarantine

    assert quarantine.select("landing_key", "_row").rows() == [
        ("events/1.csv", 0),
        ("events/1.csv", 1),
        ("events/2.json", 0),
        ("events/2.json", 1),
        ("events/2.json", 2),
        ("events/3.parquet", 0),
    ]


def test_a_row_of_another_day_was_out_of_range_and_is_quarantined() -> None:
    stray = {**GOOD, "timestamp": "2124-05-28T10:00:00Z"}
    ancient = {**GOOD, "timestamp": "0001-01-01T00:00:00Z"}

    quarantine = refined({"z": [stray, ancient]}).quarantine

    assert quarantine["reasons"].to_list() == ["timestamp_in_partition"] * 2


def test_outcomes_count_each_rule_and_show_up_to_three_examples() -> None:
    bad = {**GOOD, "userId": "nobody"}

    result = refined({"a": [bad] * 4, "z": [bad, GOOD, GOOD, GOOD]})

    assert tuple(outcome.rule for outcome in result.outcomes) == rules(DATASET)
    outcome = next(each for each in result.outcomes if each.rule.name == "user_id_str_matches")
    assert outcome.failing == 5
    assert outcome.share == 5 / 8
    assert [example.split(":")[0] for example in outcome.examples] == [
        "events/1.csv row 0",
        "events/2.json row 0",
        "events/2.json row 1",
    ]
    assert '"userId":"nobody"' in outcome.examples[0]
    assert sum(each.failing for each in result.outcomes) == 5
    assert result.quarantine_share == 5 / 8


def test_no_rows_make_empty_tables_of_the_same_columns_and_types() -> None:
    empty = refine(bronze({}), DATASET, event_date=DAY, landing_keys={})
    full = refined({"z": [GOOD, {**GOOD, "userId": "nobody"}]})

    assert empty.silver.schema == full.silver.schema
    assert empty.quarantine.schema == full.quarantine.schema
    assert (empty.bronze_rows, empty.duplicates, empty.quarantine_share) == (0, 0, 0.0)
    assert empty.conserved
    assert [outcome.failing for outcome in empty.outcomes] == [0] * len(rules(DATASET))


def test_only_malformed_rows_make_an_empty_silver() -> None:
    result = refined({"z": [{"_error": "cut", "_raw": "x"}]})

    assert (result.silver_rows, result.quarantined, result.quarantine_share) == (0, 1, 1.0)


def test_rows_of_a_file_without_a_landing_key_are_refused() -> None:
    with pytest.raises(ValueError, match=r"lacks the files \['a'\]"):
        refine(bronze({"z": [GOOD], "a": [GOOD]}), DATASET, event_date=DAY, landing_keys={"z": "k"})


def test_a_conform_that_loses_rows_is_refused() -> None:
    lossy = replace(DATASET, conform=lambda received: conform(received).head(1))

    with pytest.raises(ConformError, match="events made 1 rows of 2"):
        refine(bronze({"z": [GOOD, GOOD]}), lossy, event_date=DAY, landing_keys=KEYS)


def test_a_conform_that_loses_a_column_is_refused() -> None:
    lossy = replace(DATASET, conform=lambda received: conform(received).drop("event_id"))

    with pytest.raises(ConformError, match="events returned"):
        refine(bronze({"z": [GOOD]}), lossy, event_date=DAY, landing_keys=KEYS)


def test_silver_of_another_type_than_the_contract_says_is_refused() -> None:
    untyped = replace(
        DATASET,
        conform=lambda received: conform(received).with_columns(
            pl.col("timestamp").dt.cast_time_unit("ms")
        ),
    )

    with pytest.raises(ContractBrokenError, match="silver/events breaks its contract: timestamp"):
        refine(bronze({"z": [GOOD]}), untyped, event_date=DAY, landing_keys=KEYS)


def test_a_snapshot_may_hold_rows_of_any_time() -> None:
    snapshot = replace(DATASET, event_time=None)

    result = refine(
        bronze({"z": [{**GOOD, "timestamp": "2011-01-01T00:00:00Z"}]}),
        snapshot,
        event_date=DAY,
        landing_keys=KEYS,
    )

    assert result.silver_rows == 1
