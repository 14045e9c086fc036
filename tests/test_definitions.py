"""What Dagster gets to know: assets, partitions, checks, jobs and sensors, without any AWS."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from pipeline_assets.contract import rules
from pipeline_assets.datasets.events import DATASET
from pipeline_assets.definitions import build_defs
from pipeline_assets.registry import datasets

PROJECT = Path(__file__).parents[1]
CLOSED = """
# The libraries' own imports are not ours to judge.
import boto3, dagster, duckdb, polars, pyarrow.parquet, pydantic_settings
import socket
def refuse(*_, **__): raise AssertionError("the network was used at import")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
import os
class Watched(type(os.environ)):
    def __getitem__(self, key):
        if key.startswith(("LANDFALL_", "AWS_")): raise AssertionError(f"{key} was read at import")
        return super().__getitem__(key)
    def __iter__(self):
        raise AssertionError("the environment was listed at import")
os.environ.__class__ = Watched
import pipeline_assets.definitions
"""


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    return build_defs().get_repository_def()


@pytest.fixture(scope="module")
def graph(repository: dg.RepositoryDefinition) -> AssetGraph:
    return repository.asset_graph


def bare_environment(home: Path) -> dict[str, str]:
    """An environment without AWS settings, credentials or a Dagster instance."""
    kept = ("PATH", "LANG", "LC_ALL", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"HOME": str(home)}


def python(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, *arguments],
        cwd=PROJECT,
        env=bare_environment(home) | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_definitions_are_valid_where_no_aws_is_in_reach(
    tmp_path: Path, new_port: Callable[[], int]
) -> None:
    validated = python(
        tmp_path, "-m", "dagster", "definitions", "validate", LANDFALL_LOCAL_PORT=str(new_port())
    )

    assert validated.returncode == 0, validated.stdout + validated.stderr
    assert "Traceback" not in validated.stdout + validated.stderr


def test_importing_the_definitions_uses_no_network_and_reads_no_setting(tmp_path: Path) -> None:
    imported = python(tmp_path, "-c", CLOSED, LANDFALL_LOCAL_PORT="not a port")

    assert imported.returncode == 0, imported.stderr


def test_each_dataset_has_its_assets_each_in_the_group_of_its_layer(graph: AssetGraph) -> None:
    expected = {
        key
        for dataset in datasets()
        for key in (
            *((layer, dataset.name) for layer in ("landing", "bronze", "silver", "quarantine")),
            *(("gold", name) for name in dataset.gold_names),
            *(("serving", view.name) for view in dataset.serving),
        )
    }

    groups = {tuple(key.path): graph.get(key).group_name for key in graph.get_all_asset_keys()}

    assert groups == {key: key[0] for key in expected}


def test_each_layer_depends_on_the_one_before(graph: AssetGraph) -> None:
    chain = ["landing/events", "bronze/events", "silver/events", "gold/daily_event_summary"]
    chain.append("serving/daily_event_summary")

    for before, after in pairwise(chain):
        parents = graph.get(dg.AssetKey(after.split("/"))).parent_keys
        assert parents == {dg.AssetKey(before.split("/"))}


def test_the_landing_bucket_is_an_asset_that_others_fill(graph: AssetGraph) -> None:
    assert not graph.get(dg.AssetKey(["landing", "events"])).is_executable
    assert graph.get(dg.AssetKey(["bronze", "events"])).is_executable


def test_partitions_are_the_days_from_the_datasets_start_to_tomorrow(graph: AssetGraph) -> None:
    today = datetime.now(UTC).date()
    partitioned = [
        graph.get(key) for key in graph.get_all_asset_keys() if graph.get(key).is_executable
    ]

    starts = {dataset.start.isoformat() for dataset in datasets()}
    for asset in partitioned:
        assert asset.partitions_def is not None
        keys = asset.partitions_def.get_partition_keys()
        assert keys[0] in starts
        if asset.key.path[-1] == "events":
            assert keys[0] == DATASET.start.isoformat()
        tomorrow = (today + timedelta(days=1)).isoformat()
        assert keys[keys.index(today.isoformat()) :] == [today.isoformat(), tomorrow]


def test_every_executable_asset_has_checks_and_silver_one_for_each_rule(
    graph: AssetGraph,
) -> None:
    by_asset: dict[str, set[str]] = {}
    for check in graph.asset_check_keys:
        by_asset.setdefault(check.asset_key.to_user_string(), set()).add(check.name)

    names = {rule.name for rule in rules(DATASET)}
    assert by_asset["silver/events"] == names | {"rows_conserved", "quarantine_share"}
    assert by_asset["bronze/events"] == {
        "files_loaded",
        "records_conserved",
        "no_new_fields",
        "some_row_valid",
    }
    assert by_asset["serving/daily_event_summary"] == {"equals_gold"}
    gold = {name for name in by_asset if name.startswith("gold/")}
    assert gold == {f"gold/{name}" for each in datasets() for name in each.gold_names}


def test_every_layer_computes_a_range_of_dates_in_a_single_run(graph: AssetGraph) -> None:
    policies = {
        key.to_user_string(): graph.get(key).backfill_policy
        for key in graph.get_all_asset_keys()
        if graph.get(key).is_executable
    }

    assert policies == {name: dg.BackfillPolicy.single_run() for name in policies}


def test_every_sensor_runs_by_default_and_those_that_start_runs_target_both_jobs(
    repository: dg.RepositoryDefinition,
) -> None:
    sensors = {sensor.name: sensor for sensor in repository.sensor_defs}

    assert {name: sensor.default_status for name, sensor in sensors.items()} == dict.fromkeys(
        ("landing", "refresh", "reconcile", "failed_runs", "canceled_runs"),
        dg.DefaultSensorStatus.RUNNING,
    )
    for name in ("landing", "refresh"):
        assert {job.name for job in sensors[name].jobs} == {
            f"{dataset.name}_{kind}" for dataset in datasets() for kind in ("ingest", "refresh")
        }


def test_the_refresh_job_leaves_bronze_alone(repository: dg.RepositoryDefinition) -> None:
    bronze = dg.AssetKey(["bronze", "events"])
    ingest, refresh = (
        set(repository.get_job(name).asset_layer.executable_asset_keys)
        for name in ("events_ingest", "events_refresh")
    )

    assert ingest - refresh == {bronze}


def test_resources_can_be_overridden_by_name() -> None:
    stand_in = dg.mem_io_manager

    definitions = build_defs({"lake": stand_in})

    assert (definitions.resources or {})["lake"] is stand_in
