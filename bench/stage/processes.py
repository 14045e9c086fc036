"""Processes of the bench: started, waited for, and ended with all that they started."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

STOP_SECONDS = 30.0
POLL_SECONDS = 0.1
LOG_BYTES = 4000


@dataclass(frozen=True)
class Command:
    """What is started.

    Attributes:
        arguments: the program and what it is told.
        environment: of the process and of all that it starts.
        log: takes what it prints; its folder is where it starts.
    """

    arguments: Sequence[str | Path]
    environment: Mapping[str, str]
    log: Path

    def printed(self) -> str:
        """The end of what it printed."""
        return self.log.read_text("utf-8", "replace")[-LOG_BYTES:]


@contextmanager
def running(
    command: Command, *, ready: Callable[[], bool], seconds: float, end: signal.Signals
) -> Iterator[None]:
    """Start a process and wait until it is ready; end it with the block, and all that it started.

    Args:
        command: what is started.
        ready: whether it can be used.
        seconds: that it may take until then.
        end: how it is asked to end; it is killed when it does not.

    Raises:
        RuntimeError: it ended before it was ready; with the end of what it printed.
        TimeoutError: it is not ready in time.
    """
    with command.log.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            list(command.arguments),
            cwd=command.log.parent,
            env=dict(command.environment),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def is_ready() -> bool:
        if process.poll() is not None:
            said = command.printed()
            raise RuntimeError(f"{command.arguments} ended with {process.returncode}: {said}")
        return ready()

    try:
        wait_for(is_ready, seconds, f"{command.arguments} is ready")
        yield
    finally:
        _end(process, end)


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


def _end(process: "subprocess.Popen[bytes]", how: signal.Signals) -> None:
    """End a process and all that it started, those in sessions of their own too."""
    started = []
    with suppress(psutil.NoSuchProcess):
        started = psutil.Process(process.pid).children(recursive=True)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, how)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_SECONDS)
    for each in started:
        with suppress(psutil.NoSuchProcess):
            each.kill()
