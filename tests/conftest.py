"""One local AWS for each worker; names of its own for each test."""

import os
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from resources.aws import Aws
from resources.dagster_instance import instance_home, open_instance
from resources.local_aws.control import LocalAwsStatus, down, up
from resources.local_aws.provision import provision
from resources.local_aws.record import RECORD_FILE
from resources.settings import Settings, load_settings

# On a slow machine an example takes as long as it takes. CI tries the same examples every time, so
# that it judges a change by that change; everyone else's runs look for new ones.
hypothesis_settings.register_profile(
    "landfall", deadline=None, derandomize=bool(os.environ.get("CI"))
)
hypothesis_settings.load_profile("landfall")


def free_port() -> int:
    """A port of the loopback that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def new_port() -> Callable[[], int]:
    """Gives a free port with every call."""
    return free_port


@pytest.fixture(scope="session")
def local_aws_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAwsStatus]:
    """The server process of this worker, ended with it."""
    own = Settings.model_construct(
        home=tmp_path_factory.mktemp("local-aws"), local_port=free_port()
    )
    status = up(own)
    yield status
    down(own)


@pytest.fixture(scope="session")
def empty_instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a Dagster instance without runs: making its databases takes a second."""
    own = Settings.model_construct(home=tmp_path_factory.mktemp("empty-instance"))
    with open_instance(own) as instance:
        assert instance.get_runs(limit=1) == []
        assert not instance.event_log_storage.all_asset_keys()
        assert not instance.all_instigator_state()
    return instance_home(own)


@pytest.fixture
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting, profile or instance role of the machine reaches the test."""
    for name in list(os.environ):
        if name.startswith(("LANDFALL_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def local_aws(
    local_aws_server: LocalAwsStatus,
    empty_instance: Path,
    clean_environment: None,  # noqa: ARG001  # must come before the settings below
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> LocalAwsStatus:
    """The worker's server, seen from a home of the test's own.

    The test's home adopts the server by a copy of its record: `up` reuses it, `down` and `reset`
    leave it alone. Settings stand in the environment, so that subprocesses inherit them.
    """
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(local_aws_server.home / RECORD_FILE, home / RECORD_FILE)
    shutil.copytree(empty_instance, home / empty_instance.name)
    suffix = uuid.uuid4().hex[:12]
    names = {
        "HOME": str(home),
        "LOCAL_PORT": str(local_aws_server.port),
        "LANDING_BUCKET": f"landing-{suffix}",
        "LAKE_BUCKET": f"lake-{suffix}",
        "LANDING_QUEUE": f"landing-{suffix}",
        "LANDING_DEAD_LETTER_QUEUE": f"landing-dlq-{suffix}",
        "DEAD_LETTER_QUEUE": f"dead-letters-{suffix}",
        "ALERTS_TOPIC": f"alerts-{suffix}",
        "LEDGER_TABLE": f"ledger-{suffix}",
        "SERVING_PREFIX": f"serving-{suffix}-",
        "BACKOFF_SECONDS": "0.05",
        "LEASE_SECONDS": "2",
    }
    for name, value in names.items():
        monkeypatch.setenv(f"LANDFALL_{name}", value)
    return local_aws_server


@pytest.fixture
def settings(local_aws: LocalAwsStatus) -> Settings:  # noqa: ARG001  # it sets the environment
    """Settings whose names no other test uses."""
    return load_settings()


@pytest.fixture
def aws(settings: Settings) -> Aws:
    """Clients of a provisioned local AWS: empty buckets, queues, ledger and topic."""
    made = Aws(settings)
    provision(made, ())
    return made
