"""Silver and quarantine: a whole event date recomputed from its fragments, replaced at once.

``read_date`` gathers what a date is made of, ``refine`` (a pure function) computes it; the asset
refuses a date before anything of it is written. A run over many dates in which one is refused
writes none of them: the refused date is held, and its neighbours are refreshed one by one.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeAlias

import dagster as dg
import polars as pl
import pyarrow as pa

from pipeline_assets.checks import Verdict, results, silver_checks, silver_verdicts
from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import DateRefusedError, FragmentMissingError, LandfallError
from pipeline_assets.fragments import fragment_schema
from pipeline_assets.holding import Holding, give_back
from pipeline_assets.layers import Layer, lake_out, partitioned
from pipeline_assets.refine import MALFORMED, RefinedDate, refine, undated_files
from resources.lake import TableName
from resources.landfall import Landfall
from resources.ledger.dates import Refresh
from resources.ledger.model import DateCounts, Fragment
from resources.s3_parquet import Replacement

LakeEvent: TypeAlias = (
    dg.Output[Mapping[str, Replacement]]
    | dg.MaterializeResult[None]
    | dg.AssetCheckResult
    | dg.AssetCheckEvaluation
)
"""What the step of a layer in the lake yields."""

DESCRIPTION = (
    "{what} One partition per event date (the UTC day of the row's own time). Rows of one date may "
    "come from files of several file dates: the ledger knows which, the graph shows the same date."
)
CULPRITS = 3
VALID = "Valid rows, once each. "
REJECTED = (
    "Rows that could not be parsed or break the contract, with their reasons and the original "
    "record."
)


@dataclass(frozen=True)
class RefreshedDate:
    """A date computed and not yet written: what it replaces, and as of which version."""

    refresh: Refresh
    refined: RefinedDate
    silver_etag: str | None
    quarantine_etag: str | None

    @property
    def counts(self) -> DateCounts:
        """The date's account."""
        return DateCounts(
            bronze=self.refined.bronze_rows,
            silver=self.refined.silver_rows,
            quarantined=self.refined.quarantined,
            duplicates=self.refined.duplicates,
        )


def silver_table(dataset: Dataset) -> TableName:
    """The dataset's silver table."""
    return TableName("silver", dataset.name)


def quarantine_table(dataset: Dataset) -> TableName:
    """The dataset's quarantine table."""
    return TableName("quarantine", dataset.name)


def read_date(landfall: Landfall, dataset: Dataset, manifest: Sequence[Fragment]) -> pl.DataFrame:
    """Bronze rows of the fragments that count for a date, in the order of (landing key, row).

    Raises:
        DateRefusedError: a fragment is missing, or has other rows than its manifest says.
    """
    with ThreadPoolExecutor(landfall.settings.io_threads) as pool:
        tables = list(pool.map(lambda entry: _read_fragment(landfall, dataset, entry), manifest))
    schema = fragment_schema(dataset)
    rows = pa.concat_tables(tables) if tables else schema.empty_table()
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table is never one column
    return frame


def _read_fragment(landfall: Landfall, dataset: Dataset, entry: Fragment) -> pa.Table:
    try:
        table = landfall.lake.read_fragment(entry.fragment_key)
    except FragmentMissingError as error:
        raise DateRefusedError(dataset.name, entry.event_date, str(error)) from error
    except pa.ArrowInvalid as error:
        raise DateRefusedError(
            dataset.name,
            entry.event_date,
            f"the fragment {entry.fragment_key} is damaged ({error}): materialize bronze for its "
            "file's date to write it again.",
        ) from error
    if table.num_rows != entry.rows:
        raise DateRefusedError(
            dataset.name,
            entry.event_date,
            f"the fragment {entry.fragment_key} has {table.num_rows} rows, but {entry.rows} were "
            f"loaded from {entry.landing_key}: materialize bronze for that file's date again.",
        )
    schema = fragment_schema(dataset)
    missing = [name for name in schema.names if name not in table.column_names]
    for name in missing:  # the dataset has gained a field since the fragment was written
        table = table.append_column(name, pa.nulls(table.num_rows, pa.large_string()))
    return table.select(schema.names).cast(schema)


