"""A run server that cannot be reached: whoever asks is told so, and soon."""

import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from resources.run_launcher.server_address import RunServerError, ServerAddress, server_address
from resources.run_launcher.server_client import fork_run
from resources.run_launcher.worker import spawn

WAIT_SECONDS = 60.0


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files; its path leaves room for a socket's."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)
        yield Path(folder)


def test_a_path_that_is_too_long_for_a_socket_is_no_run_server(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = temporary / ("t" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))

    with pytest.raises(RunServerError, match="cannot be reached: AF_UNIX path too long"):
        fork_run(temporary, ["api"])


def test_a_file_in_the_place_of_the_sockets_folder_is_no_run_server(temporary: Path) -> None:
    (temporary / f"landfall-runs-{os.getuid()}").touch()

    with pytest.raises(RunServerError, match=r"cannot be a folder \(File exists\)"):
        fork_run(temporary, ["api"])


def hang(address: ServerAddress, stack: ExitStack) -> None:
    """Be a server that serves nobody and that as many wait for as can."""
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(str(address.socket))
    listener.listen(0)
    with suppress(BlockingIOError):
        while True:
            caller = stack.enter_context(socket.socket(socket.AF_UNIX))
            caller.setblocking(False)
            caller.connect(str(address.socket))


def test_a_server_that_hangs_is_not_waited_for_for_ever(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.run_launcher.server_client.START_SECONDS", 0.2)
    # A second one would end at once, since the first holds the lock.
    second = spawn([sys.executable, "-c", ""])
    monkeypatch.setattr("resources.run_launcher.server_client.start_server", lambda *_: second)
    said: list[str] = []

    def ask() -> None:
        try:
            fork_run(temporary, ["api"])
        except RunServerError as error:
            said.append(str(error))

    with ExitStack() as stack:
        hang(server_address(temporary), stack)
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(WAIT_SECONDS)

    assert said == ["the run server did not listen within 0 s"]
