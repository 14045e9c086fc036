"""``dagster dev``, ours or a peer's: started, waited for, and ended with all that it started."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import httpx
import psutil
from dagster._core.scheduler.instigation import SensorInstigatorData

from bench.home import FOREIGN, LANDFALL, Home, free_port
from resources.dagster_instance import PROJECT, open_instance
from resources.settings import Settings

START_SECONDS = 180.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.1
LOG_BYTES = 4000


@dataclass(frozen=True)
class Server:
    """What is started, without its port.

    Attributes:
        command: program and arguments.
        environment: of the process and of the runs that it starts.
        log: takes what it prints; its folder is where it starts.
    """

    command: Sequence[str | Path]
    environment: Mapping[str, str]
    log: Path


def bytecode(folder: Path) -> dict[str, str]:
    """Environment variables that let processes keep what they compiled below a folder.

    A user's interpreter does so beside the modules; one that compiles all anew at each start would
    make dear what starts many processes.
    """
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def plain_environment() -> dict[str, str]:
    """The caller's environment without what leads a Dagster or an AWS client elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


@contextmanager
def landfall_dev(home: Home) -> Iterator[dg.DagsterInstance]:
    """The home's ``landfall dev``, whose sensors tick; gives its instance."""
    server = Server((LANDFALL, "dev"), home.environment, home.folder / "dev.log")
    settings = Settings(home=home.folder, local_port=home.port)
    with open_instance(settings) as instance, running(server, instance, sensor="landing"):
        yield instance


def dagster_dev(home: Path, *arguments: str, environment: Mapping[str, str]) -> Server:
    """A ``dagster dev`` on the instance of a folder, which holds its ``dagster.yaml``.

    Args:
        home: becomes ``DAGSTER_HOME``.
        arguments: what says which code it serves.
        environment: what else its runs need.
    """
    command = (sys.executable, "-m", "dagster", "dev", *arguments)
    own = {"DAGSTER_HOME": str(home), "PYTHONPATH": str(PROJECT)}
    return Server(command, {**environment, **own}, home / "dev.log")


@contextmanager
def running(server: Server, instance: dg.DagsterInstance, *, sensor: str) -> Iterator[None]:
    """Start a server, wait until its UI answers and a sensor has ticked; end it with the block.

    The instance's tables are made first: two processes that make them at once can fail.

    Raises:
        RuntimeError: it ended before it was ready; with the end of what it printed.
        TimeoutError: it is not ready in time.
    """
    instance.get_runs_count()
    _ticked(instance, sensor)
    port = free_port()
    with server.log.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*server.command, "--port", str(port)],
            cwd=server.log.parent,
            env=dict(server.environment),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(lambda: _is_ready(process, server, instance, sensor, port), START_SECONDS, sensor)
        yield
    finally:
        _end(process)


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Ask often until a condition holds.

    Raises:
        TimeoutError: it does not in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(POLL_SECONDS)


def _is_ready(
    process: "subprocess.Popen[bytes]",
    server: Server,
    instance: dg.DagsterInstance,
    sensor: str,
    port: int,
) -> bool:
    if process.poll() is not None:
        printed = server.log.read_text("utf-8", "replace")[-LOG_BYTES:]
        raise RuntimeError(f"{server.command} ended with {process.returncode}: {printed}")
    return _ticked(instance, sensor) and _answers(port)


def _ticked(instance: dg.DagsterInstance, sensor: str) -> bool:
    states = [each for each in instance.all_instigator_state() if each.instigator_name == sensor]
    data = [each.instigator_data for each in states]
    return any(isinstance(each, SensorInstigatorData) and each.last_tick_timestamp for each in data)


def _answers(port: int) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/server_info", timeout=5).is_success
    return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all that it started, those in sessions of their own too."""
    started = []
    with suppress(psutil.NoSuchProcess):
        started = psutil.Process(process.pid).children(recursive=True)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_SECONDS)
    for each in started:
        with suppress(psutil.NoSuchProcess):
            each.kill()
