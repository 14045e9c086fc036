"""What files hold that the contract does not name: summed up, told, remembered."""

import dagster as dg

from pipeline_assets.drift import (
    ReadRecords,
    drift_metadata,
    drift_verdict,
    drifted_fields,
    writing_metadata,
)
from pipeline_assets.parsing.notes import UNKNOWN_KEPT, Notes

DAY = "2025-03-10"


def read(records: int, unknown: dict[str, tuple[int, str]], **facts: str | int) -> ReadRecords:
    notes = Notes(facts=dict(facts))
    for name, (found, example) in unknown.items():
        notes.rescued(name, found, example)
    return ReadRecords(records, notes)


def test_fields_of_all_files_are_summed_up_the_most_frequent_first() -> None:
    files = [read(6, {"campaign": (3, "spring"), "ip": (6, "10.0.0.1")}), read(4, {"ip": (2, "x")})]

    ip, campaign = drifted_fields(files)

    assert (ip.name, ip.records, ip.share, ip.example) == ("ip", 8, 0.8, "10.0.0.1")
    assert (campaign.name, campaign.records, campaign.share) == ("campaign", 3, 0.3)


def test_only_fields_that_were_never_seen_warn_and_are_named_with_share_and_example() -> None:
    fields = drifted_fields([read(4, {"ip": (4, "10.0.0.1"), "known": (4, "x")})])

    warning = drift_verdict(DAY, fields, {"ip"})

    assert (warning.passed, warning.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert warning.facts == {
        "new_fields": 1,
        "fields": ["ip (100.0% of the records, e.g. 10.0.0.1)"],
    }
    assert drift_verdict(DAY, fields, set()).passed


def test_a_date_without_the_new_field_passes() -> None:
    assert drift_verdict(DAY, drifted_fields([read(4, {"known": (1, "x")})]), {"ip"}).passed


def test_the_metadata_has_a_row_for_each_field_and_nothing_where_there_is_none() -> None:
    fields = drifted_fields([read(3, {"ip": (1, "10.0.0.1")})])

    table = drift_metadata(fields)["unknown_fields"]

    assert isinstance(table, dg.TableMetadataValue)
    (row,) = table.records
    assert row.data == {"field": "ip", "records": 1, "share": 0.333333, "example": "10.0.0.1"}
    assert drift_metadata([]) == {}


def test_how_files_are_written_is_told_once_for_each_kind_and_counts_are_summed_up() -> None:
    files = [
        read(1, {}, delimiter="\t", compression="gzip", blank_lines=2),
        read(1, {}, delimiter=",", compression="gzip", blank_lines=1),
    ]

    told = {name: value.value for name, value in writing_metadata(files).items()}

    assert told == {"delimiter": ",, tab", "compression": "gzip", "blank_lines": 3}


def test_names_that_are_data_are_counted_up_to_a_bound_only() -> None:
    notes = Notes()
    for number in range(2 * UNKNOWN_KEPT):
        notes.rescued(f"field {number}", 1, "x")
    notes.rescued("field 0", 1, "y")

    assert len(notes.unknown) == UNKNOWN_KEPT
    assert (notes.unknown["field 0"].records, notes.unknown["field 0"].example) == (2, "x")
