"""Dagster's own daemon and UI server, driven over GraphQL as a browser does."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from scenario import DAYS, LANDFALL, LAYERS, REFRESHED, command, events, json_lines

START_SECONDS = 180.0
RUN_SECONDS = 240.0
BACKFILL_SECONDS = 240.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.5
LOCATION = {"repositoryName": "__repository__", "repositoryLocationName": "landfall"}

LAUNCH = """mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
BACKFILL = """mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
BACKFILL_STATUS = """query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"""
RUN_STATUS = """query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"""
RUNS = """{ runsOrError { ... on Runs { results { jobName status tags { key value } } } } }"""
PARTITIONS = """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) {
  ... on AssetNode { assetPartitionStatuses {
    ... on TimePartitionStatuses { ranges { status startKey endKey } } } } } }"""
READY = """{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"""

Answer = dict[str, Any]

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Dev:
    """A running `landfall dev`: the address of its UI and the environment of its commands."""

    url: str
    environment: Mapping[str, str]

    def ask(self, query: str, variables: Mapping[str, object] | None = None) -> Answer:
        body = json.dumps({"query": query, "variables": variables or {}}).encode()
        request = urllib.request.Request(  # noqa: S310  # a loopback address of our own
            f"{self.url}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310  # as above
            answer: Answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        data: Answer = answer["data"]
        return data

    def is_ready(self) -> bool:
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            return bool(self.ask(READY)["repositoriesOrError"].get("nodes"))
        return False

    def materialized(self, asset: tuple[str, str]) -> set[str]:
        """Dates of ``DAYS`` that the UI shows as materialized."""
        node = self.ask(PARTITIONS, {"key": {"path": list(asset)}})["assetNodeOrError"]
        ranges = node["assetPartitionStatuses"]["ranges"]
        return {
            day
            for day in DAYS
            for each in ranges
            if each["status"] == "MATERIALIZED" and each["startKey"] <= day <= each["endKey"]
        }

    def land(self, key: str, path: Path) -> None:
        landed = command(
            "land", str(path), "--dataset", "events", "--key", key, environment=self.environment
        )
        assert landed.returncode == 0, landed.stderr

    def materialize(self, assets: list[tuple[str, str]], day: str) -> str:
        """Ask for a run by hand, as the UI's button does; returns its id."""
        selection = [{"path": list(asset)} for asset in assets]
        params = {
            "selector": {**LOCATION, "jobName": "__ASSET_JOB", "assetSelection": selection},
            "mode": "default",
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": day}]},
        }
        launched = self.ask(LAUNCH, {"params": params})["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(POLL_SECONDS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started, by the id of its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_SECONDS)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    home = tmp_path_factory.mktemp("dev")
    ui, aws = free_port(), free_port()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LANDFALL_", "AWS_", "DAGSTER_"))
    }
    environment |= {"LANDFALL_HOME": str(home), "LANDFALL_LOCAL_PORT": str(aws)}
    environment["AWS_EC2_METADATA_DISABLED"] = "true"
    with (home / "dev.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # our own command
            [LANDFALL, "dev", "--port", str(ui)],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    started = Dev(f"http://127.0.0.1:{ui}", environment)
    try:
        wait_for(
            lambda: started.is_ready() or process.poll() is not None,
            START_SECONDS,
            "the UI answers",
        )
        assert process.poll() is None, (home / "dev.log").read_text()
        yield started
    finally:
        end(process)
        command("down", environment=environment)


@pytest.fixture(scope="module")
def landed(dev: Dev, tmp_path_factory: pytest.TempPathFactory) -> Dev:
    """Files for five dates, which the sensors alone carry through every layer."""
    folder = tmp_path_factory.mktemp("files")
    for day in DAYS:
        path = folder / f"{day}.jsonl"
        path.write_bytes(json_lines(events(day, range(5))))
        dev.land(f"dt={day}/web.jsonl", path)
    wait_for(
        lambda: all(dev.materialized(asset) == set(DAYS) for asset in LAYERS),
        RUN_SECONDS,
        "landed files are materialized in every layer",
    )
    return dev


def test_landed_files_become_runs_by_themselves_and_show_in_every_layer(landed: Dev) -> None:
    runs = landed.ask(RUNS)["runsOrError"]["results"]
    ingests = [run for run in runs if run["jobName"] == "events_ingest"]

    assert ingests
    assert all({"key": "dagster/sensor_name", "value": "landing"} in run["tags"] for run in ingests)
    told = command("status", "--json", environment=landed.environment)
    states = {each["dataset"]: each for each in json.loads(told.stdout)["datasets"]}
    state = states["events"]
    assert state["files"] == {"LOADED": len(DAYS)}


def test_a_partition_materialized_by_hand_completes(landed: Dev) -> None:
    by_hand = landed.materialize([("silver", "events"), ("quarantine", "events")], DAYS[0])
    status = ""

    def has_ended() -> bool:
        nonlocal status
        status = landed.ask(RUN_STATUS, {"id": by_hand})["runOrError"]["status"]
        return status in {"SUCCESS", "FAILURE", "CANCELED"}

    wait_for(has_ended, RUN_SECONDS, "the run by hand ends")
    assert status == "SUCCESS"


def test_a_backfill_from_silver_to_serving_over_five_dates_completes(landed: Dev) -> None:
    params = {
        "assetSelection": [{"path": list(asset)} for asset in REFRESHED],
        "partitionNames": list(DAYS),
    }
    launched = landed.ask(BACKFILL, {"params": params})["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    status = ""

    def has_ended() -> bool:
        nonlocal status
        asked = landed.ask(BACKFILL_STATUS, {"id": launched["backfillId"]})
        status = asked["partitionBackfillOrError"]["status"]
        return status not in {"REQUESTED", "CANCELING"}

    wait_for(has_ended, BACKFILL_SECONDS, "the backfill ends")
    assert status == "COMPLETED_SUCCESS"
    backfill = {"key": "dagster/backfill", "value": launched["backfillId"]}
    runs = landed.ask(RUNS)["runsOrError"]["results"]
    assert {run["status"] for run in runs if backfill in run["tags"]} == {"SUCCESS"}
