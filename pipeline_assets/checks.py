"""Asset checks: what is checked of each layer, and how verdicts become Dagster's results.

A layer hands over verdicts, one per check and event date. A run over one date gives one result per
check; a run over many gives one result for all dates with the account of each, and beside it an
evaluation of its own for every date that fails.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import dagster as dg

from pipeline_assets.account import DateAccount
from pipeline_assets.contract import rules
from pipeline_assets.dataset import Dataset

Fact: TypeAlias = str | int | float | list[str]

FILES_LOADED = "files_loaded"
RECORDS_CONSERVED = "records_conserved"
NO_NEW_FIELDS = "no_new_fields"
SOME_ROW_VALID = "some_row_valid"
ROWS_CONSERVED = "rows_conserved"
QUARANTINE_SHARE = "quarantine_share"
CONTRACT = "contract"
ADDS_UP = "adds_up"
EQUALS_GOLD = "equals_gold"


@dataclass(frozen=True)
class Verdict:
    """How one event date (or file date, for bronze) fared with one check."""

    check: str
    day: str
    passed: bool
    facts: Mapping[str, Fact] = field(default_factory=dict)
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR


def bronze_checks(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Checks of a bronze asset."""
    return [
        dg.AssetCheckSpec(
            FILES_LOADED, asset=key, description="Every file of the run could be loaded."
        ),
        dg.AssetCheckSpec(
            RECORDS_CONSERVED,
            asset=key,
            description=(
                "Of each file, records counted independently of the parser equal the rows of its "
                "fragments."
            ),
        ),
        dg.AssetCheckSpec(
            NO_NEW_FIELDS,
            asset=key,
            description=(
                "No field came that the contract does not name and that no file had before. Such "
                "fields are kept in `_rescued`; the materialization lists them all."
            ),
        ),
        dg.AssetCheckSpec(
            SOME_ROW_VALID,
            asset=key,
            description="Every file with records has a row that keeps the contract.",
        ),
    ]


def silver_checks(dataset: Dataset, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Checks of a silver asset: one for each rule of the contract, and the account of the date."""
    by_rule = [
        dg.AssetCheckSpec(rule.name, asset=key, description=f"Every row: {rule.description}.")
        for rule in rules(dataset)
    ]
    return [
        *by_rule,
        dg.AssetCheckSpec(
            ROWS_CONSERVED,
            asset=key,
            description="Bronze rows = silver + quarantined + duplicates.",
        ),
        dg.AssetCheckSpec(
            QUARANTINE_SHARE,
            asset=key,
            description=(
                f"At most {dataset.quarantine_threshold:.0%} of a date's rows are in quarantine; "
                "otherwise the date keeps its former tables and is held."
            ),
        ),
    ]


def silver_verdicts(dataset: Dataset, day: str, account: DateAccount) -> list[Verdict]:
    """Verdicts on one refined date by its account.

    A rule that rows break only warns, for those rows are in quarantine; an account that does not
    add up and too large a share of quarantine refuse the date.
    """
    by_rule = [
        Verdict(
            outcome.rule.name,
            day,
            passed=outcome.failing == 0,
            facts={
                "failing_rows": outcome.failing,
                "failing_share": round(outcome.share, 6),
                "examples": list(outcome.examples),
            },
            severity=dg.AssetCheckSeverity.WARN,
        )
        for outcome in account.outcomes
    ]
    rows: dict[str, Fact] = {
        "bronze_rows": account.bronze_rows,
        "silver_rows": account.silver_rows,
        "quarantined_rows": account.quarantined,
        "duplicate_rows": account.duplicates,
    }
    share: dict[str, Fact] = {
        "quarantined_share": round(account.quarantine_share, 6),
        "threshold": dataset.quarantine_threshold,
    }
    return [
        *by_rule,
        Verdict(ROWS_CONSERVED, day, passed=account.conserved, facts=rows),
        Verdict(
            QUARANTINE_SHARE,
            day,
            passed=account.quarantine_share <= dataset.quarantine_threshold,
            facts=rows | share,
        ),
    ]


def results(
    asset: dg.AssetKey,
    checks: Iterable[str],
    verdicts: Sequence[Verdict],
    days: Sequence[str],
) -> Iterator[dg.AssetCheckResult | dg.AssetCheckEvaluation]:
    """What a step yields for an asset's checks; ``days`` are the dates of the run."""
    for check in checks:
        own = [verdict for verdict in verdicts if verdict.check == check]
        yield _result(asset, check, own, days)
        if len(days) > 1:
            yield from (_evaluation(asset, verdict) for verdict in own if not verdict.passed)


def _result(
    asset: dg.AssetKey, check: str, verdicts: Sequence[Verdict], days: Sequence[str]
) -> dg.AssetCheckResult:
    failing = [verdict for verdict in verdicts if not verdict.passed]
    worst = {verdict.severity for verdict in failing} or {dg.AssetCheckSeverity.ERROR}
    is_error = dg.AssetCheckSeverity.ERROR in worst
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=check,
        passed=not failing,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description=_description(verdicts, failing, days),
        metadata=_metadata(verdicts, failing, days),
    )


def _description(
    verdicts: Sequence[Verdict], failing: Sequence[Verdict], days: Sequence[str]
) -> str:
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    if not verdicts:
        return f"{span}: nothing to check."
    if not failing:
        return f"{span}: holds for {len(verdicts)} of {len(days)} dates of the run."
    return f"{span}: fails for {', '.join(verdict.day for verdict in failing)}."


def _metadata(
    verdicts: Sequence[Verdict], failing: Sequence[Verdict], days: Sequence[str]
) -> dict[str, dg.MetadataValue]:
    if len(days) == 1 and verdicts:
        return {"event_date": dg.MetadataValue.text(days[0]), **_facts(verdicts[0])}
    return {
        "event_dates": dg.MetadataValue.json([verdict.day for verdict in verdicts]),
        "failing_dates": dg.MetadataValue.json([verdict.day for verdict in failing]),
        "by_event_date": dg.MetadataValue.json(
            {verdict.day: dict(verdict.facts) for verdict in verdicts}
        ),
    }


def _facts(verdict: Verdict) -> dict[str, dg.MetadataValue]:
    facts: dict[str, dg.MetadataValue] = {}
    for name, fact in verdict.facts.items():
        match fact:
            case int():
                facts[name] = dg.MetadataValue.int(fact)
            case float():
                facts[name] = dg.MetadataValue.float(fact)
            case str():
                facts[name] = dg.MetadataValue.text(fact)
            case list():
                facts[name] = dg.MetadataValue.json(fact)
    return facts


def _evaluation(asset: dg.AssetKey, verdict: Verdict) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=asset,
        check_name=verdict.check,
        passed=verdict.passed,
        severity=verdict.severity,
        partition=verdict.day,
        metadata={"event_date": dg.MetadataValue.text(verdict.day), **_facts(verdict)},
    )
