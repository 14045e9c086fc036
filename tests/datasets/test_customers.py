"""What the customers dataset makes of received text, which record of a customer stays."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from random import Random

import phonenumbers
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_assets.contract import validate
from pipeline_assets.dataset import Keep
from pipeline_assets.datasets.customers import DATASET, LONGEST_TEXT_BYTES, REGIONS
from pipeline_assets.errors import DatasetDeclarationError
from pipeline_assets.refine import RefinedDate, refine

DAY = date(2024, 5, 28)
KEYS = {"z": "customers/a.jsonl", "a": "customers/b.jsonl"}
"""File ids sort differently from their landing keys."""
ANY_MACHINE = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])

Record = Mapping[str, str | None]
ADA: Record = {
    "id": "c-1",
    "first_name": "Ada",
    "last_name": "Abara",
    "email_address": "ada@example.com",
    "phone_number": "(212) 664-7665",
    "loyalty_points": "1200",
    "created_at": "2024-01-02T03:04:05Z",
}


def bronze(files: Mapping[str, list[Record]]) -> pl.DataFrame:
    text = ("_raw", "_error", *DATASET.fields, "_rescued")
    schema = {"_file_id": pl.String(), "_row": pl.Int64()} | dict.fromkeys(text, pl.String())
    rows = [
        {"_file_id": file_id, "_row": row} | {name: record.get(name) for name in text}
        for file_id, records in files.items()
        for row, record in enumerate(records, 1)
    ]
    return pl.DataFrame(rows, schema=schema)


def refined(files: Mapping[str, list[Record]]) -> RefinedDate:
    return refine(bronze(files), DATASET, event_date=DAY, landing_keys=KEYS)


def silver_of(**changes: str | None) -> dict[str, object]:
    return refined({"z": [{**ADA, **changes}]}).silver.row(0, named=True)


def reasons_of(**changes: str | None) -> list[str]:
    return refined({"z": [{**ADA, **changes}]}).quarantine["reasons"].to_list()


@pytest.mark.parametrize(
    ("first", "last", "full"),
    [
        (" Ada ", "Abara", "Ada Abara"),
        ("Ada\tMaria", "de  la\nCruz", "Ada Maria de la Cruz"),
        ("Ada", None, "Ada"),
        (" ", "Abara", "Abara"),
    ],
)
def test_a_full_name_is_trimmed_with_single_spaces(
    first: str | None, last: str | None, full: str
) -> None:
    assert silver_of(first_name=first, last_name=last)["full_name"] == full


@pytest.mark.parametrize(
    ("text", "email"),
    [
        (" Ada.Abara+x@Example.COM ", "ada.abara+x@example.com"),
        ("ada@intranet", "ada@intranet"),
        (None, None),
        (" ", None),
    ],
)
def test_an_address_is_trimmed_and_in_lower_case(text: str | None, email: str | None) -> None:
    assert silver_of(email_address=text)["email"] == email


@pytest.mark.parametrize("text", ["ada", "ada@", "@x.com", "a b@x.com", "a@x..com", "a@-x.com"])
def test_what_is_no_address_is_quarantined(text: str) -> None:
    assert reasons_of(email_address=text) == ["email_is_an_address"]


@pytest.mark.parametrize(
    ("text", "country", "expected"),
    [
        ("(212) 664-7665", None, ("+12126647665", True)),
        ("+44 20 7946 0958", None, ("+442079460958", True)),
        ("030 2325000", "de", ("+49302325000", True)),
        ("212 664 7665", "Atlantis", ("212 664 7665", False)),
        ("+1 212 664 7665", "Atlantis", ("+12126647665", True)),
        ("020 7946 0958", "uk", ("+442079460958", True)),
        ("212 664 7665", "UK", ("212 664 7665", False)),
        ("030 2325000", "Germany ", ("+49302325000", True)),
        ("212 664 7665", "United States", ("+12126647665", True)),
        ("212 664 7665", " ", ("+12126647665", True)),
        (" 157-555-0145 ", None, ("157-555-0145", False)),
        ("ask at the desk", None, ("ask at the desk", False)),
        (None, "US", (None, False)),
    ],
)
def test_a_phone_number_is_in_e164_where_it_is_valid_and_else_as_received(
    text: str | None, country: str | None, expected: tuple[str | None, bool]
) -> None:
    row = silver_of(phone_number=text, country=country)

    assert (row["phone"], row["phone_valid"]) == expected


def test_equal_numbers_of_different_countries_are_told_apart() -> None:
    records: list[Record] = [
        {**ADA, "id": str(number), "phone_number": "020 7946 0958", "country": country}
        for number, country in enumerate(("GB", None, "GB", "US"))
    ]

    phones = refined({"z": records}).silver.select("phone", "phone_valid").rows()

    assert phones[0] == phones[2] == ("+442079460958", True)
    assert phones[1] == phones[3] == ("020 7946 0958", False)


def test_every_region_that_a_name_stands_for_is_known_to_the_library() -> None:
    assert set(REGIONS.values()) <= phonenumbers.SUPPORTED_REGIONS
    assert not REGIONS.keys() & phonenumbers.SUPPORTED_REGIONS


@pytest.mark.parametrize(
    ("customer_id", "reasons"),
    [
        ("x" * 2048, []),
        ("x" * 2049, ["customer_id_fits_a_key"]),
        ("é" * 1025, ["customer_id_fits_a_key"]),
    ],
)
def test_an_id_that_no_key_takes_is_quarantined(customer_id: str, reasons: list[str]) -> None:
    assert reasons_of(id=customer_id) == reasons


@pytest.mark.parametrize(
    ("field", "column"),
    [
        ("first_name", "full_name"),
        ("email_address", "email"),
        ("phone_number", "phone"),
        ("country", "country"),
    ],
)
def test_a_text_that_no_item_takes_costs_its_row_alone(field: str, column: str) -> None:
    longest = "é" * (LONGEST_TEXT_BYTES // 2)

    assert f"{column}_fits_an_item" not in reasons_of(**{field: longest, "last_name": None})
    assert f"{column}_fits_an_item" in "; ".join(
        reasons_of(**{field: f"{longest}x", "last_name": None})
    )


@pytest.mark.parametrize(
    ("points", "tier"),
    [
        ("10000", "platinum"),
        ("9999", "gold"),
        ("5e3", "gold"),
        ("4999", "silver"),
        ("1000.0", "silver"),
        ("999", "bronze"),
        ("0", "bronze"),
        ("-5", "bronze"),
        (None, "bronze"),
    ],
)
def test_points_decide_on_the_tier(points: str | None, tier: str) -> None:
    assert silver_of(loyalty_points=points)["loyalty_tier"] == tier


@pytest.mark.parametrize("points", ["10.5", "many", "1e300", "NaN"])
def test_points_that_are_no_whole_number_are_unreadable(points: str) -> None:
    assert reasons_of(loyalty_points=points) == ["loyalty_points_readable"]


def test_the_time_of_creation_stands_for_a_time_of_update_that_is_absent() -> None:
    created = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert silver_of(updated_at=" ")["updated_at"] == created
    assert silver_of(updated_at="2024-02-01T00:00:00+02:00")["updated_at"] == datetime(
        2024, 1, 31, 22, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"id": " "}, "customer_id_required"),
        ({"first_name": None, "last_name": " "}, "full_name_required"),
        ({"created_at": None}, "updated_at_required"),
        ({"updated_at": "yesterday"}, "updated_at_readable"),
        ({"created_at": "May"}, "created_at_readable; updated_at_required"),
    ],
)
def test_what_a_customer_needs_is_required(changes: dict[str, str | None], reasons: str) -> None:
    assert reasons_of(**changes) == [reasons]


def updated(at: int | None, name: str) -> Record:
    when = None if at is None else f"2024-03-{at:02}T00:00:00Z"
    return {**ADA, "last_name": name, "updated_at": when}


@pytest.mark.parametrize(
    ("files", "kept"),
    [
        ({"z": [updated(2, "old"), updated(5, "new"), updated(3, "old")]}, "new"),
        ({"z": [updated(5, "new")], "a": [updated(2, "old")]}, "new"),
        ({"z": [updated(5, "first")], "a": [updated(5, "second")]}, "second"),
        ({"z": [updated(5, "first"), updated(5, "second")]}, "second"),
        ({"z": [updated(1, "new")], "a": [updated(None, "old")]}, "new"),
    ],
)
def test_of_a_date_the_newest_record_stays_and_of_equally_new_ones_the_last(
    files: dict[str, list[Record]], kept: str
) -> None:
    result = refined(files)

    assert result.silver["full_name"].to_list() == [f"Ada {kept}"]
    assert result.duplicates == sum(map(len, files.values())) - 1
    assert result.conserved


@ANY_MACHINE
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("za"), st.integers(1, 3), st.integers(0, 2)), max_size=12
    ),
    order=st.randoms(use_true_random=False),
)
def test_the_record_that_stays_does_not_depend_on_the_order_of_rows(
    rows: list[tuple[str, int, int]], order: Random
) -> None:
    files: dict[str, list[Record]] = {"z": [], "a": []}
    for file_id, at, customer in rows:
        record = updated(at, f"{file_id}{len(files[file_id])}")
        files[file_id].append({**record, "id": str(customer)})
    frame = bronze(files)
    mixed = frame[order.sample(range(frame.height), frame.height)]

    expected = refine(frame, DATASET, event_date=DAY, landing_keys=KEYS)

    assert refine(mixed, DATASET, event_date=DAY, landing_keys=KEYS).silver.equals(expected.silver)


def test_gold_has_the_customers_of_the_date() -> None:
    table = DATASET.gold[0]
    silver = refined({"z": [{**ADA, "id": "b"}, {**ADA, "id": "a"}]}).silver

    gold = table.build(silver.lazy()).collect()

    validate(gold, table.contract(), table=table.name)
    assert gold["customer_id"].to_list() == ["a", "b"]
    assert gold["event_date"].to_list() == [DAY, DAY]
    assert table.build(silver.clear().lazy()).collect().schema == gold.schema


def test_a_newest_column_asks_for_the_last_of_equal_rows() -> None:
    with pytest.raises(DatasetDeclarationError, match="'updated_at' as newest"):
        replace(DATASET, keep=Keep.FIRST)


@pytest.mark.parametrize(
    "beyond", ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
@pytest.mark.parametrize("field", ["updated_at", "created_at"])
def test_a_time_that_python_has_not_costs_its_row_alone(field: str, beyond: str) -> None:
    assert reasons_of(**{"updated_at": "2025-01-01T00:00:00Z", field: beyond}) == [
        f"{field}_readable"
    ]


@pytest.mark.parametrize("edge", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_first_and_the_last_time_are_times(edge: str) -> None:
    assert silver_of(updated_at=edge)["updated_at"] == datetime.fromisoformat(edge)
