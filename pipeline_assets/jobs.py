"""Jobs: what a run request of the ledger becomes in Dagster."""

from typing import TYPE_CHECKING, TypeAlias

import dagster as dg

from pipeline_assets.dataset import Dataset
from pipeline_assets.layers import Layer, layer_keys
from resources.ledger.model import RequestKind, RunRequest

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

AssetJob: TypeAlias = "UnresolvedAssetJobDefinition"

REQUEST_TAG = "landfall/request"
FIRST_DATE_TAG = "dagster/asset_partition_range_start"
LAST_DATE_TAG = "dagster/asset_partition_range_end"


def job_name(dataset: str, kind: RequestKind) -> str:
    """Name of the job that does what a request asks for."""
    return f"{dataset}_{kind.value}"


def jobs(dataset: Dataset) -> list[AssetJob]:
    """The dataset's ingest job (every layer) and refresh job (silver to serving)."""
    keys = layer_keys(dataset)
    bronze = dg.AssetSelection.assets(*keys[Layer.BRONZE])
    layers = dg.AssetSelection.assets(*(key for layer in Layer for key in keys[layer]))
    return [
        dg.define_asset_job(
            job_name(dataset.name, RequestKind.INGEST),
            selection=layers,
            description=f"Loads landed files of {dataset.name} and refreshes their own dates.",
        ),
        dg.define_asset_job(
            job_name(dataset.name, RequestKind.REFRESH),
            selection=layers - bronze,
            description=f"Recomputes dirty dates of {dataset.name} from their fragments.",
        ),
    ]


def run_tags(request: RunRequest) -> dict[str, str]:
    """Tags that tell a run its request and, for a range, its dates."""
    first, last = request.dates
    tags = {REQUEST_TAG: request.request_id}
    if first != last:
        tags |= {FIRST_DATE_TAG: first, LAST_DATE_TAG: last}
    return tags


def partition_key(request: RunRequest) -> str | None:
    """The request's date, ``None`` for a range."""
    first, last = request.dates
    return first if first == last else None


def dagster_request(request: RunRequest) -> dg.RunRequest:
    """The request as Dagster's sensors yield it; its id is the run key."""
    return dg.RunRequest(
        run_key=request.request_id,
        job_name=job_name(request.run.dataset, request.run.kind),
        partition_key=partition_key(request),
        tags=run_tags(request),
    )
