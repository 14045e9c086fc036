"""A date in buckets has the tables and the account of the date as a whole, whatever its rows."""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from datetime import date
from functools import partial

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_assets.account import DateAccount, RejectedRows, RuleOutcome, added
from pipeline_assets.buckets import bucket_count, refine_in_buckets
from pipeline_assets.contract import rules
from pipeline_assets.dataset import Dataset, Keep
from pipeline_assets.datasets import customers, events, logs, readings
from pipeline_assets.errors import ConformError
from pipeline_assets.fragments import fragment_schema
from pipeline_assets.parsing.formats import Format
from pipeline_assets.refine import RefinedDate, refine
from resources.parquet import ROWS_PER_GROUP, encode

DAY = date(2024, 5, 28)
KEYS = {"z": "events/1.csv", "a": "events/2.json", "m": "events/3.parquet"}
"""File ids sort differently from their landing keys."""
VERSION = 7
LAWS = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

Record = Mapping[str, str | None]
Tables = tuple[str, str, DateAccount]

USER = "64ff50f6-2ff3-56e1-9ef8-6f3c9f39d4de"
TIMES = ("2024-05-28T10:00:00Z", "2024-05-28 12:00:00+02:00", " 2024-05-28T11:00:00Z ", "x", None)


def bronze(dataset: Dataset, files: Mapping[str, list[Record]]) -> pl.DataFrame:
    rows = [
        {"_file_id": file_id, "_row": row, "_landed_at": "2024-05-29T00:00:00+00:00", **record}
        for file_id, records in files.items()
        for row, record in enumerate(records)
    ]
    empty = pl.DataFrame(fragment_schema(dataset).empty_table())
    return pl.DataFrame(rows, schema=empty.schema)


def refine_of(dataset: Dataset) -> Callable[[pl.DataFrame], RefinedDate]:
    return partial(refine, dataset=dataset, event_date=DAY, landing_keys=KEYS)


def whole(dataset: Dataset, files: Mapping[str, list[Record]]) -> Tables:
    """Digests of silver and quarantine, and the account, of the date in one piece."""
    refined = refine_of(dataset)(bronze(dataset, files))
    encoded = [encode(each.to_arrow()) for each in (refined.silver, refined.quarantine)]
    for each in encoded:
        each.body.close()
    silver, quarantine = (each.digest for each in encoded)
    return silver, quarantine, refined.account


def in_buckets(
    dataset: Dataset, files: Mapping[str, list[Record]], buckets: int, part_rows: int = 3
) -> Tables:
    """The same of the date in buckets, its rows coming in small parts."""
    parts = bronze(dataset, files).iter_slices(part_rows)
    made = refine_in_buckets(parts, dataset, refine_of(dataset), buckets=buckets, version=VERSION)
    with made.silver.body, made.quarantine.body:
        assert made.silver.rows == made.account.silver_rows
        assert made.quarantine.rows == made.account.quarantined
        return made.silver.digest, made.quarantine.digest, made.account


def records(fields: Mapping[str, tuple[str | None, ...]]) -> st.SearchStrategy[Record]:
    return st.fixed_dictionaries(
        {
            "_error": st.sampled_from([None, None, None, None, None, "cut; short"]),
            "_raw": st.just("raw"),
            **{name: st.sampled_from(values) for name, values in fields.items()},
        }
    )


EVENTS = records(
    {
        "eventType": ("click", "click", " click ", "signup", "refund"),
        "userId": (USER, USER, USER.upper(), f" {USER}", None),
        "timestamp": TIMES,
        "eventId": (None, None, "", "1", " 1 ", "2"),
        "sessionId": (None, "s", " s"),
        "properties": (None, '{"a":1}', '{ "a": 1 }', '{"a":2}', "["),
    }
)
CUSTOMERS = records(
    {
        "id": ("1", " 1", "2", "3", None),
        "first_name": ("Ada",),
        "last_name": ("Abara", "Byron"),
        "email_address": ("ada@example.com", "ADA@example.com ", "x"),
        "created_at": ("2024-01-02T03:04:05Z",),
        "updated_at": (None, *TIMES),
    }
)
READINGS = records(
    {
        "deviceId": ("pump", " pump", "fan", None),
        "metric": ("bar", "rpm"),
        "value": ("1.5", " 1.50 ", "-0.0", "0", "much"),
        "timestamp": TIMES,
    }
)
LOGS = records(
    {
        "timestamp": TIMES,
        "level": ("INFO", "warn", "err", "loud", None),
        "message": ("up", "up", "down", " "),
        "service": ("api", "db"),
    }
)


