"""One event date's bronze rows become its silver and its quarantine; every row is accounted for.

Pure: the frames come in and go out as data, and the same rows give the same tables. Which rows
break which rule is ``contract``'s business, reading and writing them is the layers'.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from operator import or_
from typing import Literal

import polars as pl

from pipeline_assets.account import EXAMPLES, DateAccount, RejectedRows, RuleOutcome
from pipeline_assets.contract import LONGEST_EXAMPLE, Candidates, Rule, evaluate, rules, validate
from pipeline_assets.dataset import Dataset, Keep
from pipeline_assets.errors import ConformError

PROBED_ROWS = 1_000
"""Rows that are judged at a time to find a valid one: nearly always the first of them is."""
SILVER_PROVENANCE = ("event_date", "_file_id", "_row")
MALFORMED = "malformed: "
REASON_SEPARATOR = "; "
QUARANTINE_ORDER = ("landing_key", "_row")
QUARANTINE_SCHEMA = pl.Schema(
    {
        "event_date": pl.Date,
        "_file_id": pl.String,
        "_row": pl.Int64,
        "landing_key": pl.String,
        "reasons": pl.String,
        "record": pl.String,
    }
)


@dataclass(frozen=True, kw_only=True)
class RefinedDate(DateAccount):
    """The tables of one event date, or of a part of its rows, and their account.

    Attributes:
        silver: the contract's columns, ``event_date``, ``_file_id`` and ``_row``, in a total order.
        quarantine: rows of ``QUARANTINE_SCHEMA``, sorted by (landing key, row).
    """

    silver: pl.DataFrame
    quarantine: pl.DataFrame


def silver_order(dataset: Dataset) -> tuple[str, ...]:
    """Columns that silver is sorted by; no two rows are alike in them."""
    return (*dataset.sort, "_file_id", "_row")


def refine(
    bronze: pl.DataFrame, dataset: Dataset, *, event_date: date, landing_keys: Mapping[str, str]
) -> RefinedDate:
    """Conform, validate and deduplicate the bronze rows of one event date.

    Of equal rows the dataset keeps the first or the last by (landing key, ``_row``), or by its
    ``newest`` before these, or each of them, whatever the order in which they come. A row with
    several faults has all of them in its reasons.

    Args:
        bronze: all rows of the date: ``_file_id`` (text), ``_row`` (integer), ``_raw`` and
            ``_error`` (text, null where the record was well formed), the dataset's fields as text,
            ``_rescued`` (text).
        dataset: the dataset they belong to.
        event_date: the date they are filed under.
        landing_keys: landing key of each file id.

    Raises:
        ConformError: the dataset's ``conform`` lost rows or columns.
        ContractBrokenError: silver does not satisfy the contract it was made by.
        ValueError: a row's file has no landing key.
    """
    located = _in_landing_order(bronze, landing_keys)
    well_formed = located.filter(pl.col("_error").is_null())
    candidates = _candidates(well_formed, dataset, event_date)
    masks = evaluate(candidates, dataset)
    verdicts = pl.DataFrame([_any(masks, well_formed.height), *masks])
    valid = candidates.conformed.hstack(well_formed.select("_file_id", "_row")).filter(
        ~verdicts["_broken"]
    )
    silver = _silver(valid, dataset, event_date)
    invalid = _invalid(well_formed, verdicts, dataset)
    quarantine = _quarantine((_malformed(located), invalid), event_date)
    return RefinedDate(
        silver=silver,
        quarantine=quarantine,
        bronze_rows=bronze.height,
        silver_rows=silver.height,
        quarantined=quarantine.height,
        duplicates=valid.height - silver.height,
        outcomes=_outcomes(well_formed, verdicts, dataset, bronze.height),
        rejected=_rejected(quarantine, dataset),
    )


def has_valid_row(records: pl.DataFrame, dataset: Dataset, event_date: date) -> bool:
    """Whether any record is well formed and keeps every rule; it looks no further than the first.

    Args:
        records: ``_error`` and the dataset's fields as text, of one event date.
        dataset: the dataset they belong to.
        event_date: the date they are filed under.

    Raises:
        ConformError: the dataset's ``conform`` lost rows or columns.
    """
    well_formed = records.filter(pl.col("_error").is_null())
    parts = well_formed.iter_slices(PROBED_ROWS)
    return any(valid_rows(part, dataset, event_date).any() for part in parts)


def valid_rows(well_formed: pl.DataFrame, dataset: Dataset, event_date: date) -> pl.Series:
    """Which records keep every rule: a boolean for each.

    Args:
        well_formed: the dataset's fields as text, of one event date.
        dataset: the dataset they belong to.
        event_date: the date they are filed under.

    Raises:
        ConformError: the dataset's ``conform`` lost rows or columns.
    """
    masks = evaluate(_candidates(well_formed, dataset, event_date), dataset)
    return ~_any(masks, well_formed.height)


def _in_landing_order(bronze: pl.DataFrame, landing_keys: Mapping[str, str]) -> pl.DataFrame:
    by_key = sorted(landing_keys, key=lambda file_id: landing_keys[file_id])
    files = pl.DataFrame(
        {
            "_file_id": by_key,
            "landing_key": [landing_keys[file_id] for file_id in by_key],
            "_rank": range(len(by_key)),
        },
        schema={"_file_id": pl.String, "landing_key": pl.String, "_rank": pl.Int64},
    )
    located = bronze.join(files, on="_file_id", how="left")
    strays = located.filter(pl.col("_rank").is_null()).get_column("_file_id").unique()
    if len(strays):
        raise ValueError(f"landing_keys lacks the files {strays.sort().to_list()} of bronze")
    return located.sort("_rank", "_row").drop("_rank")


def _candidates(well_formed: pl.DataFrame, dataset: Dataset, event_date: date) -> Candidates:
    received = well_formed.select(dataset.fields)
    return Candidates(received, conformed_rows(received, dataset), event_date)


def conformed_rows(
    received: pl.DataFrame, dataset: Dataset, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """The contract's columns of rows, or some of them, made of the dataset's fields as received.

    Raises:
        ConformError: the dataset's ``conform`` lost rows or columns.
    """
    made = dataset.conform(received.lazy())
    expected = list(columns or dataset.contract().columns)
    conformed = (made.select(expected) if columns else made).collect()
    if conformed.columns != expected:
        raise ConformError(dataset.name, f"returned {conformed.columns}, not {expected}")
    if conformed.height != received.height:
        cause = f"made {conformed.height} rows of {received.height}"
        raise ConformError(dataset.name, cause)
    return conformed


def _any(masks: Sequence[pl.Series], height: int) -> pl.Series:
    none = pl.repeat(value=False, n=height, dtype=pl.Boolean, eager=True).alias("_broken")
    return reduce(or_, masks, none).alias("_broken")


def _silver(valid: pl.DataFrame, dataset: Dataset, event_date: date) -> pl.DataFrame:
    kept = _deduplicated(valid, dataset)
    contract = dataset.contract()
    business = list(contract.columns)
    validate(kept.select(business), contract, table=f"silver/{dataset.name}")
    return (
        kept.with_columns(
            pl.lit(event_date, pl.Date).alias("event_date"), pl.col("_row").cast(pl.Int64)
        )
        .select(*business, *SILVER_PROVENANCE)
        .sort(silver_order(dataset))
    )


def _deduplicated(valid: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    if dataset.keep is Keep.EVERY:
        return valid
    keep: Literal["first", "last"] = "last" if dataset.keep is Keep.LAST else "first"
    *named, remaining = dataset.identity
    kept = []
    rest = valid if dataset.newest is None else valid.sort(dataset.newest, maintain_order=True)
    for columns in named:
        identified = pl.all_horizontal(pl.col(columns).is_not_null())
        kept.append(rest.filter(identified).unique(columns, keep=keep))
        rest = rest.filter(~identified)
    return pl.concat([*kept, rest.unique(remaining, keep=keep)])


def _malformed(located: pl.DataFrame) -> pl.DataFrame:
    return located.filter(pl.col("_error").is_not_null()).with_columns(
        pl.format(f"{MALFORMED}{{}}", "_error").alias("reasons"), pl.col("_raw").alias("record")
    )


def _invalid(well_formed: pl.DataFrame, verdicts: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    broken = verdicts["_broken"]
    names = verdicts.columns[1:]
    reasons = [pl.when(pl.col(name)).then(pl.lit(name)) for name in names or ["_broken"]]
    return well_formed.filter(broken).with_columns(
        verdicts.filter(broken)
        .select(
            pl.concat_str(reasons, separator=REASON_SEPARATOR, ignore_nulls=True).alias("reasons")
        )
        .to_series(),
        _record(dataset),
    )


def _record(dataset: Dataset) -> pl.Expr:
    """Received fields as one compact JSON object, without those that were absent."""
    members = [_member(name) for name in (*dataset.fields, "_rescued")]
    return pl.format("{{{}}}", pl.concat_str(members, separator=",", ignore_nulls=True)).alias(
        "record"
    )


def _member(name: str) -> pl.Expr:
    alone = pl.struct(name).struct.json_encode().str.strip_prefix("{").str.strip_suffix("}")
    return pl.when(pl.col(name).is_not_null()).then(alone)


def _quarantine(parts: Sequence[pl.DataFrame], event_date: date) -> pl.DataFrame:
    columns = QUARANTINE_SCHEMA.names()
    return (
        pl.concat([part.select(columns[1:]) for part in parts])
        .select(pl.lit(event_date, pl.Date).alias("event_date"), pl.all())
        .cast(QUARANTINE_SCHEMA)
        .sort(QUARANTINE_ORDER)
    )


def _rejected(quarantine: pl.DataFrame, dataset: Dataset) -> tuple[RejectedRows, ...]:
    if quarantine.is_empty():
        return ()
    of_time = [rule.name for rule in rules(dataset) if rule.column == dataset.event_time]
    reasons = pl.col("reasons")
    malformed = reasons.str.starts_with(MALFORMED)
    untimed = reasons.str.split(REASON_SEPARATOR).list.set_intersection(of_time).list.len() > 0
    counted = (
        quarantine.group_by("_file_id", "landing_key")
        .agg(
            pl.len().alias("rows"),
            malformed.sum().alias("malformed"),
            (malformed | untimed).sum().alias("undated"),
        )
        .sort("landing_key", "_file_id")
    )
    return tuple(RejectedRows(*each) for each in counted.iter_rows())


def _outcomes(
    well_formed: pl.DataFrame, verdicts: pl.DataFrame, dataset: Dataset, bronze_rows: int
) -> tuple[RuleOutcome, ...]:
    return tuple(
        _outcome(rule, well_formed, verdicts[rule.name], dataset, bronze_rows)
        for rule in rules(dataset)
    )


def _outcome(
    rule: Rule, well_formed: pl.DataFrame, mask: pl.Series, dataset: Dataset, bronze_rows: int
) -> RuleOutcome:
    failing = int(mask.sum())
    first = well_formed[mask.arg_true().head(EXAMPLES)]
    examples = (
        first.select(pl.format("{} row {}: {}", "landing_key", "_row", _record(dataset)))
        .to_series()
        .str.slice(0, LONGEST_EXAMPLE)
    )
    share = failing / bronze_rows if bronze_rows else 0.0
    places = first.select("landing_key", "_row").rows()
    return RuleOutcome(rule, failing, share, tuple(examples), tuple(places))
