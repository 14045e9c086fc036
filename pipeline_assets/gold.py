"""Gold: the business tables of a date, derived from its silver and held to their contracts."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg
import polars as pl

from pipeline_assets.checks import ADDS_UP, CONTRACT, Fact, Verdict, results
from pipeline_assets.contract import validate
from pipeline_assets.dataset import Dataset, FirstSeen, GoldTable
from pipeline_assets.date_refresh import silver_table
from pipeline_assets.errors import ContractBrokenError, DateRefusedError, LandfallError
from pipeline_assets.first_seen import refresh_first_seen
from pipeline_assets.holding import Holding, give_back
from pipeline_assets.layers import Layer, lake_out, partitioned
from pipeline_assets.silver import LakeEvent
from resources.landfall import Landfall
from resources.parallel import in_parallel
from resources.s3_parquet import Replacement


@dataclass
class _Built:
    """Gold of a run's dates, before it is written."""

    frames: dict[str, dict[str, Replacement]] = field(default_factory=lambda: defaultdict(dict))
    verdicts: dict[str, list[Verdict]] = field(default_factory=lambda: defaultdict(list))
    faults: dict[str, LandfallError] = field(default_factory=dict)


def build_table(table: GoldTable, silver: pl.LazyFrame, *, rows_at_a_time: int) -> pl.DataFrame:
    """One gold table of one event date; silver of more rows is gone through in parts.

    Raises:
        ContractBrokenError: the finished table does not satisfy its contract.
    """
    if _height(silver) <= rows_at_a_time:
        built = table.build(silver).collect()
    else:
        built = pl.concat(
            table.build(part).collect(engine="streaming") for part in _parts(table, silver)
        )
    validate(built, table.contract(), table=f"gold/{table.name}")
    return built


def _parts(table: GoldTable, silver: pl.LazyFrame) -> Iterator[pl.LazyFrame]:
    """Silver by the values no two of which meet in a row of the table, in their order."""
    if table.within is None:
        yield silver
        return
    column = pl.col(table.within)
    values = silver.select(column).unique().collect(engine="streaming").to_series().sort()
    for value in values:
        yield silver.filter(column.is_null() if value is None else column == value)


def distinct(silver: pl.LazyFrame, column: str, *, rows_at_a_time: int) -> pl.DataFrame:
    """A column's values, once each, without null; memory holds so many rows beside them.

    Polars' own ``unique`` would hold every row until its end.
    """
    only = silver.select(column)
    found = only.head(0).collect()
    for start in range(0, _height(silver), rows_at_a_time):
        part = only.slice(start, rows_at_a_time).drop_nulls().unique().collect()
        found = pl.concat([found, part]).unique()
    return found


def _height(silver: pl.LazyFrame) -> int:
    return int(silver.select(pl.len()).collect().item())


def gold_assets(dataset: Dataset) -> dg.AssetsDefinition:
    """The assets ``gold/{table}`` of a dataset, computed together from one reading of silver."""
    keys = {table.name: dg.AssetKey(["gold", table.name]) for table in dataset.gold}

    @dg.multi_asset(
        name=f"{dataset.name}_gold",
        outs=_outs(dataset, keys),
        ins={
            "silver": dg.AssetIn(
                key=dg.AssetKey(["silver", dataset.name]), input_manager_key="lake"
            )
        },
        can_subset=True,
        check_specs=_check_specs(dataset, keys),
        hooks={give_back},
        **partitioned(dataset),
    )
    def gold(
        context: dg.AssetExecutionContext,
        silver: Mapping[str, pl.LazyFrame],
        landfall: dg.ResourceParam[Landfall],
    ) -> Iterator[LakeEvent]:
        holding = Holding.begin(context, landfall, dataset)
        leased = holding.take_up(context.partition_keys)
        rows = {day: silver[day] for day in leased if day in silver}
        chosen = [each for each in dataset.gold if keys[each.name] in context.selected_asset_keys]
        versions = _versions(holding, rows)
        built = _build(holding, chosen, rows, versions)
        if not built.faults:
            for name, frames in built.frames.items():
                yield dg.Output(frames, output_name=name)
            yield from _first_seen(context, holding, rows, versions)
        for table in chosen:
            own = built.verdicts[table.name]
            yield from results(keys[table.name], [CONTRACT], own, context.partition_keys)
        if built.faults:
            holding.refuse(built.faults)
            raise dg.Failure(" ".join(map(str, built.faults.values())), allow_retries=False)
        holding.finish_step(context, Layer.GOLD)

    return gold


