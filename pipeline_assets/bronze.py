"""Bronze: every record of a landed object, as received, in one fragment per event date.

The asset claims the files of its run request, or puts the files of its dates back by hand, and has
them loaded; ``loading`` does the work, ``fragments`` writes.
"""

from collections.abc import Collection, Iterator, Sequence

import dagster as dg
from pydantic import Field

from pipeline_assets.checks import (
    FILES_LOADED,
    NO_NEW_FIELDS,
    RECORDS_CONSERVED,
    SOME_ROW_VALID,
    Verdict,
    bronze_checks,
    results,
)
from pipeline_assets.dataset import Dataset
from pipeline_assets.drift import (
    ReadRecords,
    drift_metadata,
    drift_verdict,
    drifted_fields,
    writing_metadata,
)
from pipeline_assets.errors import ConservationError, LedgerBusyError
from pipeline_assets.holding import Holding, give_back
from pipeline_assets.layers import Layer
from pipeline_assets.loading import LoadReport, load_files
from pipeline_assets.partitions import daily_partitions
from resources.landfall import Landfall
from resources.ledger.model import (
    FileHead,
    FileState,
    PlannedRun,
    RequestedFile,
    RequestKind,
    RunRequest,
)

EXAMPLES = 3
CHECKS = (FILES_LOADED, RECORDS_CONSERVED, NO_NEW_FIELDS, SOME_ROW_VALID)
PLAN_TRIES = 20


class BronzeConfig(dg.Config):
    """What a run by hand may choose."""

    keys: list[str] = Field(default_factory=list)
    """Landed keys to load again; none means every file of the partition but forgotten ones."""


def bronze_asset(dataset: Dataset) -> dg.AssetsDefinition:
    """The asset ``bronze/{dataset}``, partitioned by file date."""
    key = dg.AssetKey(["bronze", dataset.name])

    @dg.asset(
        key=key,
        deps=[dg.AssetKey(["landing", dataset.name])],
        kinds={"parquet", "s3"},
        check_specs=bronze_checks(key),
        hooks={give_back},
        partitions_def=daily_partitions(dataset),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="bronze",
        description=(
            "Every record of every landed file, as received, malformed ones too. One partition per "
            "file date; materialized by hand it loads the landed files of that date again."
        ),
    )
    def bronze(
        context: dg.AssetExecutionContext,
        config: BronzeConfig,
        landfall: dg.ResourceParam[Landfall],
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult | dg.AssetCheckEvaluation]:
        holding = Holding.begin(context, landfall, dataset)
        days = context.partition_keys
        report = _load(holding, days, frozenset(config.keys))
        for failed in report.failed:
            context.log.error("%s: %s", failed.head.state.value, failed.error)
        for day, facts in _facts(report, days).items():
            context.add_asset_metadata(facts, asset_key=key, partition_key=day)
        yield dg.MaterializeResult(asset_key=key)
        known = landfall.ledger.fields
        drifted = [field.name for field in drifted_fields(_read(report))]
        unseen = frozenset(known.unseen(dataset.name, drifted))
        verdicts = [verdict for day in days for verdict in _verdicts(report, day, unseen)]
        yield from results(key, CHECKS, verdicts, days)
        known.learn(dataset.name, unseen)
        _raise_environment_fault(report)
        holding.finish_step(context, Layer.BRONZE)

    return bronze


def _raise_environment_fault(report: LoadReport) -> None:
    """Fail the run when AWS or a setting stopped it; its files wait, and no attempt is counted."""
    for failed in report.failed:
        if failed.error.of_environment:
            raise failed.error


def _load(holding: Holding, days: Sequence[str], keys: frozenset[str]) -> LoadReport:
    """Load the files of the run's request, or by hand those of its dates."""
    report = LoadReport()
    if holding.request_id is None:
        heads = _files_of(holding, days, keys)
        size = holding.landfall.settings.max_files_per_run
        for start in range(0, len(heads), size):
            request = request_again(holding, days, heads[start : start + size])
            _load_request(holding, request, report)
            holding.close_request()
    else:
        claimed = holding.claim()
        if claimed is not None:
            _load_request(holding, claimed, report)
            holding.landfall.ledger.requests.drop_files(claimed, holding.run_id)
    if not report.loaded and not report.failed:
        dg.get_dagster_logger().info("There was nothing to load: no file, or no standing request.")
    return report


