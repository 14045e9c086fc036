"""``dagster dev``, ours or a peer's: started, waited for, and ended with all that it started."""

import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import dagster as dg
import httpx
from dagster._core.scheduler.instigation import SensorInstigatorData

from bench.stage.home import LANDFALL, Home, free_port
from bench.stage.processes import Command, running
from resources.dagster_instance import PROJECT, open_instance

START_SECONDS = 180.0


def bytecode(folder: Path) -> dict[str, str]:
    """Environment variables that let processes keep what they compiled below a folder.

    A user's interpreter does so beside the modules; one that compiles all anew at each start would
    make dear what starts many processes.
    """
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


@contextmanager
def landfall_dev(home: Home) -> Iterator[dg.DagsterInstance]:
    """The home's ``landfall dev``, whose sensors tick; gives its instance."""
    server = Command((LANDFALL, "dev"), home.environment, home.folder / "dev.log")
    with open_instance(home.settings) as instance, ticking(server, instance, sensor="landing"):
        yield instance


def dagster_dev(home: Path, *arguments: str, environment: Mapping[str, str]) -> Command:
    """A ``dagster dev`` on the instance of a folder, which holds its ``dagster.yaml``.

    Args:
        home: becomes ``DAGSTER_HOME``.
        arguments: what says which code it serves.
        environment: what else its runs need.
    """
    command = (sys.executable, "-m", "dagster", "dev", *arguments)
    own = {"DAGSTER_HOME": str(home), "PYTHONPATH": str(PROJECT)}
    return Command(command, {**environment, **own}, home / "dev.log")


@contextmanager
def ticking(server: Command, instance: dg.DagsterInstance, *, sensor: str) -> Iterator[None]:
    """Start a server, wait until its UI answers and a sensor has ticked; end it with the block.

    The instance's tables are made first: two processes that make them at once can fail.

    Raises:
        RuntimeError: it ended before it was ready; with the end of what it printed.
        TimeoutError: it is not ready in time.
    """
    instance.get_runs_count()
    _ticked(instance, sensor)
    port = free_port()
    with running(
        replace(server, arguments=(*server.arguments, "--port", str(port))),
        ready=lambda: _ticked(instance, sensor) and _answers(port),
        seconds=START_SECONDS,
        end=signal.SIGINT,
    ):
        yield


def _ticked(instance: dg.DagsterInstance, sensor: str) -> bool:
    states = [each for each in instance.all_instigator_state() if each.instigator_name == sensor]
    data = [each.instigator_data for each in states]
    return any(isinstance(each, SensorInstigatorData) and each.last_tick_timestamp for each in data)


def _answers(port: int) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/server_info", timeout=5).is_success
    return False
