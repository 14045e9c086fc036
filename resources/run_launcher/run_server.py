"""What forks runs: it imports, executes nothing of what it imported, and forks when it is asked to.

It answers at the socket that its keeper opened. A run whose process dies without having ended it
is reported by another fork. When the project's files change it leaves the socket to a successor,
and ends once its last run has.
"""

import json
import logging
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from resources.run_launcher.worker import Worker, how_ended

REQUEST_SECONDS = 5.0
INTERRUPTED = 128 + signal.SIGINT
"""Exit code of a run that was told to stop before Dagster listened for that."""


@dataclass
class RunServer:
    """Takes requests for runs, and looks after the processes that it forked for them.

    Attributes:
        listener: where runs are asked for; ``None`` once it takes no more.
        lock: descriptor of the file whose lock makes the keeper the instance's one.
        keeper: connection to the keeper, which ends when either of the two leaves it.
        is_current: whether what was imported is the code as it is now.
        workers: the command of each run's process, by process id.
        undertakers: processes that report a dead run.
        stopping: set from a signal handler, so that no more runs are taken.
    """

    listener: socket.socket | None
    lock: int
    keeper: socket.socket
    is_current: Callable[[], bool]
    workers: dict[int, Sequence[str]] = field(default_factory=dict)
    undertakers: set[int] = field(default_factory=set)
    stopping: bool = False
    _wakeup: tuple[int, int] = field(default_factory=os.pipe)

    def serve(self) -> None:
        """Fork on demand; once there is no more to take, until the last process has ended."""
        reading, _ = self._wakeup
        self._heed_signals()
        while self.listener or self.workers or self.undertakers:
            if self.stopping:
                self._close()
            waiting: list[int | socket.socket] = [reading]
            waiting += [self.keeper, self.listener] if self.listener else []
            ready, _, _ = select.select(waiting, [], [])
            if reading in ready:
                os.read(reading, 4096)
            self._reap()
            if self.keeper in ready:
                self._close()
            elif self.listener and self.listener in ready:
                if self.is_current():
                    self._answer(self.listener)
                else:
                    self._leave()  # what asks is answered by the successor

    def _heed_signals(self) -> None:
        def stop(_number: int, _frame: FrameType | None) -> None:
            self.stopping = True

        for descriptor in self._wakeup:
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def _close(self) -> None:
        """Take no more runs but those asked for by now; from then on another keeper may."""
        if self.listener:
            Path(self.listener.getsockname()).unlink(missing_ok=True)
            self.listener.setblocking(False)
            while self.is_current() and self._answer(self.listener):
                pass
            self._leave()

    def _leave(self) -> None:
        """Take no more runs: the keeper, if there is one, goes on without."""
        if self.listener:
            self.listener.close()
            os.close(self.lock)
            self.keeper.close()
            self.listener = None

    def _answer(self, listener: socket.socket) -> bool:
        """Whether anybody waited."""
        try:
            connection, _ = listener.accept()
        except OSError:  # it has gone again
            return False
        with connection:
            connection.settimeout(REQUEST_SECONDS)
            try:
                with connection.makefile("rb") as requests:
                    request = json.loads(requests.readline())
                command = [str(part) for part in request["command"]]
                connection.sendall(json.dumps(self._start(command, connection)).encode() + b"\n")
            except (OSError, ValueError, TypeError, KeyError) as error:
                log().warning("a request was not answered: %r", error)
        return True

    def _start(self, command: Sequence[str], connection: socket.socket) -> dict[str, object]:
        try:
            pid = os.fork()
        except OSError as error:  # too many processes, too little memory
            return {"fault": f"it could not fork: {error}"}
        if pid == 0:
            connection.close()
            self._become(lambda: _execute(command))
        self.workers[pid] = command
        worker = Worker.of(pid)  # it is there until it is waited for, which is not now
        return {"host": worker.host, "pid": worker.pid, "created": worker.created}

    def _become(self, execute: Callable[[], int]) -> None:
        """Go on as a forked child: nothing of the server stays with it. Does not return."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            # A child that kept the lock would hold it for as long as it lives.
            self._leave()
            for descriptor in self._wakeup:
                os.close(descriptor)
            code = execute()
        except KeyboardInterrupt:
            code = INTERRUPTED
        except BaseException:  # noqa: BLE001 - nothing of a child may get into the server's loop
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        """Wait for whatever has ended; a run whose process failed is looked at."""
        while self.workers or self.undertakers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self.undertakers.discard(pid)
            command, code = self.workers.pop(pid, None), os.waitstatus_to_exitcode(status)
            if command is not None and code:
                self._send_undertaker(command, code)

    def _send_undertaker(self, command: Sequence[str], code: int) -> None:
        try:
            pid = os.fork()
        except OSError as error:  # run monitoring finds the run instead
            log().warning("a dead run was not reported: %s", error)
            return
        if pid == 0:
            self._become(lambda: _report_dead(command, code))
        self.undertakers.add(pid)


def log() -> logging.Logger:
    """A logger of the server's own: runs inherit whatever the root logger is given."""
    log = logging.getLogger("landfall.run_server")
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s run server: %(message)s"))
        log.addHandler(handler)
        log.propagate = False
    return log


def _execute(command: Sequence[str]) -> int:
    """Dagster's command line, as ``python -m dagster`` runs it."""
    from dagster._cli import main as dagster  # noqa: PLC0415 - imported before the fork

    sys.argv = ["dagster", *command]
    try:
        dagster()  # type: ignore[no-untyped-call]
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def _report_dead(command: Sequence[str], code: int) -> int:
    """Fail the run of a process that ended without ending it, or cancel it if it was told to."""
    from dagster import DagsterInstance, DagsterRunStatus  # noqa: PLC0415 - as in `_execute`
    from dagster._grpc.types import ExecuteRunArgs  # noqa: PLC0415
    from dagster._serdes import deserialize_value  # noqa: PLC0415

    arguments = deserialize_value(command[-1], ExecuteRunArgs)
    assert arguments.instance_ref is not None  # noqa: S101 - the launcher gives it
    with DagsterInstance.from_ref(arguments.instance_ref) as instance:
        run = instance.get_run_by_id(arguments.run_id)
        if run is None or run.is_finished:
            return 0
        message = f"The process of the run ended with {how_ended(code)} before the run did."
        if run.status is DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message)
        else:
            instance.report_run_failed(run, message)
    return 0
