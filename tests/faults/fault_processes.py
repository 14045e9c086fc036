"""Processes of a trial: forked by a nursery, or started as anybody would start them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

from resources.local_aws.server import MOTO_SETTINGS

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
LANDFALL = Path(sys.executable).with_name("landfall")
HOOKED_PATH = f"{HERE / 'hook'}:{HERE}"
READY_SECONDS = 60.0
POLL_SECONDS = 0.01


class HarnessError(Exception):
    """The harness itself does not work: no verdict on the product."""


@dataclass
class Process:
    """A process of a trial; ``code`` is its exit code, minus the signal that killed it."""

    pid: int
    output: Path
    ended: threading.Event = field(default_factory=threading.Event)
    code: int | None = None
    cpu: float = 0.0
    """Seconds of processor time, known once it has ended, of a fork only."""

    def wait(self, seconds: float) -> int | None:
        """The exit code; ``None`` if it has not ended in so many seconds."""
        self.ended.wait(seconds)
        return self.code

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing if it has ended."""
        if not self.ended.is_set():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it and wait for its end."""
        self.send(signal.SIGKILL)
        if self.wait(READY_SECONDS) is None:
            raise HarnessError(f"process {self.pid} did not end when it was killed")

    def is_stopped(self) -> bool:
        """Whether SIGSTOP holds it."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except FileNotFoundError:
            return False
        return stat.rpartition(")")[2].split()[0] == "T"


class Nursery:
    """The client's side of ``fault_nursery``; safe to share between threads."""

    def __init__(self, kind: str, *, path: str) -> None:
        environment = plain_environment() | MOTO_SETTINGS | {"PYTHONPATH": path}
        self._kind = kind
        self._nursery = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, str(HERE / "fault_nursery.py"), kind],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._lock = threading.Lock()
        self._born: dict[int, Queue[int]] = {}
        self._living: dict[int, Process] = {}
        self._ends: dict[int, dict[str, Any]] = {}
        self._count = 0
        self._ready = threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        if not self._ready.wait(READY_SECONDS):
            raise HarnessError(f"the {kind} nursery did not start")

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], output: Path
    ) -> Process:
        """Fork a child that runs the nursery's entry point with these arguments."""
        with self._lock:
            self._count += 1
            number = self._count
            born = self._born[number] = Queue()
        order = {
            "number": number,
            "arguments": list(arguments),
            "environment": dict(environment),
            "output": str(output),
        }
        self._write(json.dumps(order).encode() + b"\n")
        process = Process(born.get(timeout=READY_SECONDS), output)
        with self._lock:
            self._living[number] = process
            if number in self._ends:
                self._finish(number, self._ends.pop(number))
        return process

    def _write(self, line: bytes) -> None:
        assert self._nursery.stdin is not None
        try:
            with self._lock:
                self._nursery.stdin.write(line)
                self._nursery.stdin.flush()
        except BrokenPipeError:
            code = self._nursery.wait(READY_SECONDS)
            raise HarnessError(f"the {self._kind} nursery ended by itself, with {code}") from None

    def _listen(self) -> None:
        assert self._nursery.stdout is not None
        for line in self._nursery.stdout:
            self._hear(json.loads(line))

    def _hear(self, fact: dict[str, Any]) -> None:
        if "ready" in fact:
            self._ready.set()
        elif "pid" in fact:
            self._born.pop(fact["number"]).put(fact["pid"])
        else:
            with self._lock:
                if fact["number"] in self._living:
                    self._finish(fact["number"], fact)
                else:
                    self._ends[fact["number"]] = fact

    def _finish(self, number: int, end: dict[str, Any]) -> None:
        process = self._living.pop(number)
        process.code, process.cpu = end["code"], end["cpu"]
        process.ended.set()

    def close(self) -> None:
        """End the nursery, and with it every child that still lives."""
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.close()
        self._nursery.wait(READY_SECONDS)
        self._listener.join(READY_SECONDS)
        self._nursery.stdout.close()


def plain_environment() -> dict[str, str]:
    """This process's environment without any setting of AWS, Dagster or Landfall."""
    ours = ("LANDFALL_", "AWS_", "DAGSTER_", "PYTEST_", "FAULT_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def start_landfall(
    arguments: Sequence[str], environment: Mapping[str, str], output: Path
) -> Process:
    """Start the command `landfall` itself, hooked the same way."""
    with output.open("ab") as file:
        started = subprocess.Popen(  # noqa: S603 - our own command
            [LANDFALL, *arguments],
            env={**environment, "PYTHONPATH": HOOKED_PATH},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    process = Process(started.pid, output)

    def reap() -> None:
        process.code = started.wait()
        process.ended.set()

    threading.Thread(target=reap, daemon=True).start()
    return process


def await_until(done: Callable[[], bool], seconds: float) -> bool:
    """Poll until it is so; false if it is not in so many seconds."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