def several(each: st.SearchStrategy[Record]) -> st.SearchStrategy[dict[str, list[Record]]]:
    return st.dictionaries(st.sampled_from(sorted(KEYS)), st.lists(each, max_size=20))


@pytest.mark.parametrize(
    ("dataset", "drawn"),
    [
        (events.DATASET, EVENTS),
        (replace(events.DATASET, keep=Keep.LAST), EVENTS),
        (replace(events.DATASET, keep=Keep.LAST, newest="timestamp"), EVENTS),
        (customers.DATASET, CUSTOMERS),
        (readings.DATASET, READINGS),
        (logs.DATASET, LOGS),
    ],
    ids=["events", "last", "newest", "customers", "readings", "every"],
)
@given(data=st.data(), buckets=st.integers(2, 9))
@settings(LAWS)
def test_any_number_of_buckets_gives_the_tables_and_the_account_of_one(
    data: st.DataObject, buckets: int, dataset: Dataset, drawn: st.SearchStrategy[Record]
) -> None:
    files = data.draw(several(drawn))

    assert in_buckets(dataset, files, buckets) == whole(dataset, files)


def test_the_account_of_two_parts_is_their_sum() -> None:
    rule = rules(events.DATASET)[0]
    one = DateAccount(
        bronze_rows=10,
        silver_rows=5,
        quarantined=3,
        duplicates=2,
        outcomes=(RuleOutcome(rule, 2, 0.2, ("late", "last"), (("k", 5), ("k", 9))),),
        rejected=(RejectedRows("b", "k", 2, 1, 1), RejectedRows("a", "l", 1, 1, 0)),
        rows_elsewhere=40,
    )
    other = DateAccount(
        bronze_rows=30,
        silver_rows=21,
        quarantined=5,
        duplicates=4,
        outcomes=(RuleOutcome(rule, 3, 0.1, ("first", "soon"), (("j", 8), ("k", 3))),),
        rejected=(RejectedRows("c", "j", 1, 0, 1), RejectedRows("b", "k", 4, 2, 3)),
        rows_elsewhere=20,
    )

    both = DateAccount(
        bronze_rows=40,
        silver_rows=26,
        quarantined=8,
        duplicates=6,
        outcomes=(
            RuleOutcome(rule, 5, 0.125, ("first", "soon", "late"), (("j", 8), ("k", 3), ("k", 5))),
        ),
        rejected=(
            RejectedRows("c", "j", 1, 0, 1),
            RejectedRows("b", "k", 6, 3, 4),
            RejectedRows("a", "l", 1, 1, 0),
        ),
        rows_elsewhere=60,
    )
    assert added(one, other) == added(other, one) == both
    assert (both.quarantine_share, both.conserved) == (8 / 100, True)


def test_what_every_bucket_rejects_is_in_the_quarantine_and_in_the_share() -> None:
    good = [click(number) for number in range(60)]
    bad = [click(number, userId=None) for number in range(60, 80)]
    files: dict[str, list[Record]] = {"a": [*good, *bad], "z": [*good, CUT]}
    made = refine_in_buckets(
        [bronze(events.DATASET, files)],
        events.DATASET,
        refine_of(events.DATASET),
        buckets=4,
        version=VERSION,
    )
    with made.silver.body, made.quarantine.body:
        rejected = pl.read_parquet(made.quarantine.body.read())

    account = made.account
    assert rejected.select("_file_id", "_row").rows() == [
        ("z", 60),
        *(("a", row) for row in range(60, 80)),
    ]
    assert (account.silver_rows, account.quarantined, account.duplicates) == (60, 21, 60)
    assert account.quarantine_share == 21 / 141
    assert [(each.file_id, each.rows) for each in account.rejected] == [("z", 1), ("a", 20)]


def measured() -> Dataset:
    """Rows that are equal by a float, whose zeros and NaN have several forms."""
    return Dataset(
        name="measured",
        description="A number and where it comes from.",
        start=date(2024, 1, 1),
        formats=frozenset({Format.CSV}),
        fields=("number", "place"),
        event_time=None,
        contract=lambda: pa.DataFrameSchema(
            {
                "number": pa.Column(pl.Float64, nullable=True),
                "place": pa.Column(pl.Enum(PLACES), nullable=True),
            }
        ),
        conform=lambda received: received.select(
            pl.col("number").cast(pl.Float64, strict=False),
            pl.col("place").cast(pl.Enum(PLACES), strict=False),
        ),
        identity=(("number", "place"), ("number",)),
        sort=("place", "number"),
    )


