"""The account of an event date: where each bronze row went, and which rules were broken.

A date that is refined in parts has the sum of their accounts (``added``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TypeAlias

from pipeline_assets.contract import Rule, rules
from pipeline_assets.dataset import Dataset

EXAMPLES = 3

Place: TypeAlias = tuple[str, int]
"""Landing key and row."""


@dataclass(frozen=True)
class RuleOutcome:
    """How an event date fared with one rule.

    Attributes:
        rule: the rule.
        failing: rows that break it.
        share: failing rows among all bronze rows of the date, 0 to 1; 0 where there are none.
        examples: up to three of them, each with its file, row and record.
        places: of the examples, by which they are in order.
    """

    rule: Rule
    failing: int
    share: float
    examples: tuple[str, ...]
    places: tuple[Place, ...] = ()


@dataclass(frozen=True)
class RejectedRows:
    """Rows of one file that are in quarantine.

    Attributes:
        file_id: of the file.
        landing_key: of the file.
        rows: how many there are.
        malformed: of them, such as could not be parsed.
        undated: of them, such as nothing dates: malformed, or without a usable event time.
    """

    file_id: str
    landing_key: str
    rows: int
    malformed: int
    undated: int


@dataclass(frozen=True, kw_only=True)
class DateAccount:
    """What became of the bronze rows of one event date.

    Attributes:
        bronze_rows: rows that came in.
        silver_rows: rows that were kept.
        quarantined: rows that are malformed or break a rule.
        duplicates: valid rows that equal one that was kept.
        outcomes: one per rule, in the rules' order.
        rejected: what is in quarantine, by file, in the order of landing keys.
        rows_elsewhere: rows that files have on other dates which here have none but such as could
            not be dated; what is in quarantine is held against these too.
    """

    bronze_rows: int
    silver_rows: int
    quarantined: int
    duplicates: int
    outcomes: tuple[RuleOutcome, ...]
    rejected: tuple[RejectedRows, ...] = ()
    rows_elsewhere: int = 0

    @property
    def quarantine_share(self) -> float:
        """Quarantined among all bronze rows, 0 to 1; 0 where there are none."""
        rows = self.bronze_rows + self.rows_elsewhere
        return self.quarantined / rows if rows else 0.0

    @property
    def conserved(self) -> bool:
        """Whether every bronze row is in silver, in quarantine or counted as a duplicate."""
        return self.bronze_rows == self.silver_rows + self.quarantined + self.duplicates

    @property
    def account(self) -> "DateAccount":
        """The account alone, without the tables that it may be of."""
        return DateAccount(**{each.name: getattr(self, each.name) for each in fields(DateAccount)})


def account_of_nothing(dataset: Dataset) -> DateAccount:
    """The account of a date without rows."""
    return DateAccount(
        bronze_rows=0,
        silver_rows=0,
        quarantined=0,
        duplicates=0,
        outcomes=tuple(RuleOutcome(rule, 0, 0.0, ()) for rule in rules(dataset)),
    )


def added(one: DateAccount, other: DateAccount) -> DateAccount:
    """The account of two parts of a date together, whatever rows are in which."""
    bronze_rows = one.bronze_rows + other.bronze_rows
    return DateAccount(
        bronze_rows=bronze_rows,
        silver_rows=one.silver_rows + other.silver_rows,
        quarantined=one.quarantined + other.quarantined,
        duplicates=one.duplicates + other.duplicates,
        outcomes=tuple(
            _outcome(*both, bronze_rows) for both in zip(one.outcomes, other.outcomes, strict=True)
        ),
        rejected=_rejected((*one.rejected, *other.rejected)),
        rows_elsewhere=one.rows_elsewhere + other.rows_elsewhere,
    )


def _outcome(one: RuleOutcome, other: RuleOutcome, bronze_rows: int) -> RuleOutcome:
    failing = one.failing + other.failing
    placed = [
        each for part in (one, other) for each in zip(part.places, part.examples, strict=True)
    ]
    first = sorted(placed)[:EXAMPLES]
    return RuleOutcome(
        one.rule,
        failing,
        failing / bronze_rows if bronze_rows else 0.0,
        tuple(example for _, example in first),
        tuple(place for place, _ in first),
    )


def _rejected(parts: Iterable[RejectedRows]) -> tuple[RejectedRows, ...]:
    by_file: dict[str, RejectedRows] = {}
    for each in parts:
        known = by_file.get(each.file_id)
        by_file[each.file_id] = each if known is None else _of_both(known, each)
    return tuple(sorted(by_file.values(), key=lambda each: (each.landing_key, each.file_id)))


def _of_both(one: RejectedRows, other: RejectedRows) -> RejectedRows:
    return RejectedRows(
        one.file_id,
        one.landing_key,
        one.rows + other.rows,
        one.malformed + other.malformed,
        one.undated + other.undated,
    )


def undated_files(account: DateAccount, rows: Mapping[str, int]) -> dict[str, int]:
    """Files that have no row on a date but such as nothing dates: those go by their file's date.

    Args:
        account: of the date.
        rows: how many rows each file has on the date, by file id.

    Returns:
        Those rows by file id.
    """
    return {
        each.file_id: each.undated
        for each in account.rejected
        if rows[each.file_id] == each.undated
    }