def _load_request(holding: Holding, request: RunRequest, report: LoadReport) -> None:
    claims = holding.landfall.ledger.files.claim(request.run.files, holding.dataset.name)
    load_files(holding.landfall, holding.dataset, claims, run_id=holding.run_id, report=report)


def _files_of(holding: Holding, days: Sequence[str], keys: frozenset[str]) -> list[FileHead]:
    files, dataset = holding.landfall.ledger.files, holding.dataset.name
    heads = [head for day in days for head in files.of_date(dataset, day)]
    if keys:
        return [head for head in heads if head.key in keys]
    return [head for head in heads if head.state is not FileState.FORGOTTEN]


def request_again(holding: Holding, days: Sequence[str], heads: Sequence[FileHead]) -> RunRequest:
    """Put files back, already claimed by this run, so that no sensor plans them meanwhile.

    Raises:
        LedgerBusyError: other plans kept coming between.
    """
    ledger, dataset = holding.landfall.ledger, holding.dataset.name
    files = tuple(RequestedFile(head.file_id, head.epoch + 1, 0) for head in heads)
    run = PlannedRun(dataset, RequestKind.INGEST, days[0], days[-1], files)
    for _ in range(PLAN_TRIES):
        added = ledger.requests.add(dataset, ledger.requests.open(dataset).plan, [run])
        if added:
            holding.request_id = added[0].request_id
            request = holding.claim()
            ledger.files.put_back(heads, f"loaded again by hand, run {holding.run_id}")
            if request is not None:
                return request
    raise LedgerBusyError(holding.landfall.settings.ledger_table)


def _read(report: LoadReport, day: str | None = None) -> list[ReadRecords]:
    """What was noticed in the loaded files of a date, or of all."""
    return [
        ReadRecords(head.records, report.read[head.file_id].notes)
        for head in report.loaded
        if day in {None, head.file_date} and head.file_id in report.read
    ]


def _hollow(report: LoadReport, heads: Sequence[FileHead]) -> list[str]:
    """Keys of loaded files that have records and no valid row."""
    return [head.key for head in heads if head.file_id in report.hollow]


def _verdicts(report: LoadReport, day: str, unseen: Collection[str]) -> list[Verdict]:
    loaded = [head for head in report.loaded if head.file_date == day]
    failed = [each for each in report.failed if each.head.file_date == day]
    broken = [each for each in failed if isinstance(each.error, ConservationError)]
    if not loaded and not failed:
        return []
    records = sum(head.records for head in loaded)
    hollow = _hollow(report, loaded)
    return [
        Verdict(
            FILES_LOADED,
            day,
            passed=not failed,
            facts={
                "loaded_files": len(loaded),
                "failed_files": len(failed),
                "faults": [str(each.error) for each in failed[:EXAMPLES]],
            },
        ),
        Verdict(
            RECORDS_CONSERVED,
            day,
            passed=not broken,
            facts={
                "files": len(loaded),
                "records": records,
                "faults": [str(each.error) for each in broken[:EXAMPLES]],
            },
        ),
        drift_verdict(day, drifted_fields(_read(report, day)), unseen),
        Verdict(
            SOME_ROW_VALID,
            day,
            passed=not hollow,
            facts={"files_without_valid_row": len(hollow), "keys": hollow[:EXAMPLES]},
            severity=dg.AssetCheckSeverity.WARN,
        ),
    ]


def _facts(
    report: LoadReport, days: Sequence[str]
) -> dict[str, dict[str, str | int | dg.MetadataValue]]:
    """Metadata of each file date's materialization."""
    facts: dict[str, dict[str, str | int | dg.MetadataValue]] = {}
    for day in days:
        loaded = [head for head in report.loaded if head.file_date == day]
        facts[day] = {
            "file_date": day,
            "loaded_files": len(loaded),
            "files_that_moved_on": report.passed_over,
            "failed_files": sum(each.head.file_date == day for each in report.failed),
            "records": sum(head.records for head in loaded),
            "malformed_records": sum(head.malformed for head in loaded),
            "event_dates": ", ".join(sorted({date for head in loaded for date in head.dates})),
            **drift_metadata(drifted_fields(_read(report, day))),
            **writing_metadata(_read(report, day)),
        }
    return facts
