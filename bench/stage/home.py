"""A pipeline of the bench's own: a home, a local AWS on a free port, and its commands.

The local AWS writes no snapshots of its data while it serves: they stop all calls, and AWS has
nothing of the kind.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.stage.processes import Command, running
from resources.aws import Aws
from resources.dagster_instance import PROJECT
from resources.landfall import Landfall
from resources.local_aws import control
from resources.local_aws.record import LOG_FILE
from resources.settings import Settings

LANDFALL = Path(sys.executable).with_name("landfall")
FOREIGN = ("LANDFALL_", "AWS_", "DAGSTER_")
COMMAND_SECONDS = 1800.0
SERVER = "resources.local_aws.server"
START_SECONDS = 600.0
NO_SNAPSHOTS = ("--snapshot-seconds", str(10**6))


@dataclass(frozen=True)
class Home:
    """Where a pipeline keeps its state, and the environment that leads its commands there."""

    folder: Path
    port: int
    environment: Mapping[str, str]

    @property
    def settings(self) -> Settings:
        """The settings of the pipeline, for this process."""
        return Settings(home=self.folder, local_port=self.port)

    @property
    def endpoint(self) -> str:
        """Address of the local AWS."""
        return f"http://127.0.0.1:{self.port}"

    def command(self, *arguments: str) -> str:
        """What a ``landfall`` command prints.

        Raises:
            RuntimeError: it failed, with what it printed.
        """
        return output([LANDFALL, *arguments], self.environment)

    def landfall(self) -> Landfall:
        """The pipeline's own resources, in this process."""
        opened = Landfall()
        opened.aws = Aws(self.settings)
        return opened


@contextmanager
def open_home(
    folder: Path,
    *,
    server: str = SERVER,
    keep: bool = False,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Home]:
    """A provisioned home with nothing in it; its local AWS ends with the block.

    Args:
        folder: is made.
        server: module that serves as the local AWS.
        keep: whether its data is written in the end.
        settings: further environment variables of its commands.
    """
    folder.mkdir(parents=True)
    end = signal.SIGTERM if keep else signal.SIGKILL
    with local_aws(folder, server, end=end, settings=settings) as home:
        home.command("up")
        yield home


@contextmanager
def local_aws(
    folder: Path,
    server: str,
    *arguments: str,
    end: signal.Signals = signal.SIGKILL,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Home]:
    """A home whose local AWS is a process of a module, with what lies in the folder.

    Args:
        folder: the home.
        server: the module.
        arguments: what it takes besides those of the local AWS.
        end: how it is ended: asked to, it writes its data.
        settings: further environment variables of the home's commands.
    """
    port = free_port()
    environment = plain_environment() | dict(settings or {})
    environment |= {"LANDFALL_HOME": str(folder), "LANDFALL_LOCAL_PORT": str(port)}
    environment |= {"AWS_EC2_METADATA_DISABLED": "true", "PYTHONPATH": str(PROJECT)}
    home = Home(folder, port, environment)
    command = (sys.executable, "-m", server, "--home", str(folder), "--port", str(port))
    with running(
        Command((*command, *NO_SNAPSHOTS, *arguments), environment, folder / LOG_FILE),
        ready=lambda: control.is_up(home.settings),
        seconds=START_SECONDS,
        end=end,
    ):
        yield home


def output(command: list[str | Path], environment: Mapping[str, str]) -> str:
    """What a command prints.

    Raises:
        RuntimeError: it failed, with what it printed.
    """
    done = subprocess.run(  # noqa: S603 - our own command
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
        timeout=COMMAND_SECONDS,
        env=dict(environment),
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def plain_environment() -> dict[str, str]:
    """The caller's environment without what leads a Dagster or an AWS client elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