def refresh_date(holding: Holding, refresh: Refresh) -> RefreshedDate:
    """Compute a date from its manifest, and note what it is going to replace.

    Raises:
        DateRefusedError: a fragment is missing, or has other rows than its manifest says; or the
            ledger is behind the tables, and nobody asked for the date by hand.
        LeaseLostError: another run holds the date.
    """
    landfall, dataset, day = holding.landfall, holding.dataset, refresh.event_date
    stored = landfall.lake.stat(silver_table(dataset), day)
    quarantined = landfall.lake.stat(quarantine_table(dataset), day)
    latest = max((each.version or 0 for each in (stored, quarantined) if each), default=0)
    if latest > refresh.version:
        if holding.request_id is not None:
            raise DateRefusedError(dataset.name, day, _behind(latest, refresh.version))
        refresh = holding.catch_up(refresh, latest)
    manifest = landfall.ledger.dates.manifest(dataset.name, day)
    refined = refine(
        read_date(landfall, dataset, manifest),
        dataset,
        event_date=date.fromisoformat(day),
        landing_keys={entry.file_id: entry.landing_key for entry in manifest},
    )
    return RefreshedDate(
        refresh,
        _with_rows_elsewhere(holding, manifest, refined),
        stored.etag if stored else None,
        quarantined.etag if quarantined else None,
    )


def _with_rows_elsewhere(
    holding: Holding, manifest: Sequence[Fragment], refined: RefinedDate
) -> RefinedDate:
    """Hold rows that nothing dates against their whole files, whose other rows are elsewhere.

    One broken line of a thousand would else be all that its file has on this date, and hold it.
    """
    if refined.quarantine_share <= holding.dataset.quarantine_threshold:
        return refined
    rows = {entry.file_id: entry.rows for entry in manifest}
    undated = undated_files(refined, holding.dataset, rows)
    heads = holding.landfall.ledger.files.heads(undated)
    elsewhere = sum(head.records - undated[head.file_id] for head in heads.values())
    return replace(refined, rows_elsewhere=max(0, elsewhere))


def _behind(stored: int, known: int) -> str:
    """Whatever files this ledger does not know would leave the tables with a refresh."""
    return (
        f"its tables are at version {stored}, the ledger knows {known}: the ledger was lost or "
        "restored from a backup, or LANDFALL_LEDGER_TABLE names another one. The tables stay as "
        "they are. Once everything that landed is loaded again, materialize the date by hand, from "
        "silver on (a backfill takes many): rows of files that are no longer there go then."
    )


def refusal(dataset: Dataset, day: str, refined: RefinedDate) -> DateRefusedError | None:
    """Why a refined date may not be replaced, or ``None``."""
    if not refined.conserved:
        reason = (
            f"{refined.bronze_rows} bronze rows are not {refined.silver_rows} silver + "
            f"{refined.quarantined} quarantined + {refined.duplicates} duplicates; this is a fault "
            "of the transform: mend it and refresh the date."
        )
        return DateRefusedError(dataset.name, day, reason)
    if refined.quarantine_share > dataset.quarantine_threshold:
        broken = [each.rule.name for each in refined.outcomes if each.failing]
        malformed = sum(text.startswith(MALFORMED) for text in refined.quarantine["reasons"])
        culprits = refined.quarantine["landing_key"].value_counts(sort=True).head(CULPRITS)
        named = ", ".join(f"{key} ({rows})" for key, rows in culprits.iter_rows())
        reason = (
            f"{refined.quarantined} of {refined.bronze_rows} rows ({refined.quarantine_share:.1%}) "
            f"belong in quarantine, more than {dataset.quarantine_threshold:.0%} "
            f"(malformed: {malformed}; rules broken: {', '.join(broken) or 'none'}), most of them "
            f"from {named}: mend the file and land it again at the same key, or mend the contract."
        )
        return DateRefusedError(dataset.name, day, reason)
    return None


