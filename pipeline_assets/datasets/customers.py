"""Customers as a CRM knows them: every file is a snapshot, or a part of one, of its date."""

from datetime import date
from functools import cache
from typing import TYPE_CHECKING

import polars as pl

from pipeline_assets.conforming import UTC_MICROSECONDS, filled_text, number, utc_time
from pipeline_assets.dataset import Dataset, GoldTable, Keep, LatestView
from pipeline_assets.parsing.formats import Format, Kind, Writing

if TYPE_CHECKING:
    from pandera.polars import Check, DataFrameSchema

DEFAULT_REGION = "US"
"""Where a phone number without a country code belongs, if its record names no country."""
REGIONS = {
    "UK": "GB",
    "GREAT BRITAIN": "GB",
    "UNITED KINGDOM": "GB",
    "USA": "US",
    "UNITED STATES": "US",
    "UNITED STATES OF AMERICA": "US",
    "AUSTRALIA": "AU",
    "AUSTRIA": "AT",
    "BRAZIL": "BR",
    "CANADA": "CA",
    "CHINA": "CN",
    "FRANCE": "FR",
    "GERMANY": "DE",
    "INDIA": "IN",
    "IRELAND": "IE",
    "ITALY": "IT",
    "JAPAN": "JP",
    "MEXICO": "MX",
    "NETHERLANDS": "NL",
    "POLAND": "PL",
    "SPAIN": "ES",
    "SWITZERLAND": "CH",
}
"""What countries are often called in the place of their ISO 3166-1 code of two letters."""
LONGEST_ID_BYTES = 2048
"""A partition key of DynamoDB. Source: "Constraints in Amazon DynamoDB", Developer Guide."""
LONGEST_TEXT_BYTES = 32 * 1024
"""Any other text: all of them and the key are well within an item's 400 KB (same source)."""
EMAIL = (
    r"^[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@"
    r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$"
)
"""HTML Living Standard, "Valid email address", of lower-case text."""
TIERS = (("platinum", 10_000), ("gold", 5_000), ("silver", 1_000))
"""Loyalty tiers with the points that they begin at, from the highest down."""
LOWEST_TIER = "bronze"
LARGEST_EXACT = 2**53
"""Beyond it a 64-bit float cannot tell a whole number from its neighbours."""

PHONE = pl.Struct({"phone": pl.String, "phone_valid": pl.Boolean})


@cache
def contract() -> "DataFrameSchema":
    """Contract of silver's business columns."""
    import pandera.polars as pa  # noqa: PLC0415 - half a second that only validation needs

    def at_most(limit: int, name: str) -> "Check":
        return pa.Check(
            lambda texts: texts.lazyframe.select(pl.col(texts.key).str.len_bytes() <= limit),
            name=name,
            description=f"at most {limit:,} bytes, as DynamoDB has to take it",
        )

    fits = at_most(LONGEST_TEXT_BYTES, "fits_an_item")
    tiers = [*(name for name, _ in TIERS), LOWEST_TIER]
    return pa.DataFrameSchema(
        {
            "customer_id": pa.Column(pl.String, at_most(LONGEST_ID_BYTES, "fits_a_key")),
            "full_name": pa.Column(pl.String, fits),
            "email": pa.Column(
                pl.String, [pa.Check.str_matches(EMAIL, name="is_an_address"), fits], nullable=True
            ),
            "phone": pa.Column(pl.String, fits, nullable=True),
            "phone_valid": pa.Column(pl.Boolean),
            "country": pa.Column(pl.String, fits, nullable=True),
            "loyalty_points": pa.Column(pl.Int64, nullable=True),
            "loyalty_tier": pa.Column(pl.String, pa.Check.isin(tiers)),
            "created_at": pa.Column(UTC_MICROSECONDS, nullable=True),
            "updated_at": pa.Column(UTC_MICROSECONDS),
        },
        strict=True,
        ordered=True,
        name="customers",
    )


