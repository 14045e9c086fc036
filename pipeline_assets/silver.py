"""Silver and quarantine: a whole event date recomputed from its fragments, replaced at once.

``date_refresh`` gathers what a date is made of and computes it. The asset refuses a date before
anything of it is written. A run over many dates in which one is refused writes none of them: the
refused date is held, and its neighbours are refreshed one by one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import TypeAlias

import dagster as dg

from pipeline_assets.checks import Verdict, results, silver_checks, silver_verdicts
from pipeline_assets.dataset import Dataset
from pipeline_assets.date_refresh import GatheredDate, RefreshedDate, gather, refreshed_date
from pipeline_assets.errors import LandfallError
from pipeline_assets.holding import Holding, give_back
from pipeline_assets.layers import Layer, lake_out, partitioned
from pipeline_assets.refusal import refusal
from resources.landfall import Landfall
from resources.ledger.dates import Refresh
from resources.parallel import in_parallel, one_after_another
from resources.s3_parquet import Replacement

LakeEvent: TypeAlias = (
    dg.Output[Mapping[str, Replacement]]
    | dg.MaterializeResult[None]
    | dg.AssetCheckResult
    | dg.AssetCheckEvaluation
)
"""What the step of a layer in the lake yields."""

_Begun: TypeAlias = GatheredDate | RefreshedDate | LandfallError

DATES_AT_ONCE = 2
"""Each needs memory for its rows; Polars has threads of its own for what takes long."""
DESCRIPTION = (
    "{what} One partition per event date (the UTC day of the row's own time). Rows of one date may "
    "come from files of several file dates: the ledger knows which, the graph shows the same date."
)
VALID = "Valid rows, once each. "
REJECTED = (
    "Rows that could not be parsed or break the contract, with their reasons and the original "
    "record."
)


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
        with ExitStack() as tables:
            refreshed, faults = _refresh_all(holding, context.partition_keys, tables)
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
            _account(holding, refreshed.values())
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
    holding: Holding, days: Sequence[str], tables: ExitStack
) -> tuple[dict[str, RefreshedDate], dict[str, LandfallError]]:
    """Compute the run's dates, whose tables are dropped with ``tables``.

    Those that are refused stand among the faults.

    Raises:
        LeaseLostError: another run holds a date.
    """
    refreshed: dict[str, RefreshedDate] = {}
    faults: dict[str, LandfallError] = {}
    opened = filter(None, map(holding.open, holding.days_to_refresh(days)))
    begin = partial(_begun, holding)
    with closing(one_after_another(begin, opened, threads=DATES_AT_ONCE)) as dates:
        for day, found in dates:
            try:
                refreshed[day] = _finished(holding, found)
            except LandfallError as error:
                if error.retryable:
                    raise
                faults[day] = error
                continue
            tables.callback(refreshed[day].drop)
            refused = refusal(holding.dataset, day, refreshed[day].account)
            if refused:
                faults[day] = refused
    return refreshed, faults


def _begun(holding: Holding, refresh: Refresh) -> tuple[str, _Begun]:
    """A date as far as a thread beside the run's own takes it.

    A date larger than memory is only gathered: that thread cannot be told to stop, and whoever does
    would wait for all of it.
    """
    try:
        gathered = gather(holding, refresh)
        is_large = gathered.bronze is None
        found = gathered if is_large else refreshed_date(holding, gathered)
    except LandfallError as error:
        return refresh.event_date, error
    return refresh.event_date, found


def _finished(holding: Holding, found: _Begun) -> RefreshedDate:
    if isinstance(found, LandfallError):
        raise found
    return refreshed_date(holding, found) if isinstance(found, GatheredDate) else found


def _account(holding: Holding, refreshed: Iterable[RefreshedDate]) -> None:
    landfall = holding.landfall
    in_parallel(
        lambda each: landfall.ledger.dates.account(each.refresh, holding.run_id, each.counts),
        refreshed,
        threads=landfall.settings.io_threads,
    )


def _verdicts(dataset: Dataset, refreshed: Mapping[str, RefreshedDate]) -> list[Verdict]:
    return [
        verdict
        for day, each in refreshed.items()
        for verdict in silver_verdicts(dataset, day, each.account)
    ]


def _outputs(
    refreshed: Mapping[str, RefreshedDate],
) -> Iterator[dg.Output[Mapping[str, Replacement]]]:
    silver = {
        day: Replacement(each.silver, each.refresh.version, each.silver_etag)
        for day, each in refreshed.items()
    }
    yield dg.Output(silver, output_name="silver")
    quarantine = {
        day: Replacement(each.quarantine, each.refresh.version, each.quarantine_etag)
        for day, each in refreshed.items()
        if each.account.quarantined or each.quarantine_etag
    }
    yield dg.Output(quarantine, output_name="quarantine")


def _refused(faults: Mapping[str, LandfallError], refreshed: Sequence[str]) -> str:
    others = [day for day in refreshed if day not in faults]
    spared = (
        f" Not written in this run and refreshed one by one: {', '.join(others)}." if others else ""
    )
    return " ".join(str(fault) for fault in faults.values()) + spared
