"""A pipeline of the bench's own: a home, a local AWS on a free port, and its commands."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from resources.aws import Aws
from resources.landfall import Landfall
from resources.settings import Settings

LANDFALL = Path(sys.executable).with_name("landfall")
FOREIGN = ("LANDFALL_", "AWS_", "DAGSTER_")
COMMAND_SECONDS = 1800.0


@dataclass(frozen=True)
class Home:
    """Where a pipeline keeps its state, and the environment that leads its commands there."""

    folder: Path
    port: int
    environment: Mapping[str, str]

    @property
    def endpoint(self) -> str:
        """Address of the local AWS."""
        return f"http://127.0.0.1:{self.port}"

    def command(self, *arguments: str) -> str:
        """What a ``landfall`` command prints.

        Raises:
            RuntimeError: it failed, with what it printed.
        """
        done = subprocess.run(  # noqa: S603 - our own command
            [LANDFALL, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
            env=dict(self.environment),
        )
        if done.returncode:
            raise RuntimeError(f"landfall {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def landfall(self) -> Landfall:
        """The pipeline's own resources, in this process."""
        opened = Landfall()
        opened.aws = Aws(Settings(home=self.folder, local_port=self.port))
        return opened


@contextmanager
def open_home(folder: Path, **settings: str) -> Iterator[Home]:
    """A provisioned home with nothing in it; its local AWS ends with the block.

    Args:
        folder: is made.
        settings: further environment variables of its commands.
    """
    environment = {name: value for name, value in os.environ.items() if not _is_foreign(name)}
    port = free_port()
    environment |= {"LANDFALL_HOME": str(folder), "LANDFALL_LOCAL_PORT": str(port)}
    environment["AWS_EC2_METADATA_DISABLED"] = "true"
    home = Home(folder, port, environment | settings)
    home.command("up")
    try:
        yield home
    finally:
        home.command("down")


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_foreign(name: str) -> bool:
    """Whether a variable of the caller would lead a command elsewhere; the bench's own are not."""
    return name.startswith(FOREIGN)