def _outs(dataset: Dataset, keys: Mapping[str, dg.AssetKey]) -> dict[str, dg.AssetOut]:
    return {
        **{each.name: lake_out(keys[each.name], each.description) for each in dataset.gold},
        **{each.name: _first_seen_out(each) for each in dataset.first_seen},
    }


def _check_specs(dataset: Dataset, keys: Mapping[str, dg.AssetKey]) -> list[dg.AssetCheckSpec]:
    contracts = [
        dg.AssetCheckSpec(CONTRACT, asset=key, description=f"gold/{name} keeps its contract.")
        for name, key in keys.items()
    ]
    sums = [
        dg.AssetCheckSpec(
            ADDS_UP,
            asset=dg.AssetKey(["gold", table.name]),
            description="No more are new on a date than came on it.",
        )
        for table in dataset.first_seen
    ]
    return contracts + sums


def _first_seen_out(table: FirstSeen) -> dg.AssetOut:
    return dg.AssetOut(
        key=dg.AssetKey(["gold", table.name]),
        dagster_type=dg.Nothing,
        group_name="gold",
        is_required=False,
        kinds={"polars", "parquet", "s3"},
        description=table.description,
    )


def _versions(holding: Holding, days: Iterable[str]) -> dict[str, int]:
    """Versions of the silver that was read, by date.

    Raises:
        LeaseLostError: another run has taken a date and refreshed it.
    """
    held = {each.event_date: each for each in holding.refreshes}
    landfall, table, days = holding.landfall, silver_table(holding.dataset), list(days)
    stored = in_parallel(
        lambda day: landfall.lake.stat(table, day), days, threads=landfall.settings.io_threads
    )
    versions = {
        day: (each.version or 0) if each else 0 for day, each in zip(days, stored, strict=True)
    }
    for day in days:
        if versions[day] > held[day].version:
            holding.catch_up(held[day], versions[day])
    return versions


def _first_seen(
    context: dg.AssetExecutionContext,
    holding: Holding,
    rows: Mapping[str, pl.LazyFrame],
    versions: Mapping[str, int],
) -> Iterator[LakeEvent]:
    """Count who came first; dates beyond the run's that changed are told as materialized too."""
    for table in holding.dataset.first_seen:
        key = dg.AssetKey(["gold", table.name])
        if key not in context.selected_asset_keys or not rows:
            continue
        limit = holding.landfall.settings.max_rows_per_bucket
        came = {day: distinct(rows[day], table.entity, rows_at_a_time=limit) for day in rows}
        done = refresh_first_seen(holding.landfall, table, came, versions)
        for day, count in done.counts.items():
            facts: dict[str, str | int] = {
                "event_date": day,
                table.name: count,
                "generation": done.generation,
            }
            if day in context.partition_keys:
                context.add_asset_metadata(facts, asset_key=key, partition_key=day)
            else:
                context.log_event(dg.AssetMaterialization(key, metadata=facts, partition=day))
        yield dg.MaterializeResult(asset_key=key, metadata={"entities": done.entities})
        verdicts = [_adds_up(day, each.height, done.counts[day]) for day, each in came.items()]
        yield from results(key, [ADDS_UP], verdicts, context.partition_keys)


def _adds_up(day: str, came: int, count: int) -> Verdict:
    """Whether no more are new on a date than came on it."""
    facts: dict[str, Fact] = {"came": came, "new": count}
    return Verdict(ADDS_UP, day, passed=count <= came, facts=facts)


def _build(
    holding: Holding,
    tables: Sequence[GoldTable],
    silver: Mapping[str, pl.LazyFrame],
    versions: Mapping[str, int],
) -> _Built:
    """Build tables for every date, each at the version of the silver it was made from."""
    built = _Built()
    limit = holding.landfall.settings.max_rows_per_bucket
    for day, rows in silver.items():
        for table in tables:
            own = built.verdicts[table.name]
            try:
                frame = build_table(table, rows, rows_at_a_time=limit)
            except ContractBrokenError as error:
                built.faults[day] = DateRefusedError(holding.dataset.name, day, str(error))
                own.append(Verdict(CONTRACT, day, passed=False, facts={"fault": str(error)}))
            else:
                built.frames[table.name][day] = Replacement(frame, versions[day])
                own.append(Verdict(CONTRACT, day, passed=True, facts={"rows": frame.height}))
    return built
