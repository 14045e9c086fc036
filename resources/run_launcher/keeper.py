"""The process that the run server of an instance comes from: ``python -m … --home DIR``.

It imports the libraries and opens the socket. Whatever knows the project is forked from it: the
run server, which imports the project for its runs, and after a change of the project's files a
successor that imports it anew. It ends when the process that started it has ended, once the last
run has.
"""

import argparse
import fcntl
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from resources.run_launcher.preload import preload
from resources.run_launcher.project import Project
from resources.run_launcher.run_server import RunServer, log
from resources.run_launcher.server_address import ServerAddress, server_address

POLL_SECONDS = 0.5
BACKLOG = 64
READY = b"r"


@dataclass
class Keeper:
    """A listening socket, and one run server at a time that answers there.

    Attributes:
        listener: where runs are asked for.
        lock: descriptor of the file whose lock makes it the instance's one keeper.
        parent: process that it ends with.
        project: what a run server imports; ``None`` for nothing but the libraries.
        servers: process ids of the run servers, those with a last run among them.
        stopping: set from a signal handler, so that no more runs are taken.
    """

    listener: socket.socket
    lock: int
    parent: int
    project: Project | None
    servers: set[int] = field(default_factory=set)
    stopping: bool = False

    def keep(self) -> None:
        """Have a run server at the socket until this ends, and wait for the last run then."""
        imports = True
        while not self._is_over():
            # One that could not import leaves it to the runs, until the files change again.
            imports = self._watch(self._fork(imports=imports))
        Path(self.listener.getsockname()).unlink(missing_ok=True)
        self.listener.close()
        os.close(self.lock)
        while self.servers:
            self.servers.discard(os.wait()[0])

    def _is_over(self) -> bool:
        return self.stopping or os.getppid() != self.parent

    def _fork(self, *, imports: bool) -> socket.socket:
        """Fork a run server; the connection to it."""
        ours, its = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._become_server(its, imports=imports)
        self.servers.add(pid)
        its.close()
        return ours

    def _watch(self, connection: socket.socket) -> bool:
        """Wait until a run server leaves the socket, or this ends; whether it was ready before."""
        was_ready = False
        with connection:
            while not self._is_over():
                ready, _, _ = select.select([connection], [], [], POLL_SECONDS)
                self._reap()
                if ready and not connection.recv(1):
                    break
                was_ready = was_ready or bool(ready)
            else:
                return was_ready
        if not was_ready:
            time.sleep(POLL_SECONDS)  # should it ever be for another reason than the project
        return was_ready

    def _reap(self) -> None:
        for pid in list(self.servers):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self.servers.discard(pid)

    def _become_server(self, connection: socket.socket, *, imports: bool) -> None:
        """Go on as a forked run server. Does not return."""
        try:
            project = self.project
            files = project.files() if project else frozenset()
            if project is None or not imports or _is_loaded(project):
                connection.send(READY)
                RunServer(
                    self.listener,
                    self.lock,
                    connection,
                    lambda: project is None or project.files() == files,
                ).serve()
        except BaseException:  # noqa: BLE001 - nothing of a child may get into the keeper's loop
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)


def _is_loaded(project: Project) -> bool:
    """Import the project; if that fails, say why."""
    try:
        project.load()
    except Exception:  # noqa: BLE001 - it is the project's code
        log().warning("the project is left to its runs to import", exc_info=True)
        return False
    return True


def _open(address: ServerAddress) -> tuple[socket.socket, int] | None:
    """Socket and lock of an address; ``None`` where another keeper holds its lock."""
    lock = os.open(address.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    address.socket.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address.socket))
    listener.listen(BACKLOG)
    return listener, lock


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep a run server until the parent has ended; 0 also when another keeper does already."""
    parser = argparse.ArgumentParser(prog="resources.run_launcher.keeper", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="the Dagster home")
    parser.add_argument("--parent", type=int, required=True, help="process that it ends with")
    parser.add_argument("--module", help="what a run imports first of the project")
    parser.add_argument("--package", action="append", default=[], help="one of the project's")
    parser.add_argument("--prepare", help="a function of the project, called after the import")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    preload()
    opened = _open(server_address(options.home))
    if opened:
        project = Project(options.module, tuple(options.package), options.prepare)
        keeper = Keeper(*opened, options.parent, project if options.module else None)

        def stop(_number: int, _frame: FrameType | None) -> None:
            keeper.stopping = True

        signal.signal(signal.SIGTERM, stop)
        keeper.keep()
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # without clean-up, in which DuckDB complains of what is kept for good
