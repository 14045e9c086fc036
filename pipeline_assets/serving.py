"""Serving: gold tables as DynamoDB items, and the end of a date's refresh.

The last layer: once its items are proven equal to gold, the date is given back as clean.
"""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
import polars as pl

from pipeline_assets.checks import EQUALS_GOLD, Fact, Verdict, results
from pipeline_assets.dataset import Dataset, LatestView, ServingView, View
from pipeline_assets.errors import DateRefusedError, LandfallError
from pipeline_assets.holding import Holding, give_back
from pipeline_assets.layers import Layer, partitioned
from resources.dynamodb import ServingTableStore
from resources.dynamodb_tables import LatestTable, ServingTable, Table
from resources.landfall import Landfall

EXAMPLES = 3


def table_suffix(view: View) -> str:
    """What a view's DynamoDB table is called after the prefix of the settings."""
    return view.name.replace("_", "-")


def serving_table(view: View) -> Table:
    """The DynamoDB table of a view."""
    match view:
        case ServingView():
            return ServingTable(table_suffix(view), view.partition_key, view.sort_key)
        case LatestView():
            return LatestTable(table_suffix(view), view.key, view.newest, view.gold, view.lookups)


def serving_assets(dataset: Dataset) -> dg.AssetsDefinition:
    """The assets ``serving/{view}`` of a dataset."""
    keys = {view.name: dg.AssetKey(["serving", view.name]) for view in dataset.serving}

    @dg.multi_asset(
        name=f"{dataset.name}_serving",
        outs={view.name: _serving_out(view, keys[view.name]) for view in dataset.serving},
        ins={name: _gold_in(name) for name in dict.fromkeys(view.gold for view in dataset.serving)},
        check_specs=_check_specs(keys),
        hooks={give_back},
        **partitioned(dataset),
    )
    def serving(
        context: dg.AssetExecutionContext,
        landfall: dg.ResourceParam[Landfall],
        **gold: Mapping[str, pl.DataFrame],
    ) -> Iterator[
        dg.Output[Mapping[str, pl.DataFrame]] | dg.AssetCheckResult | dg.AssetCheckEvaluation
    ]:
        holding = Holding.begin(context, landfall, dataset)
        leased = holding.take_up(context.partition_keys)
        faults: dict[str, LandfallError] = {}
        for view in dataset.serving:
            stored = gold[view.gold]
            frames = {day: stored[day] for day in leased if day in stored}
            yield dg.Output(frames, output_name=view.name)
            verdicts = equality(landfall.serving, view, frames)
            yield from results(keys[view.name], [EQUALS_GOLD], verdicts, context.partition_keys)
            faults |= _unequal(dataset, view, verdicts)
        if faults:
            holding.refuse(faults)
            raise dg.Failure(" ".join(map(str, faults.values())), allow_retries=False)
        left = holding.finish_step(context, Layer.SERVING)
        if left:
            context.log.info("Files arrived meanwhile; refreshed again: %s", ", ".join(left))

    return serving


def _check_specs(keys: Mapping[str, dg.AssetKey]) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(
            EQUALS_GOLD, asset=key, description=f"The items of serving/{name} equal its gold."
        )
        for name, key in keys.items()
    ]


def _serving_out(view: View, key: dg.AssetKey) -> dg.AssetOut:
    return dg.AssetOut(
        key=key,
        group_name=key.path[0],
        io_manager_key="serving",
        is_required=False,
        kinds={"dynamodb"},
        description=view.description,
        metadata=serving_table(view).metadata,
    )


def _gold_in(name: str) -> dg.AssetIn:
    """A gold table of the run's dates, as a dictionary by date."""
    by_date = dg.PythonObjectDagsterType(dict, name=f"{name}_by_event_date")
    return dg.AssetIn(
        key=dg.AssetKey(["gold", name]), input_manager_key="lake", dagster_type=by_date
    )


def equality(
    store: ServingTableStore, view: View, gold: Mapping[str, pl.DataFrame]
) -> list[Verdict]:
    """Whether the items read back equal the gold they were made from, one verdict per date.

    Of a latest view, whether each of the date's rows is its item or older than it, and each item
    that names the date one of its rows.
    """
    match serving_table(view):
        case ServingTable() as table:
            return _same_partitions(store, table, gold)
        case LatestTable() as table:
            return _newest_rows(store, table, gold)


def _same_partitions(
    store: ServingTableStore, table: ServingTable, gold: Mapping[str, pl.DataFrame]
) -> list[Verdict]:
    verdicts = []
    for day, frame in gold.items():
        columns = frame.columns
        items = store.load(table, day, schema=dict(frame.schema))
        wanted = frame.sort(table.sort_key)
        equal = items.height == wanted.height and (
            items.is_empty() or items.select(columns).equals(wanted)
        )
        facts = {"gold_rows": frame.height, "items": items.height}
        verdicts.append(Verdict(EQUALS_GOLD, day, passed=equal, facts=facts))
    return verdicts


def _newest_rows(
    store: ServingTableStore, table: LatestTable, gold: Mapping[str, pl.DataFrame]
) -> list[Verdict]:
    verdicts = []
    compared = store.latest.compare(table, gold) if gold else {}
    for day, found in compared.items():
        facts: dict[str, Fact] = {"gold_rows": found.rows, "items": found.items}
        if found.faults:
            facts |= {"differing": len(found.faults), "examples": list(found.faults[:EXAMPLES])}
        verdicts.append(Verdict(EQUALS_GOLD, day, passed=not found.faults, facts=facts))
    return verdicts


def _unequal(dataset: Dataset, view: View, verdicts: Sequence[Verdict]) -> dict[str, LandfallError]:
    return {
        verdict.day: DateRefusedError(
            dataset.name,
            verdict.day,
            f"the items of serving/{view.name} differ from gold/{view.gold} right after writing: "
            "another program writes to the table. Stop it, then materialize the date again.",
        )
        for verdict in verdicts
        if not verdict.passed
    }
