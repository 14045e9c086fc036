"""Laws of refining that hold for any rows: conservation, idempotence, order, what is kept."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_assets.datasets.events import DATASET
from pipeline_assets.refine import RefinedDate, refine

DAY = date(2024, 5, 28)
USER = "64ff50f6-2ff3-56e1-9ef8-6f3c9f39d4de"
KEYS = {"z": "events/1.csv", "a": "events/2.json", "m": "events/3.parquet"}
"""File ids sort differently from their landing keys."""

LAWS = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is slow at drawing rows; that says nothing about the laws."""

Record = Mapping[str, str | None]


GOOD: Record = {"eventType": "click", "userId": USER, "timestamp": "2024-05-28T10:00:00Z"}


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


def same(one: RefinedDate, other: RefinedDate) -> bool:
    return (
        one.silver.equals(other.silver)
        and one.quarantine.equals(other.quarantine)
        and replace(one, silver=other.silver, quarantine=other.quarantine) == other
    )


RECORDS = st.fixed_dictionaries(
    {
        "_error": st.sampled_from([None, None, None, None, "cut"]),
        "_raw": st.just("raw"),
        "eventType": st.sampled_from(["click", "click", "click", "signup", "refund"]),
        "userId": st.sampled_from([USER, USER, USER.upper(), None]),
        "timestamp": st.sampled_from(
            ["2024-05-28T10:00:00Z", "2024-05-28 10:00:00", "2024-05-28T11:00:00Z", "x"]
        ),
        "eventId": st.sampled_from([None, None, "", "1", " 1 ", "2"]),
        "sessionId": st.sampled_from([None, "s"]),
        "properties": st.sampled_from([None, '{"a":1}', '{ "a": 1 }', '{"a":2}', "["]),
    }
)
FILES = st.dictionaries(st.sampled_from(sorted(KEYS)), st.lists(RECORDS, max_size=25))


def survivors(files: Mapping[str, list[Record]]) -> set[tuple[str, int]]:
    """Rows that must be kept, found row by row with plain sets."""
    seen = set()
    found = set()
    for file_id in sorted(files, key=KEYS.__getitem__):
        for row, record in enumerate(files[file_id]):
            identity = valid_identity(record)
            if identity is not None and identity not in seen:
                seen.add(identity)
                found.add((file_id, row))
    return found


def valid_identity(record: Record) -> tuple[str | None, ...] | None:
    faults = (
        record["_error"],
        record["eventType"] == "refund",
        record["userId"] is None,
        record["timestamp"] == "x",
        record["properties"] == "[",
    )
    if any(faults):
        return None
    event_id = (record["eventId"] or "").strip()
    properties = (record["properties"] or "").replace(" ", "")
    time = (record["timestamp"] or "")[11:19]
    return (event_id,) if event_id else (record["eventType"], time, record["sessionId"], properties)


@given(files=FILES)
@settings(LAWS)
def test_exactly_the_first_of_equal_valid_rows_are_kept(files: dict[str, list[Record]]) -> None:
    assert set(kept(refined(files))) == survivors(files)


@given(files=FILES)
@settings(LAWS)
def test_every_row_is_in_one_place_only(files: dict[str, list[Record]]) -> None:
    result = refined(files)

    faulty = [each for records in files.values() for each in records if not valid_identity(each)]
    assert result.conserved
    assert result.quarantined == len(faulty)
    assert not set(kept(result)) & set(result.quarantine.select("_file_id", "_row").rows())


@given(files=FILES, seed=st.integers(0, 1000))
@settings(LAWS)
def test_the_order_in_which_rows_come_does_not_matter(
    files: dict[str, list[Record]], seed: int
) -> None:
    shuffled = bronze(files).sample(fraction=1, shuffle=True, seed=seed)

    result = refine(shuffled, DATASET, event_date=DAY, landing_keys=KEYS)

    assert same(result, refined(files))


@given(records=st.lists(RECORDS, max_size=25))
@settings(LAWS)
def test_the_same_file_landed_again_changes_nothing_in_silver(records: list[Record]) -> None:
    once = refined({"z": records})
    twice = refined({"z": records, "m": records})

    assert twice.silver.equals(once.silver)
    assert twice.duplicates == once.silver_rows + 2 * once.duplicates
    assert twice.quarantined == 2 * once.quarantined


def test_the_first_of_many_equal_rows_is_kept_at_scale() -> None:
    rows = 200_000
    index = pl.int_range(0, rows)
    many = bronze({"z": [GOOD]}).select(
        pl.col("*").exclude("_row", "eventId").repeat_by(rows).explode()
    )
    many = many.with_columns(
        index.alias("_row"), pl.format("e-{}", index * 7919 % 5000).alias("eventId")
    )

    result = refine(many, DATASET, event_date=DAY, landing_keys=KEYS)

    assert kept(result) == [("z", row) for row in range(5000)]
    assert result.duplicates == rows - 5000
