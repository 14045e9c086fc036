"""Start, stop and forget the local AWS of a home."""

import fcntl
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline_assets.errors import LocalAwsError, PortInUseError
from resources import home_locks
from resources.local_aws.record import (
    DATA_FILE,
    IDENTITY_PATH,
    LOG_FILE,
    RECORD_FILE,
    RECORD_PART,
    SERVER_LOCK_FILE,
    ServerRecord,
    parse_record,
    read_record,
)
from resources.settings import Settings, make_home

HOST = "127.0.0.1"
START_SECONDS = 20.0
STOP_SECONDS = 60.0
ANSWER_SECONDS = 5.0
POLL_SECONDS = 0.05
LOG_LINES = 10
START_LOCK_FILE = "local-aws.starting"
# Below the home; what else lies there belongs to somebody else.
DAGSTER_DIRECTORY = "dagster"
LOCAL_AWS_FILES = (
    DATA_FILE,
    Path(DATA_FILE).with_suffix(".writing").name,
    RECORD_PART,
    LOG_FILE,
)


@dataclass(frozen=True)
class LocalAwsStatus:
    """A local AWS that answers; ``started_at`` is ISO 8601 in UTC."""

    endpoint: str
    port: int
    home: Path
    pid: int
    started_at: str
    reused: bool


def up(settings: Settings) -> LocalAwsStatus:
    """Start the local AWS of this home, or reuse the one that runs.

    Raises:
        PortInUseError: another program, or another home's local AWS, has the port.
        LocalAwsError: it did not answer in time, or it runs on another port.
    """
    home = make_home(settings)
    with _lock(home / START_LOCK_FILE):
        running = _running(settings)
        if running:
            return _status(running, reused=True)
        if _served(home):
            raise _unreachable(settings, read_record(home))
        if _port_taken(settings.local_port):
            raise PortInUseError(settings.local_port, _holder(settings.local_port))
        return _status(_start(settings), reused=False)


def down(settings: Settings) -> bool:
    """Stop the local AWS of this home and wait until its data is written; False if none ran.

    A server that this home only adopted, by a copy of its record, is left alone.

    Raises:
        LocalAwsError: it did not end in time.
    """
    home = _home(settings)
    if not home.is_dir():
        return False
    with _lock(home / START_LOCK_FILE):
        return _stop(home)


def require_own(settings: Settings) -> None:
    """Refuse to work on another home's local AWS, which answers on the same port.

    Raises:
        PortInUseError: naming that home, and the port of this one's if it has one.
    """
    other = None if _running(settings) else _ask(settings.local_port)
    if other is None:
        return
    own = read_record(_home(settings))
    hint = f" (this home's own is on port {own.port})" if own else ""
    raise PortInUseError(settings.local_port, f"the local AWS of {other.home}{hint}")


def reset(settings: Settings) -> bool:
    """Stop the local AWS and forget its data and the Dagster instance; False if there was no home.

    Raises:
        LocalAwsError: it did not end in time, or somebody uses the home; nothing is forgotten.
    """
    home = _home(settings)
    if not home.is_dir():
        return False
    with home_locks.alone(settings), _lock(home / START_LOCK_FILE):
        _stop(home)
        _forget(home)
    return True


def is_up(settings: Settings) -> bool:
    """Whether the local AWS of this home answers on the port of the settings."""
    return _running(settings) is not None


def _stop(home: Path) -> bool:
    if not _served(home):
        return False
    # Nobody starts a server meanwhile, so the record is the one of the server that holds the lock.
    record = read_record(home)
    if record is None or record.home != str(home):
        raise LocalAwsError(
            f"The local AWS of {home} runs, but its record {home / RECORD_FILE} is gone: end the "
            "process that runs `resources.local_aws.server` for this home by its id."
        )
    with suppress(ProcessLookupError):
        os.kill(record.pid, signal.SIGTERM)
    _wait_for_end(home, record)
    return True


def _forget(home: Path) -> None:
    record = read_record(home)
    if record and record.home == str(home):
        (home / RECORD_FILE).unlink(missing_ok=True)
    for name in LOCAL_AWS_FILES:
        (home / name).unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        shutil.rmtree(home / DAGSTER_DIRECTORY)


def _home(settings: Settings) -> Path:
    return settings.home.resolve()


def _status(record: ServerRecord, *, reused: bool) -> LocalAwsStatus:
    return LocalAwsStatus(
        endpoint=f"http://{HOST}:{record.port}",
        port=record.port,
        home=Path(record.home),
        pid=record.pid,
        started_at=record.started_at,
        reused=reused,
    )


def _running(settings: Settings) -> ServerRecord | None:
    """The server on the port, if it says this home, or is the one in this home's record."""
    answered = _ask(settings.local_port)
    home = _home(settings)
    if answered and (answered.home == str(home) or answered == read_record(home)):
        return answered
    return None


def _ask(port: int) -> ServerRecord | None:
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", IDENTITY_PATH)
        return parse_record(connection.getresponse().read())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _port_taken(port: int) -> bool:
    with socket.socket() as probe:
        # As the server binds: a port whose last connections linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _holder(port: int) -> str:
    answered = _ask(port)
    if answered is None:
        return "another program"
    return f"the local AWS of {answered.home} (process {answered.pid})"


def _start(settings: Settings) -> ServerRecord:
    home = _home(settings)
    log = home / LOG_FILE
    with log.open("ab") as output:
        begin = output.tell()
        command = [sys.executable, "-m", "resources.local_aws.server", "--detach"]
        command += ["--port", str(settings.local_port), "--home", str(home)]
        # From the folder of the package, so that no other `resources` is imported.
        started = subprocess.run(  # noqa: S603  # our own module
            command,
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            check=False,
            timeout=START_SECONDS,
        )
    if started.returncode == 0:
        record = _wait_for_answer(settings)
        if record:
            return record
    raise LocalAwsError(
        f"The local AWS did not start on port {settings.local_port}: {_tail(log, begin)} "
        f"(from {log})"
    )


def _unreachable(settings: Settings, record: ServerRecord | None) -> LocalAwsError:
    home, port = _home(settings), settings.local_port
    if record and record.port != port:
        return LocalAwsError(
            f"The local AWS of {home} runs on port {record.port}, not {port}: stop it with "
            f"`landfall down`, or set LANDFALL_LOCAL_PORT={record.port}."
        )
    return LocalAwsError(
        f"The local AWS of {home} runs but did not answer on port {port} within "
        f"{ANSWER_SECONDS:.0f} s: try again, or stop it with `landfall down`."
    )


def _wait_for_answer(settings: Settings) -> ServerRecord | None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and _served(_home(settings)):
        record = _running(settings)
        if record:
            return record
        time.sleep(POLL_SECONDS)
    return None


def _wait_for_end(home: Path, record: ServerRecord) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while _served(home):
        if time.monotonic() > deadline:
            raise LocalAwsError(
                f"The local AWS (process {record.pid}) did not end within {STOP_SECONDS:.0f} s; it "
                f"may still be writing {home / DATA_FILE}: look into {home / LOG_FILE}, and try "
                "`landfall down` again."
            )
        time.sleep(POLL_SECONDS)
    if read_record(home) == record:
        raise LocalAwsError(
            f"The local AWS ended without writing its data: {_tail(home / LOG_FILE, 0)} "
            f"(from {home / LOG_FILE})"
        )


def _served(home: Path) -> bool:
    """Whether a server lives that holds this home."""
    try:
        with (home / SERVER_LOCK_FILE).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _tail(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode(errors="replace").splitlines()
    return " | ".join(lines[-LOG_LINES:]) or "it said nothing"
