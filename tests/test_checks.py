"""Verdicts of the layers as Dagster's check results: which date failed must never be lost."""

from collections.abc import Sequence
from datetime import date

import dagster as dg
import polars as pl
import pytest

from pipeline_assets.checks import (
    QUARANTINE_SHARE,
    ROWS_CONSERVED,
    Verdict,
    bronze_checks,
    results,
    silver_checks,
    silver_verdicts,
)
from pipeline_assets.contract import rules
from pipeline_assets.datasets.events import DATASET
from pipeline_assets.refine import RefinedDate, refine

ASSET = dg.AssetKey(["silver", "events"])
DAYS = ("2025-03-10", "2025-03-11", "2025-03-12")
USER = "00000000-0000-4000-8000-000000000001"


def refined(kinds: Sequence[str]) -> RefinedDate:
    """A date with one row for each event type."""
    text = ("_raw", "_error", *DATASET.fields, "_rescued")
    rows = [
        {
            "_file_id": "file",
            "_row": row,
            "eventId": str(row),
            "eventType": kind,
            "userId": USER,
            "timestamp": f"{DAYS[0]}T09:00:00Z",
        }
        for row, kind in enumerate(kinds)
    ]
    schema = {"_file_id": pl.String, "_row": pl.Int64} | dict.fromkeys(text, pl.String)
    bronze = pl.DataFrame(rows, schema=schema)
    keys = {"file": "events/file.jsonl"}
    return refine(bronze, DATASET, event_date=date.fromisoformat(DAYS[0]), landing_keys=keys)


def given(
    verdicts: Sequence[Verdict], days: Sequence[str]
) -> tuple[list[dg.AssetCheckResult], list[dg.AssetCheckEvaluation]]:
    made = list(results(ASSET, [ROWS_CONSERVED], verdicts, days))
    return (
        [each for each in made if isinstance(each, dg.AssetCheckResult)],
        [each for each in made if isinstance(each, dg.AssetCheckEvaluation)],
    )


def test_a_run_over_one_date_gives_one_result_with_the_facts_of_that_date() -> None:
    verdict = Verdict(ROWS_CONSERVED, DAYS[0], passed=False, facts={"bronze_rows": 7})

    (result,), evaluations = given([verdict], DAYS[:1])

    assert not evaluations
    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.ERROR
    assert result.metadata["event_date"].value == DAYS[0]
    assert result.metadata["bronze_rows"].value == 7
    assert DAYS[0] in (result.description or "")


def test_a_run_over_many_dates_names_each_failing_date_and_evaluates_its_partition() -> None:
    verdicts = [
        Verdict(ROWS_CONSERVED, day, passed=day != DAYS[1], facts={"rows": number})
        for number, day in enumerate(DAYS)
    ]

    (result,), (evaluation,) = given(verdicts, DAYS)

    assert not result.passed
    assert DAYS[1] in (result.description or "")
    assert result.metadata["failing_dates"].value == [DAYS[1]]
    assert result.metadata["by_event_date"].value == {
        day: {"rows": number} for number, day in enumerate(DAYS)
    }
    assert (evaluation.partition, evaluation.passed) == (DAYS[1], False)


def test_a_run_over_many_sound_dates_passes_without_evaluations_of_its_dates() -> None:
    verdicts = [Verdict(ROWS_CONSERVED, day, passed=True) for day in DAYS]

    (result,), evaluations = given(verdicts, DAYS)

    assert result.passed
    assert not evaluations


def test_a_check_without_verdicts_passes_and_says_that_there_was_nothing_to_check() -> None:
    (result,), _ = given([], DAYS)

    assert result.passed
    assert "nothing to check" in (result.description or "")


def test_a_failing_error_among_warnings_is_an_error() -> None:
    verdicts = [
        Verdict(ROWS_CONSERVED, DAYS[0], passed=False, severity=dg.AssetCheckSeverity.WARN),
        Verdict(ROWS_CONSERVED, DAYS[1], passed=False),
    ]

    (result,), _ = given(verdicts, DAYS)

    assert result.severity is dg.AssetCheckSeverity.ERROR


def test_failing_warnings_alone_are_a_warning() -> None:
    warning = Verdict(ROWS_CONSERVED, DAYS[0], passed=False, severity=dg.AssetCheckSeverity.WARN)

    (result,), _ = given([warning], DAYS)

    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_every_rule_of_the_contract_has_a_check_and_every_check_a_verdict() -> None:
    declared = [spec.name for spec in silver_checks(DATASET, ASSET)]
    verdicts = silver_verdicts(DATASET, DAYS[0], refined(["click"]))

    assert {rule.name for rule in rules(DATASET)} <= set(declared)
    assert [verdict.check for verdict in verdicts] == declared
    assert all(verdict.passed for verdict in verdicts)


def test_a_row_that_breaks_a_rule_warns_with_its_file_and_row() -> None:
    verdicts = silver_verdicts(DATASET, DAYS[0], refined(["click"] * 19 + ["refund"]))

    (failing,) = (verdict for verdict in verdicts if not verdict.passed)
    assert failing.severity is dg.AssetCheckSeverity.WARN
    assert failing.facts["failing_rows"] == 1
    assert "events/file.jsonl row 19" in str(failing.facts["examples"])


@pytest.mark.parametrize(("refunds", "passed"), [(2, True), (3, False)])
def test_the_quarantine_share_fails_above_its_threshold_only(refunds: int, passed: bool) -> None:  # noqa: FBT001  # a parameter of the test
    kinds = ["click"] * (20 - refunds) + ["refund"] * refunds

    verdicts = silver_verdicts(DATASET, DAYS[0], refined(kinds))

    (share,) = (verdict for verdict in verdicts if verdict.check == QUARANTINE_SHARE)
    assert share.passed is passed
    assert share.severity is dg.AssetCheckSeverity.ERROR
    assert share.facts["quarantined_share"] == refunds / 20


def test_bronze_checks_stand_on_the_bronze_asset() -> None:
    bronze = dg.AssetKey(["bronze", "events"])

    assert {spec.asset_key for spec in bronze_checks(bronze)} == {bronze}
