"""How a process starts the run server of its instance, and asks it for a run."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from resources.run_launcher.project import Project
from resources.run_launcher.server_address import (
    RunServerError,
    RunServerSilentError,
    ServerAddress,
    server_address,
)
from resources.run_launcher.worker import Worker, spawn

START_SECONDS = 60.0
ANSWER_SECONDS = 30.0
POLL_SECONDS = 0.02


def start_server(
    home: Path, project: Project | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Begin to start the server of a Dagster home; it ends with this process.

    One that finds another already serving ends by itself.

    Args:
        home: the Dagster home.
        project: what it imports besides the libraries.
        environment: that of its runs, unless it is this process's own.
    """
    command = [sys.executable, "-m", "resources.run_launcher.keeper"]
    command += ["--home", str(home), "--parent", str(os.getpid())]
    if project:
        command += ["--module", project.module]
        command += [f"--package={package}" for package in project.packages]
        command += ["--prepare", project.prepare] if project.prepare else []
    return spawn(command, environment)


def fork_run(home: Path, command: Sequence[str], project: Project | None = None) -> Worker:
    """Have the server, which is started if there is none, fork a process for a run.

    Args:
        home: the Dagster home whose server is asked.
        command: what ``python -m dagster`` would be given.
        project: what a server that is started imports besides the libraries.

    Raises:
        RunServerError: there is no server and none could be started, or it could not fork.
        RunServerSilentError: it was asked and did not answer, so there may be a process or none.
    """
    request = json.dumps({"command": list(command)}).encode() + b"\n"
    answer = json.loads(_ask(home, project, request))
    if "fault" in answer:
        raise RunServerError(str(answer["fault"]))
    worker = Worker.parse(json.dumps(answer))
    if worker is None:
        raise RunServerSilentError(f"the run server answered {answer!r}")
    return worker


def _ask(home: Path, project: Project | None, request: bytes) -> bytes:
    address = server_address(home)
    with _connected(address, home, project) as connection:
        try:
            connection.sendall(request)
            with connection.makefile("rb") as answers:
                answer = answers.readline()
        except OSError as error:
            raise RunServerSilentError(f"the run server did not answer ({error})") from error
    if not answer:
        raise RunServerSilentError("the run server ended before it answered")
    return answer


def _connected(address: ServerAddress, home: Path, project: Project | None) -> socket.socket:
    """A connection to the server, which is started when nobody listens.

    Raises:
        RunServerError: there is none.
    """
    deadline = time.monotonic() + START_SECONDS
    started: subprocess.Popen[bytes] | None = None
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(ANSWER_SECONDS)  # else a server that hangs is waited for for ever
        try:
            connection.connect(str(address.socket))
        except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
            connection.close()
        except OSError as error:  # such as a path that is too long: nothing has been asked yet
            connection.close()
            raise RunServerError(f"{address.socket} cannot be reached: {error}") from error
        else:
            return connection
        if started is None:
            started = start_server(home, project)
        elif started.poll():
            raise RunServerError(f"the run server ended with exit code {started.returncode}")
        elif started.returncode is not None:  # another served, which has ended since
            started = start_server(home, project)
        if time.monotonic() > deadline:
            raise RunServerError(f"the run server did not listen within {START_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)
