"""Everything that Dagster needs to know, assembled from what the datasets declare."""

import warnings
from collections.abc import Mapping

import dagster as dg

from pipeline_assets.bronze import bronze_asset
from pipeline_assets.crm_pull import pull_customers, pull_schedule
from pipeline_assets.dataset import Dataset
from pipeline_assets.fingerprint import fingerprint
from pipeline_assets.gold import gold_assets
from pipeline_assets.jobs import jobs
from pipeline_assets.landing_asset import landing_check, landing_spec
from pipeline_assets.operator_jobs import operator_jobs
from pipeline_assets.registry import datasets
from pipeline_assets.serving import serving_assets
from pipeline_assets.silver import silver_assets
from resources.dynamodb import DynamoDBIOManager
from resources.landfall import landfall
from resources.s3_parquet import S3ParquetIOManager
from sensors.definitions import (
    landing_sensor,
    outcome_sensors,
    reconcile_sensor,
    refresh_sensor,
)


def dataset_assets(dataset: Dataset) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The assets of one dataset, from the landing bucket to the serving tables."""
    fingerprint(dataset)  # of the code as it is loaded, before anyone can edit it
    with warnings.catch_warnings():
        # Backfill policies are in beta: known, and pinned by the range of Dagster's version.
        warnings.simplefilter("ignore", dg.BetaWarning)
        layers = [bronze_asset(dataset), silver_assets(dataset)]
        if dataset.gold:
            layers.append(gold_assets(dataset))
        if dataset.serving:
            layers.append(serving_assets(dataset))
    return [landing_spec(dataset), *layers]


def build_defs(resources: Mapping[str, object] | None = None) -> dg.Definitions:
    """The whole project.

    Args:
        resources: overrides by name: ``landfall`` (everything of AWS), ``lake`` and ``serving``
            (the IO managers). Without, they are made from the environment when first needed.
    """
    every_job = [job for dataset in datasets() for job in jobs(dataset)]
    return dg.Definitions(
        assets=[asset for dataset in datasets() for asset in dataset_assets(dataset)],
        jobs=[*every_job, *operator_jobs(), pull_customers],
        schedules=[pull_schedule],
        asset_checks=[landing_check(dataset) for dataset in datasets()],
        sensors=[
            landing_sensor(every_job),
            refresh_sensor(every_job),
            reconcile_sensor(),
            *outcome_sensors(),
        ],
        executor=dg.in_process_executor,
        resources={
            "landfall": landfall(),
            "lake": S3ParquetIOManager(lambda: landfall().lake),
            "serving": DynamoDBIOManager(lambda: landfall().serving),
            **(resources or {}),
        },
    )


defs = build_defs()
