"""The rules that a pandera contract gives, and the proof of finished tables."""

import subprocess
import sys
from datetime import date

import pandera.polars as pa
import polars as pl
import pytest
from pandera.api.polars.types import PolarsData

from pipeline_assets.contract import Candidates, evaluate, rules, validate
from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import (
    ContractBrokenError,
    DatasetDeclarationError,
)
from pipeline_assets.parsing.formats import Format

DAY = date(2024, 5, 28)


def in_order(data: PolarsData) -> pl.LazyFrame:
    return data.lazyframe.select(pl.col("low") <= pl.col("high"))


def conform(received: pl.LazyFrame) -> pl.LazyFrame:
    numbers = [pl.col(name).cast(pl.Float64, strict=False) for name in ("low", "high")]
    return received.select("name", *numbers)


def contract() -> pa.DataFrameSchema:
    return pa.DataFrameSchema(
        {
            "name": pa.Column(pl.String, [pa.Check.str_length(max_value=3), pa.Check.ne("no")]),
            "low": pa.Column(pl.Float64, pa.Check.ge(0), nullable=True),
            "high": pa.Column(pl.Float64),
        },
        checks=pa.Check(in_order, name="low to high", description="low is not above high"),
        strict=True,
    )


def declared(**changes: object) -> Dataset:
    declaration: dict[str, object] = {
        "name": "ranges",
        "description": "A range, one per row.",
        "start": date(2020, 1, 1),
        "formats": frozenset(Format),
        "fields": ("name", "low", "high"),
        "event_time": None,
        "contract": contract,
        "conform": conform,
        "parsed": {"low": "low", "high": "high"},
        "identity": (("name",),),
    }
    return Dataset(**(declaration | changes))  # type: ignore[arg-type]  # the values are as above


def broken_by(rows: list[tuple[str | None, str | None, str | None]]) -> list[list[str]]:
    fields = ("name", "low", "high")
    received = pl.DataFrame(rows, schema=dict.fromkeys(fields, pl.String), orient="row")
    conformed = conform(received.lazy()).collect()
    masks = pl.DataFrame(evaluate(Candidates(received, conformed, DAY), declared()))
    return [[name for name, broken in row.items() if broken] for row in masks.to_dicts()]


def test_rules_are_named_after_columns_and_checks_in_the_contracts_order() -> None:
    assert [rule.name for rule in rules(declared())] == [
        "name_required",
        "name_str_length",
        "name_not_equal_to",
        "low_readable",
        "low_greater_than_or_equal_to",
        "high_required",
        "high_readable",
        "low_to_high",
    ]


def test_a_rule_over_several_columns_has_no_column_and_describes_itself() -> None:
    rule = rules(declared())[-1]

    assert rule.column is None
    assert rule.description == "low is not above high"


def test_each_row_breaks_its_own_rules() -> None:
    assert broken_by(
        [
            ("a", "1", "2"),
            (None, None, "2"),
            ("long", "-1", "-2"),
            ("a", "x", None),
            ("no", "3", "y"),
            ("a", " ", "NaN"),
        ]
    ) == [
        [],
        ["name_required"],
        ["name_str_length", "low_greater_than_or_equal_to", "low_to_high"],
        ["low_readable", "high_required"],
        ["name_not_equal_to", "high_readable"],
        ["high_required"],
    ]


def test_no_rows_break_no_rules() -> None:
    assert broken_by([]) == []
    received = pl.DataFrame(schema=dict.fromkeys(("name", "low", "high"), pl.String))
    conformed = conform(received.lazy()).collect()
    masks = evaluate(Candidates(received, conformed, DAY), declared())
    assert [(mask.name, mask.len()) for mask in masks] == [
        (rule.name, 0) for rule in rules(declared())
    ]


def test_two_checks_of_one_name_are_refused() -> None:
    twice = pa.DataFrameSchema({"name": pa.Column(pl.String, [pa.Check.ne("a"), pa.Check.ne("b")])})

    with pytest.raises(DatasetDeclarationError, match="two rules are called name_not_equal_to"):
        rules(declared(contract=lambda: twice))


def test_a_check_with_one_verdict_for_all_rows_is_refused() -> None:
    def some_are_low(data: PolarsData) -> bool:
        return bool(data.lazyframe.select(pl.col("low").min() < 1).collect().item())

    whole = pa.DataFrameSchema({"low": pa.Column(pl.Float64, pa.Check(some_are_low, name="some"))})
    frame = pl.DataFrame({"low": [0.0, 1.0]})
    dataset = declared(contract=lambda: whole, parsed={})

    with pytest.raises(DatasetDeclarationError, match="low_some must give one verdict per row"):
        evaluate(Candidates(frame, frame, DAY), dataset)


def test_a_table_that_satisfies_its_contract_passes() -> None:
    validate(pl.DataFrame({"name": ["a"], "low": [1.0], "high": [1.0]}), contract(), table="t")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"name": ["a", None], "low": [1.0, 1.0], "high": [1.0, 1.0]}, "name not_nullable.*1 case"),
        ({"name": ["a", "b"], "low": [-1.0, -2.0], "high": [1.0, 1.0]}, "low greater.*2 cases"),
        ({"name": ["a"], "low": [3.0], "high": [1.0]}, "low to high"),
        ({"name": ["a"], "low": ["3"], "high": [1.0]}, "low dtype"),
        ({"name": ["a"], "high": [1.0]}, "column_in_dataframe"),
        ({"name": ["a"], "low": [3.0], "high": [4.0], "more": [1]}, "column_in_schema"),
    ],
)
def test_a_table_that_breaks_its_contract_is_refused_by_the_failing_rule(
    frame: dict[str, list[object]], message: str
) -> None:
    with pytest.raises(ContractBrokenError, match=message) as refusal:
        validate(pl.DataFrame(frame), contract(), table="gold/ranges")

    assert str(refusal.value).startswith("gold/ranges breaks its contract: ")


def test_pandera_switched_off_by_the_environment_still_validates() -> None:
    program = (
        "import polars as pl, pandera.polars as pa\n"
        "from pipeline_assets.contract import validate\n"
        "from pipeline_assets.errors import ContractBrokenError\n"
        "schema = pa.DataFrameSchema({'a': pa.Column(pl.Int64, pa.Check.ge(1))})\n"
        "try:\n"
        "    validate(pl.DataFrame({'a': [0]}), schema, table='t')\n"
        "except ContractBrokenError:\n"
        "    print('refused')\n"
    )
    switched_off = {
        "PANDERA_VALIDATION_ENABLED": "False",
        "PANDERA_VALIDATION_DEPTH": "SCHEMA_ONLY",
    }

    done = subprocess.run(  # noqa: S603 - this interpreter and the text above
        [sys.executable, "-c", program],
        env=switched_off,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "refused\n"
