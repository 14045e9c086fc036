"""What keeps one home's local AWS, data and UI from being taken for another's."""

import socket
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from scenario import Pipeline, command, open_pipeline

from pipeline_assets.definitions import build_defs
from pipeline_assets.errors import LocalAwsError
from resources import home_locks
from resources.local_aws import control
from resources.local_aws.control import LocalAwsStatus
from resources.local_aws.record import RECORD_FILE, read_record
from resources.settings import Settings, load_settings

SENSORS = ("landing", "refresh", "reconcile")


@pytest.mark.usefixtures("local_aws")
def test_a_command_refuses_the_local_aws_of_another_home_and_names_it(
    local_aws_server: LocalAwsStatus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    monkeypatch.setenv("LANDFALL_HOME", str(other))

    refused = command("status")

    assert refused.returncode == 1
    assert f"Port {local_aws_server.port} is taken by the local AWS of" in refused.stderr
    assert str(local_aws_server.home) in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (other / RECORD_FILE).exists()


def test_the_port_of_the_homes_own_local_aws_is_named_when_another_one_is_asked(
    local_aws: LocalAwsStatus,
    new_port: Callable[[], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = Settings.model_construct(home=tmp_path / "own", local_port=new_port())
    control.up(own)
    try:
        monkeypatch.setenv("LANDFALL_HOME", str(own.home))
        monkeypatch.setenv("LANDFALL_LOCAL_PORT", str(local_aws.port))
        refused = command("status")
    finally:
        control.down(own)

    assert refused.returncode == 1
    assert f"this home's own is on port {own.local_port}" in refused.stderr


@pytest.mark.usefixtures("local_aws")
def test_reset_is_refused_where_aws_is_a_real_account(settings: Settings) -> None:
    before = sorted(path.name for path in settings.home.iterdir())

    refused = command("reset", "--yes", environment={"LANDFALL_ENV": "aws"})

    assert refused.returncode == 1
    assert "error:" in refused.stderr
    assert sorted(path.name for path in settings.home.iterdir()) == before


def test_reset_is_refused_while_a_ui_of_the_home_runs(settings: Settings) -> None:
    before = sorted(path.name for path in settings.home.iterdir())
    assert home_locks.hold_ui(settings)

    with pytest.raises(LocalAwsError, match="end `landfall dev` first"):
        control.reset(settings)

    assert set(before) <= {path.name for path in settings.home.iterdir()}
    assert read_record(settings.home) is not None


def test_reset_is_refused_while_work_is_done_in_the_home(settings: Settings) -> None:
    with home_locks.working(settings), home_locks.working(settings):
        refused = command("reset", "--yes")

    assert refused.returncode == 1
    assert f"A `landfall work` of {settings.home} runs" in refused.stderr
    assert read_record(settings.home) is not None


def test_a_home_has_one_ui_and_the_second_is_refused_by_name(settings: Settings) -> None:
    assert home_locks.hold_ui(settings)

    refused = command("dev", "--port", str(_free_port()))

    assert refused.returncode == 1
    assert f"A UI of {settings.home} runs already" in refused.stderr


@pytest.mark.usefixtures("settings")
def test_a_port_that_is_taken_is_refused_before_a_ui_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = command("dev", "--port", str(port))

    assert refused.returncode == 1
    assert f"The UI cannot listen on 127.0.0.1:{port}" in refused.stderr
    assert "choose another --port" in refused.stderr


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def unreachable(
    settings: Settings, new_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """The settings of an environment that was provisioned and whose AWS answers no more."""
    with open_pipeline() as pipeline:
        assert isinstance(pipeline, Pipeline)
    monkeypatch.setenv("LANDFALL_LOCAL_PORT", str(new_port()))
    (settings.home / RECORD_FILE).unlink()
    return load_settings()


@pytest.mark.parametrize("name", SENSORS)
@pytest.mark.usefixtures("unreachable")
def test_a_sensor_skips_and_says_so_while_aws_does_not_answer(name: str) -> None:
    definitions = build_defs()
    repository = definitions.get_repository_def()
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(
            instance=instance, repository_def=repository, resources=definitions.resources
        ) as context,
    ):
        told = repository.get_sensor_def(name).evaluate_tick(context)

    assert told.run_requests == []
    assert told.skip_message is not None
    assert told.skip_message.startswith("No answer from AWS at http://127.0.0.1:")