PLACES = ["west", "east"]
"""In an order that is none of letters."""
NUMBERS = records(
    {
        "number": ("0.0", "-0.0", "NaN", "-NaN", "1", "-1", "inf", None),
        "place": ("east", "west", None),
    }
)


@given(files=several(NUMBERS), buckets=st.integers(2, 9))
@settings(LAWS)
def test_zeros_nan_nulls_and_categories_are_equal_and_sorted_as_in_one_piece(
    files: dict[str, list[Record]], buckets: int
) -> None:
    assert in_buckets(measured(), files, buckets) == whole(measured(), files)


def click(number: int, **changes: str | None) -> Record:
    time = f"2024-05-28T{number * 7 % 24:02}:{number % 60:02}:00Z"
    record = {"eventType": "click", "userId": USER, "timestamp": time, "eventId": str(number)}
    return record | changes


def test_more_rows_than_a_row_group_give_the_same_bytes() -> None:
    rows = ROWS_PER_GROUP + 1_000
    files: dict[str, list[Record]] = {
        "z": [click(number * 7919 % rows) for number in range(rows)],
        "a": [click(number, userId=None) for number in range(1_000)],
    }

    made = in_buckets(events.DATASET, files, 5, part_rows=50_000)

    assert made == whole(events.DATASET, files)
    assert (made[2].silver_rows, made[2].quarantined) == (rows, 1_000)


def test_examples_are_the_first_of_the_date_not_of_a_bucket() -> None:
    files: dict[str, list[Record]] = {
        "a": [click(number, eventType="refund") for number in range(40)],
        "z": [click(99, eventType="refund"), *map(click, range(40))],
    }

    *_, account = in_buckets(events.DATASET, files, 4)

    (outcome,) = (each for each in account.outcomes if each.failing)
    assert (outcome.failing, outcome.share) == (41, 41 / 81)
    assert outcome.places == (("events/1.csv", 0), ("events/2.json", 0), ("events/2.json", 1))
    assert outcome.examples[0].startswith("events/1.csv row 0: ")


CUT: Record = {"_error": "cut", "_raw": "x"}
LINE: Record = {"timestamp": "2024-05-28T10:00:00Z", "level": "INFO", "message": "up"}


RENAMED: Record = {"sessionId": "s"}
"""Of a producer that has new names for all that matters."""


@pytest.mark.parametrize(
    ("dataset", "files"),
    [
        (events.DATASET, {"z": [*map(click, range(1_000)), *[CUT] * 1_000]}),
        (events.DATASET, {"z": [RENAMED] * 2_000}),
        (readings.DATASET, {"z": [{"metric": "bar"}] * 2_000}),
        (logs.DATASET, {"z": [LINE] * 2_000}),
        (logs.DATASET, {f"file {number}": [LINE] for number in range(2_000)}),
    ],
    ids=["malformed", "renamed", "without a key", "every", "files of a row"],
)
def test_buckets_are_about_as_large_though_rows_are_alike(
    dataset: Dataset, files: dict[str, list[Record]]
) -> None:
    sizes = []
    keys = {file_id: f"key of {file_id}" for file_id in files}

    def counted(part: pl.DataFrame) -> RefinedDate:
        sizes.append(part.height)
        return refine(part, dataset, event_date=DAY, landing_keys=keys)

    parts = bronze(dataset, files).iter_slices(100)
    made = refine_in_buckets(parts, dataset, counted, buckets=4, version=VERSION)
    made.silver.body.close()
    made.quarantine.body.close()

    assert sum(sizes) == 2_000
    assert min(sizes) > 400
    assert max(sizes) < 600


def test_a_conform_that_loses_rows_is_refused() -> None:
    lossy = replace(events.DATASET, conform=lambda received: events.conform(received).head(1))

    with pytest.raises(ConformError, match="events made 1 rows of 3"):
        in_buckets(lossy, {"z": [click(number) for number in range(9)]}, 2)


def test_so_many_rows_make_a_bucket() -> None:
    counts = [bucket_count(rows, events.DATASET, rows_per_bucket=10) for rows in (0, 1, 10, 11, 95)]

    assert counts == [1, 1, 1, 2, 10]


def test_values_that_must_be_unique_in_silver_are_proven_of_the_whole_date() -> None:
    contract = events.DATASET.contract()
    of_one = contract.update_column("event_id", unique=True)
    of_two = pa.DataFrameSchema(contract.columns, unique=["event_id", "timestamp"])

    for unique in (of_one, of_two):
        dataset = replace(events.DATASET, contract=partial(copy, unique))
        assert bucket_count(95, dataset, rows_per_bucket=10) == 1
