"""The command line as a process: answers, exit codes, sentences instead of tracebacks."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from scenario import DAYS, Pipeline, command, events, json_lines, open_pipeline

from pipeline_assets import definitions
from pipeline_assets.cli import main
from resources.aws import Aws
from resources.local_aws.control import LocalAwsStatus, down, up
from resources.settings import Settings

FIRST = DAYS[0]
USAGE_ERROR = 2

pytestmark = pytest.mark.usefixtures("local_aws")


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    with open_pipeline() as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "web.jsonl"
    path.write_bytes(json_lines(events(FIRST, range(5))))
    return path


def said(ended: subprocess.CompletedProcess[str]) -> str:
    """All that a command printed, which must never be a traceback."""
    text = ended.stdout + ended.stderr
    assert "Traceback" not in text, text
    return text


WRONG = {
    "wrong": ["wrong"],
    "PATHS": ["land"],
    "no/such/file.csv": ["land", "no/such/file.csv", "--dataset", "events"],
    "--dataset": ["land", __file__],
    "soon": ["work", "--timeout", "soon"],
    "-1": ["work", "--timeout", "-1"],
    "KEY": ["explain"],
}


def test_wrong_arguments_are_named_and_exit_with_two() -> None:
    ended = {names: CliRunner().invoke(main, arguments) for names, arguments in WRONG.items()}

    for names, result in ended.items():
        assert (result.exit_code, names in result.output) == (USAGE_ERROR, True), result.output
    process = command("wrong")
    assert (process.returncode, "wrong" in said(process)) == (USAGE_ERROR, True)


def test_every_command_has_help() -> None:
    assert {"up", "down", "reset", "land", "work", "dev", "status", "explain"} <= set(main.commands)
    for name in main.commands:
        helped = CliRunner().invoke(main, [name, "--help"])
        assert helped.exit_code == 0
        assert helped.output.startswith(f"Usage: main {name}")
    process = command("--help")
    assert process.returncode == 0
    assert all(name in said(process) for name in main.commands)


@pytest.mark.parametrize("arguments", [["status"], ["work", "--until-idle"], ["explain", "a/b"]])
def test_without_a_local_aws_each_command_says_how_to_start_it(
    arguments: list[str], new_port: Callable[[], int]
) -> None:
    ended = command(*arguments, environment={"LANDFALL_LOCAL_PORT": str(new_port())})

    assert ended.returncode == 1
    assert "landfall up" in said(ended)


def test_a_setting_that_is_not_usable_is_named() -> None:
    ended = command("status", environment={"LANDFALL_LOCAL_PORT": "many"})

    assert ended.returncode == 1
    assert "LANDFALL_LOCAL_PORT" in said(ended)


def test_what_is_missing_is_named_and_the_mend_is_said(
    pipeline: Pipeline, file: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    refused = {
        str(empty): command("land", str(empty), "--dataset", "events"),
        "--key": command("land", str(file), str(file), "--dataset", "events", "--key", "a.csv"),
        "events/none.csv": command("explain", "events/none.csv"),
    }

    assert {name: ended.returncode for name, ended in refused.items()} == dict.fromkeys(refused, 1)
    for name, ended in refused.items():
        assert name in said(ended)
    assert not list(pipeline.landfall.ledger.files.all())


def events_of(status: dict[str, Any]) -> dict[str, Any]:
    """What `landfall status --json` says of the dataset events."""
    (found,) = [each for each in status["datasets"] if each["dataset"] == "events"]
    return dict(found)


def test_a_file_goes_from_land_to_explain_and_every_json_answer_parses(file: Path) -> None:
    key = f"events/dt={FIRST}/web.jsonl"
    started = json.loads(command("up", "--json").stdout)
    assert started["reused"]
    landed = json.loads(
        command(
            "land", str(file), "--dataset", "events", "--key", f"dt={FIRST}/web.jsonl", "--json"
        ).stdout
    )
    assert (landed["files"], landed["keys"]) == (1, [key])

    worked = command("work", "--until-idle", "--json")
    assert worked.returncode == 0, said(worked)
    report = json.loads(worked.stdout)
    assert (report["runs"], report["failed_runs"], report["timed_out"]) == (1, [], False)

    state = json.loads(command("status", "--json").stdout)
    assert events_of(state)["files"] == {"LOADED": 1}
    assert not state["needs_a_person"]
    story = json.loads(command("explain", key, "--json").stdout)
    assert (story["state"], story["head"]["records"]) == ("LOADED", 5)
    told = command("explain", f"s3://{landed_bucket(story)}/{key}")
    assert told.returncode == 0, said(told)
    assert story["fragments"][0]["fragment_key"] in told.stdout


def landed_bucket(story: dict[str, dict[str, str]]) -> str:
    return story["head"]["bucket"]


def test_work_that_runs_out_of_time_says_what_is_left_and_exits_with_one(
    pipeline: Pipeline,
) -> None:
    pipeline.land(f"events/dt={FIRST}/web.jsonl", json_lines(events(FIRST, range(5))))

    ended = command("work", "--until-idle", "--timeout", "0")

    assert ended.returncode == 1
    assert "1 file" in said(ended)


def test_a_file_below_no_dataset_is_dead_with_its_reason_and_work_exits_with_one(
    pipeline: Pipeline,
) -> None:
    pipeline.land("strays/a.csv", b"a,b\n1,2\n")

    ended = command("work", "--until-idle")

    assert ended.returncode == 1
    assert "strays/a.csv" in said(ended)
    assert "no dataset" in said(command("explain", "strays/a.csv"))


@pytest.fixture
def other_server(tmp_path: Path, new_port: Callable[[], int]) -> Iterator[LocalAwsStatus]:
    own = Settings.model_construct(home=tmp_path / "elsewhere", local_port=new_port())
    yield up(own)
    down(own)


def test_another_endpoint_is_used_by_environment_alone(
    other_server: LocalAwsStatus, file: Path, local_aws: LocalAwsStatus
) -> None:
    elsewhere = {
        "AWS_ENDPOINT_URL": other_server.endpoint,
        "AWS_ACCESS_KEY_ID": "elsewhere",
        "AWS_SECRET_ACCESS_KEY": "elsewhere",
        "AWS_REGION": "eu-central-1",
    }
    started = command("up", environment=elsewhere)
    assert other_server.endpoint in said(started)
    for arguments in (["land", str(file), "--dataset", "events"], ["work", "--until-idle"]):
        ended = command(*arguments, environment=elsewhere)
        assert ended.returncode == 0, said(ended)
    state = events_of(json.loads(command("status", "--json", environment=elsewhere).stdout))
    assert state["files"] == {"LOADED": 1}

    here = Aws()
    assert here.s3.meta.endpoint_url == local_aws.endpoint
    names = here.settings
    assert not {names.landing_bucket, names.lake_bucket} & {
        bucket["Name"] for bucket in here.s3.list_buckets()["Buckets"]
    }
    pages = here.dynamodb.get_paginator("list_tables").paginate()
    assert names.ledger_table not in {name for page in pages for name in page["TableNames"]}


def test_down_leaves_an_adopted_server_alone_and_says_that_none_ran(
    local_aws: LocalAwsStatus,
) -> None:
    ended = command("down")

    assert ended.returncode == 0
    assert "No local AWS ran here" in said(ended)
    assert up(Aws().settings).pid == local_aws.pid


@dg.io_manager
def out_of_order(_: dg.InitResourceContext) -> dg.IOManager:
    raise OSError("the lake's IO manager does not start")


def test_a_run_that_ends_before_it_begins_is_not_started_again_and_again(
    pipeline: Pipeline,
) -> None:
    resources = {**(pipeline.definitions.resources or {}), "lake": out_of_order}
    faulty = replace(pipeline, definitions=definitions.build_defs(resources))
    faulty.land(f"events/dt={FIRST}/a.jsonl", json_lines(events(FIRST, range(5))))

    report = faulty.worker().work(until_idle=True, timeout=10)

    assert report.timed_out
    assert (report.runs, len(report.failed_runs)) == (1, 1)
