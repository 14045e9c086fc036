"""The rules that a dataset's rows are held to, read from its pandera contract.

pandera is the only place where a rule is written down. This module names each of them (the names
are asset checks and reasons in quarantine), says which rows break it, and proves finished tables.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import ContractBrokenError, DatasetDeclarationError

if TYPE_CHECKING:
    from pandera.polars import Check, DataFrameSchema

LONGEST_EXAMPLE = 200


@dataclass(frozen=True)
class Rule:
    """One thing that every row must satisfy.

    Attributes:
        name: unique within the dataset; letters, digits and underscores, as Dagster's check names.
        column: silver column that it is about, or None if about several.
        description: what it demands, in one line.
    """

    name: str
    column: str | None
    description: str


@dataclass(frozen=True)
class Candidates:
    """Rows of one event date, before they are accepted.

    Attributes:
        received: the dataset's fields as text.
        conformed: what the dataset's ``conform`` made of them, row by row.
        event_date: partition that the rows are filed under.
    """

    received: pl.DataFrame
    conformed: pl.DataFrame
    event_date: date


_Breaks = Callable[[Candidates], pl.LazyFrame]
"""Which rows break a rule: one boolean for each, true where it does, never null."""

_RECEIVED = "_received"
"""Name of a field beside the column that was made of it."""


def rules(dataset: Dataset) -> tuple[Rule, ...]:
    """Rules of a dataset, in the order in which a row's reasons are given.

    For each column of the contract: ``{column}_required`` where it is not nullable,
    ``{column}_readable`` where ``conform`` parses it, and ``{column}_{check}`` for each pandera
    check. Then the contract's checks over several columns, by their own names, and
    ``{event_time}_in_partition``.

    Raises:
        DatasetDeclarationError: two rules would have the same name.
    """
    return tuple(rule for rule, _ in _rules(dataset))


def evaluate(candidates: Candidates, dataset: Dataset) -> tuple[pl.Series, ...]:
    """Which rows break which rule.

    A null breaks ``_required`` alone: pandera's checks let nulls pass, and a null that stems from
    unreadable text breaks ``_readable`` instead.

    Returns:
        For each of ``rules(dataset)``, in that order, a Series named after it with one boolean per
        row: true where the row breaks the rule, never null.

    Raises:
        DatasetDeclarationError: a check gives one verdict for all rows instead of one for each.
    """
    found = _rules(dataset)
    # Together: over a small date, starting a query takes longer than answering it.
    verdicts = pl.collect_all([breaks(candidates) for _, breaks in found])
    masks = []
    for (rule, _), verdict in zip(found, verdicts, strict=True):
        if verdict.height != candidates.conformed.height:
            cause = f"{rule.name} must give one verdict per row, for example by polars expressions"
            raise DatasetDeclarationError(dataset.name, cause)
        masks.append(verdict.to_series().rename(rule.name))
    return tuple(masks)


def validate(frame: pl.DataFrame, contract: "DataFrameSchema", *, table: str) -> None:
    """Prove a finished table by pandera's own validation, whatever pandera's environment says.

    Args:
        frame: the table's columns, as the contract orders them.
        contract: the table's pandera schema.
        table: name of the table for the error, such as ``gold/daily_event_summary``.

    Raises:
        ContractBrokenError: naming the first rule that fails, how often, and an example.
    """
    from pandera.config import ValidationDepth, config_context  # noqa: PLC0415 - half a second
    from pandera.errors import SchemaErrors  # noqa: PLC0415

    depth = ValidationDepth.SCHEMA_AND_DATA
    try:
        with config_context(validation_enabled=True, validation_depth=depth):
            contract.validate(frame, lazy=True)
    except SchemaErrors as broken:
        raise _broken(table, broken.failure_cases) from None


def _broken(table: str, failures: pl.DataFrame) -> ContractBrokenError:
    column, check, example = failures.select("column", "check", "failure_case").row(0)
    same = pl.col("column").eq_missing(pl.lit(column)) & pl.col("check").eq_missing(pl.lit(check))
    return ContractBrokenError(
        table,
        f"{column} {check}" if column else str(check),
        rows=failures.filter(same).height,
        example=str(example)[:LONGEST_EXAMPLE],
    )


def _rules(dataset: Dataset) -> tuple[tuple[Rule, _Breaks], ...]:
    found = (*_column_rules(dataset), *_frame_rules(dataset), *_partition_rules(dataset))
    names = [rule.name for rule, _ in found]
    for name in names:
        if names.count(name) > 1:
            cause = f"two rules are called {name}; give one of the checks another name"
            raise DatasetDeclarationError(dataset.name, cause)
    return found


def _column_rules(dataset: Dataset) -> Iterator[tuple[Rule, _Breaks]]:
    for name, column in dataset.contract().columns.items():
        field = dataset.parsed.get(name)
        if not column.nullable:
            rule = Rule(f"{name}_required", name, f"{name} is present")
            yield rule, partial(_is_missing, column=name, field=field)
        if field is not None:
            rule = Rule(f"{name}_readable", name, f"{name} is readable where {field} has text")
            yield rule, partial(_is_unreadable, column=name, field=field)
        for check in column.checks:
            rule = Rule(_named(name, check), name, f"{name}: {_described(check)}")
            yield rule, partial(_fails, column=name, check=check)


def _frame_rules(dataset: Dataset) -> Iterator[tuple[Rule, _Breaks]]:
    for check in dataset.contract().checks:
        yield (
            Rule(_named(check), None, _described(check)),
            partial(_fails, column=None, check=check),
        )


def _partition_rules(dataset: Dataset) -> Iterator[tuple[Rule, _Breaks]]:
    time = dataset.event_time
    if time is not None:
        description = f"{time} lies on the event date, from {dataset.start} to a day after landing"
        yield Rule(f"{time}_in_partition", time, description), partial(_is_elsewhere, column=time)


def _named(*parts: "str | Check") -> str:
    words = (part if isinstance(part, str) else part.name or "check" for part in parts)
    return re.sub(r"[^A-Za-z0-9_]+", "_", "_".join(words))


def _described(check: "Check") -> str:
    return str(check.description or check.error or check.name)


def _is_missing(candidates: Candidates, *, column: str, field: str | None) -> pl.LazyFrame:
    missing = pl.col(column).is_null()
    if candidates.conformed.schema[column].is_float():
        missing |= pl.col(column).is_nan().fill_null(value=False)  # pandera takes NaN for a null
    if field is not None:
        missing &= ~_unreadable(column)
    return _beside(candidates, column, field).select(missing)


def _is_unreadable(candidates: Candidates, *, column: str, field: str) -> pl.LazyFrame:
    return _beside(candidates, column, field).select(_unreadable(column))


def _unreadable(column: str) -> pl.Expr:
    has_text = pl.col(_RECEIVED).str.contains(r"\S").fill_null(value=False)
    return pl.col(column).is_null() & has_text


def _beside(candidates: Candidates, column: str, field: str | None) -> pl.LazyFrame:
    made = candidates.conformed.get_column(column).to_frame()
    if field is None:
        return made.lazy()
    return made.hstack([candidates.received.get_column(field).alias(_RECEIVED)]).lazy()


def _fails(candidates: Candidates, *, column: str | None, check: "Check") -> pl.LazyFrame:
    conformed = candidates.conformed
    frame = conformed if column is None else conformed.get_column(column).to_frame()
    passes: pl.LazyFrame = check(frame.lazy(), column).check_output
    return passes.select(~pl.all())


def _is_elsewhere(candidates: Candidates, *, column: str) -> pl.LazyFrame:
    days = pl.col(column).dt.date()
    times = candidates.conformed.get_column(column).to_frame().lazy()
    return times.select((days != candidates.event_date).fill_null(value=False))
