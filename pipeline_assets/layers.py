"""The layers of a dataset: their order, their asset keys, and what their assets have in common."""

from enum import IntEnum
from typing import Any

import dagster as dg

from pipeline_assets.dataset import Dataset
from pipeline_assets.partitions import daily_partitions


class Layer(IntEnum):
    """The layers in the order in which a run goes through them, each a step."""

    BRONZE = 1
    SILVER = 2
    GOLD = 3
    SERVING = 4


def layer_keys(dataset: Dataset) -> dict[Layer, set[dg.AssetKey]]:
    """The asset keys of each layer of a dataset."""
    return {
        Layer.BRONZE: {dg.AssetKey(["bronze", dataset.name])},
        Layer.SILVER: {
            dg.AssetKey(["silver", dataset.name]),
            dg.AssetKey(["quarantine", dataset.name]),
        },
        Layer.GOLD: {dg.AssetKey(["gold", name]) for name in dataset.gold_names},
        Layer.SERVING: {dg.AssetKey(["serving", view.name]) for view in dataset.serving},
    }


def partitioned(dataset: Dataset) -> dict[str, Any]:
    """Arguments of every step of a dataset: daily partitions, a range of them in a single run."""
    return {
        "partitions_def": daily_partitions(dataset),
        "backfill_policy": dg.BackfillPolicy.single_run(),
    }


def lake_out(key: dg.AssetKey, description: str) -> dg.AssetOut:
    """A table of the lake; a run in which no date has rows for it leaves it out."""
    return dg.AssetOut(
        key=key,
        group_name=key.path[0],
        io_manager_key="lake",
        is_required=False,
        kinds={"polars", "parquet", "s3"},
        description=description,
    )
