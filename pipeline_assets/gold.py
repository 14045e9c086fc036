"""Gold: the business tables of a date, derived from its silver and held to their contracts."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg
import polars as pl

from pipeline_assets.checks import CONTRACT, Verdict, results
from pipeline_assets.contract import validate
from pipeline_assets.dataset import Dataset, GoldTable
from pipeline_assets.errors import ContractBrokenError, DateRefusedError, LandfallError
from pipeline_assets.holding import Holding, give_back
from pipeline_assets.layers import Layer, lake_out, partitioned
from pipeline_assets.silver import LakeEvent, silver_table
from resources.landfall import Landfall
from resources.s3_parquet import Replacement


@dataclass
class _Built:
    """Gold of a run's dates, before it is written."""

    frames: dict[str, dict[str, Replacement]] = field(default_factory=lambda: defaultdict(dict))
    verdicts: dict[str, list[Verdict]] = field(default_factory=lambda: defaultdict(list))
    faults: dict[str, LandfallError] = field(default_factory=dict)


def build_table(table: GoldTable, silver: pl.DataFrame) -> pl.DataFrame:
    """One gold table of one event date.

    Raises:
        ContractBrokenError: the finished table does not satisfy its contract.
    """
    built = table.build(silver.lazy()).collect()
    validate(built, table.contract(), table=f"gold/{table.name}")
    return built


def gold_assets(dataset: Dataset) -> dg.AssetsDefinition:
    """The assets ``gold/{table}`` of a dataset, computed together from one reading of silver."""
    keys = {table.name: dg.AssetKey(["gold", table.name]) for table in dataset.gold}

    @dg.multi_asset(
        name=f"{dataset.name}_gold",
        outs={table.name: lake_out(keys[table.name], table.description) for table in dataset.gold},
        ins={
            "silver": dg.AssetIn(
                key=dg.AssetKey(["silver", dataset.name]), input_manager_key="lake"
            )
        },
        can_subset=True,
        check_specs=[
            dg.AssetCheckSpec(CONTRACT, asset=key, description=f"gold/{name} keeps its contract.")
            for name, key in keys.items()
        ],
        hooks={give_back},
        **partitioned(dataset),
    )
    def gold(
        context: dg.AssetExecutionContext,
        silver: Mapping[str, pl.DataFrame],
        landfall: dg.ResourceParam[Landfall],
    ) -> Iterator[LakeEvent]:
        holding = Holding.begin(context, landfall, dataset)
        leased = holding.take_up(context.partition_keys)
        rows = {day: silver[day] for day in leased if day in silver}
        chosen = [each for each in dataset.gold if keys[each.name] in context.selected_asset_keys]
        built = _build(landfall, dataset, chosen, rows)
        if not built.faults:
            for name, frames in built.frames.items():
                yield dg.Output(frames, output_name=name)
        for table in chosen:
            own = built.verdicts[table.name]
            yield from results(keys[table.name], [CONTRACT], own, context.partition_keys)
        if built.faults:
            holding.refuse(built.faults)
            raise dg.Failure(" ".join(map(str, built.faults.values())), allow_retries=False)
        holding.finish_step(context, Layer.GOLD)

    return gold


def _build(
    landfall: Landfall,
    dataset: Dataset,
    tables: Sequence[GoldTable],
    silver: Mapping[str, pl.DataFrame],
) -> _Built:
    """Build tables for every date, each at the version of the silver it was made from."""
    built = _Built()
    for day in silver:
        stored = landfall.lake.stat(silver_table(dataset), day)
        rows = silver[day]
        for table in tables:
            own = built.verdicts[table.name]
            try:
                frame = build_table(table, rows)
            except ContractBrokenError as error:
                built.faults[day] = DateRefusedError(dataset.name, day, str(error))
                own.append(Verdict(CONTRACT, day, passed=False, facts={"fault": str(error)}))
            else:
                version = stored.version if stored else None
                built.frames[table.name][day] = Replacement(frame, version)
                own.append(Verdict(CONTRACT, day, passed=True, facts={"rows": frame.height}))
    return built