def conform(received: pl.LazyFrame) -> pl.LazyFrame:
    """Customers as received to silver's business columns, one row for each row, in order.

    Names are trimmed, with single spaces within; e-mail addresses are in lower case. A phone number
    that is valid is written as E.164 has it, any other is kept as received; one without a country
    code is read as one of its record's country, and of the US where there is none. Without a time
    of update the time of creation stands for it. Times are UTC; points are whole numbers.
    """
    created, updated = utc_time(filled_text("created_at")), utc_time(filled_text("updated_at"))
    named = pl.concat_str("first_name", "last_name", separator=" ", ignore_nulls=True)
    return (
        received.with_columns(
            named.str.replace_all(r"\s+", " ").alias("full_name"),
            filled_text("country").str.to_uppercase().alias("country"),
            filled_text("phone_number").alias("phone_number"),
            _whole(number(filled_text("loyalty_points"))).alias("loyalty_points"),
        )
        .with_columns(
            pl.struct("phone_number", "country")
            .map_batches(_phones, return_dtype=PHONE)
            .alias("phone")
        )
        .select(
            filled_text("id").alias("customer_id"),
            filled_text("full_name").alias("full_name"),
            filled_text("email_address").str.to_lowercase().alias("email"),
            pl.col("phone").struct.field("phone"),
            pl.col("phone").struct.field("phone_valid"),
            "country",
            "loyalty_points",
            _tier(pl.col("loyalty_points")).alias("loyalty_tier"),
            created.alias("created_at"),
            pl.when(filled_text("updated_at").is_null())
            .then(created)
            .otherwise(updated)
            .alias("updated_at"),
        )
    )


def _whole(value: pl.Expr) -> pl.Expr:
    is_whole = (value == value.floor()) & (value.abs() <= LARGEST_EXACT)
    return pl.when(is_whole).then(value).cast(pl.Int64)


def _tier(points: pl.Expr) -> pl.Expr:
    (highest, at_least), *lower = TIERS
    tier = pl.when(points >= at_least).then(pl.lit(highest))
    for name, least in lower:
        tier = tier.when(points >= least).then(pl.lit(name))  # type: ignore[assignment]  # a chain has a type of its own
    return tier.otherwise(pl.lit(LOWEST_TIER))


def _phones(received: pl.Series) -> pl.Series:
    """Numbers with their countries to ``PHONE``, one for each, in order."""
    given = received.struct.unnest()
    # Reading a number takes a tenth of a millisecond: equal ones are read once.
    distinct = given.unique()
    read = [_phone(*row) for row in distinct.iter_rows()]
    numbers = distinct.with_columns(pl.Series("read", read, dtype=PHONE))
    return given.join(
        numbers, on=given.columns, how="left", nulls_equal=True, maintain_order="left"
    )["read"].alias(received.name)


def _phone(text: str | None, country: str | None) -> dict[str, str | bool | None]:
    import phonenumbers  # noqa: PLC0415 - its tables are for those who read numbers

    named = DEFAULT_REGION if country is None else REGIONS.get(country, country)
    # Without a region only a number with its country code can be read, and not taken for another.
    region = named if named in phonenumbers.SUPPORTED_REGIONS else None
    try:
        parsed = phonenumbers.parse(text or "", region)
    except phonenumbers.NumberParseException:
        return {"phone": text, "phone_valid": False}
    if not phonenumbers.is_valid_number(parsed):
        return {"phone": text, "phone_valid": False}
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return {"phone": e164, "phone_valid": True}


def customers(silver: pl.LazyFrame) -> pl.LazyFrame:
    """Each customer of a file date, as the date's newest record has them."""
    return silver.select("event_date", *contract().columns).sort("event_date", "customer_id")


@cache
def customers_contract() -> "DataFrameSchema":
    """Contract of gold's customers."""
    import pandera.polars as pa  # noqa: PLC0415 - half a second that only validation needs

    return pa.DataFrameSchema(
        {"event_date": pa.Column(pl.Date), **contract().columns},
        unique=["event_date", "customer_id"],
        strict=True,
        ordered=True,
        name="customers",
    )


DATASET = Dataset(
    name="customers",
    description="A customer as the CRM knew them on the file's date, one row per customer.",
    start=date(2010, 1, 1),
    formats=frozenset(Format),
    fields=(
        "id",
        "first_name",
        "last_name",
        "email_address",
        "phone_number",
        "country",
        "loyalty_points",
        "created_at",
        "updated_at",
    ),
    writing=Writing(
        records_path=("data",),
        kinds={
            "created_at": Kind.TIME,
            "updated_at": Kind.TIME,
            "loyalty_points": Kind.NUMBER,
        },
    ),
    event_time=None,
    contract=contract,
    conform=conform,
    parsed={
        "created_at": "created_at",
        "updated_at": "updated_at",
        "loyalty_points": "loyalty_points",
    },
    identity=(("customer_id",),),
    keep=Keep.LAST,
    newest="updated_at",
    sort=("customer_id",),
    gold=(
        GoldTable(
            name="customers",
            description="Customers of a file date: name, e-mail, phone, loyalty points and tier.",
            build=customers,
            contract=customers_contract,
        ),
    ),
    serving=(
        LatestView(
            name="customers",
            description="Who a customer is, by id or by e-mail: of all dates the newest record.",
            gold="customers",
            key="customer_id",
            newest="updated_at",
            lookups=("email",),
        ),
    ),
)