def silver_assets(dataset: Dataset) -> dg.AssetsDefinition:
    """The assets ``silver/{dataset}`` and ``quarantine/{dataset}``."""
    silver_key = dg.AssetKey(["silver", dataset.name])
    checks = silver_checks(dataset, silver_key)

    @dg.multi_asset(
        name=f"{dataset.name}_silver",
        outs=_outs(dataset, silver_key),
        deps=[dg.AssetKey(["bronze", dataset.name])],
        check_specs=checks,
        hooks={give_back},
        **partitioned(dataset),
    )
    def silver(
        context: dg.AssetExecutionContext, landfall: dg.ResourceParam[Landfall]
    ) -> Iterator[LakeEvent]:
        holding = Holding.begin(context, landfall, dataset)
        holding.claim()
        refreshed, faults = _refresh_all(holding, context.partition_keys)
        verdicts = _verdicts(dataset, refreshed)
        names = [spec.name for spec in checks]
        outcome = results(silver_key, names, verdicts, context.partition_keys)
        if faults:
            yield from outcome
            holding.refuse(faults)
            raise dg.Failure(_refused(faults, list(refreshed)), allow_retries=False)
        if not refreshed:
            context.log.info("None of the run's dates has anything to refresh.")
            holding.release()
            yield from outcome
            return
        for each in refreshed.values():
            landfall.ledger.dates.account(each.refresh, holding.run_id, each.counts)
        yield from _outputs(refreshed)
        yield from outcome
        holding.finish_step(context, Layer.SILVER)

    return silver


def _outs(dataset: Dataset, silver_key: dg.AssetKey) -> dict[str, dg.AssetOut]:
    quarantine_key = dg.AssetKey(["quarantine", dataset.name])
    return {
        "silver": lake_out(silver_key, DESCRIPTION.format(what=VALID + dataset.description)),
        "quarantine": lake_out(quarantine_key, DESCRIPTION.format(what=REJECTED)),
    }


def _refresh_all(
    holding: Holding, days: Sequence[str]
) -> tuple[dict[str, RefreshedDate], dict[str, LandfallError]]:
    """Compute the run's dates; those that are refused stand among the faults."""
    refreshed: dict[str, RefreshedDate] = {}
    faults: dict[str, LandfallError] = {}
    for day in holding.days_to_refresh(days):
        refresh = holding.open(day)
        if refresh is None:
            continue
        try:
            refreshed[day] = refresh_date(holding, refresh)
        except LandfallError as error:
            if error.retryable:
                raise
            faults[day] = error
            continue
        refused = refusal(holding.dataset, day, refreshed[day].refined)
        if refused:
            faults[day] = refused
    return refreshed, faults


def _verdicts(dataset: Dataset, refreshed: Mapping[str, RefreshedDate]) -> list[Verdict]:
    return [
        verdict
        for day, each in refreshed.items()
        for verdict in silver_verdicts(dataset, day, each.refined)
    ]


def _outputs(
    refreshed: Mapping[str, RefreshedDate],
) -> Iterator[dg.Output[Mapping[str, Replacement]]]:
    silver = {
        day: Replacement(each.refined.silver, each.refresh.version, each.silver_etag)
        for day, each in refreshed.items()
    }
    yield dg.Output(silver, output_name="silver")
    quarantine = {
        day: Replacement(each.refined.quarantine, each.refresh.version, each.quarantine_etag)
        for day, each in refreshed.items()
        if each.refined.quarantined or each.quarantine_etag
    }
    yield dg.Output(quarantine, output_name="quarantine")


def _refused(faults: Mapping[str, LandfallError], refreshed: Sequence[str]) -> str:
    others = [day for day in refreshed if day not in faults]
    spared = (
        f" Not written in this run and refreshed one by one: {', '.join(others)}." if others else ""
    )
    return " ".join(str(fault) for fault in faults.values()) + spared
