"""Runs of `landfall work` side by side, each in a process of its own.

Python's fork server makes them: it has imported the project and executed nothing of it. A process
that dies fails its own run and no other, and none outlives the worker that started it.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Final

import dagster as dg

from pipeline_assets.run_execution import Ending, execute
from resources import home_locks
from resources.aws import Aws
from resources.dagster_instance import open_instance
from resources.ledger.model import RunRequest
from resources.run_launcher.worker import how_ended

PRELOADED: Final = ["pipeline_assets.definitions", "pipeline_assets.run_processes"]
STOPPED: Final = "it was told to stop"
INTERRUPTED_SECONDS: Final = 120.0
"""A run that was told to stop may finish the write it is in."""


@dataclass(frozen=True)
class RunProcess:
    """A process and the run that it executes."""

    request: RunRequest
    run_id: str
    process: ForkServerProcess
    endings: Connection

    @classmethod
    def start(cls, request: RunRequest, run_id: str) -> "RunProcess":
        """Begin the run in a new process."""
        context = _context()
        endings, telling = context.Pipe(duplex=False)
        with closing(telling):
            process = context.Process(target=_run, args=(request, run_id, telling))
            process.start()
        return cls(request, run_id, process, endings)

    def ending(self, instance: dg.DagsterInstance) -> Ending:
        """How the run ended, once it has; that of a process which did not tell fails."""
        with closing(self.endings):
            try:
                ending: Ending = self.endings.recv()
            except (EOFError, OSError):
                self.process.join()
                return self._died(instance)
        self.process.join()
        return ending

    def _died(self, instance: dg.DagsterInstance) -> Ending:
        how = how_ended(self.process.exitcode or 0)
        cause = f"the process of the run ended with {how} before the run did."
        run = instance.get_run_by_id(self.run_id)
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, cause)
        return Ending(success=False, died=True, cause=cause)

    def interrupt(self) -> None:
        """Tell the run to stop, as Ctrl-C does."""
        if self.process.pid is not None and self.process.exitcode is None:
            with suppress(ProcessLookupError):  # it has ended since
                os.kill(self.process.pid, signal.SIGINT)


def side_by_side(
    requests: Iterable[RunRequest],
    begin: Callable[[RunRequest], str | None],
    execute_here: Callable[[RunRequest, str, Exception], Ending],
    instance: dg.DagsterInstance,
    *,
    limit: int,
) -> Generator[tuple[RunRequest, str, Ending]]:
    """Execute runs, as they end. Whoever takes no more closes the generator, which ends the rest.

    Args:
        requests: of whom no two refresh the same date.
        begin: tells the id of a request's run, which is about to begin; ``None`` for no more runs.
        execute_here: does a run in this process, when none could be started for the reason given.
        instance: where the runs are kept.
        limit: runs at once at most.

    Raises:
        KeyboardInterrupt: a signal came; every run has been told and has ended.
    """
    todo = iter(requests)
    running: dict[Connection, RunProcess] = {}
    try:
        while True:
            while len(running) < limit and (request := next(todo, None)) is not None:
                run_id = begin(request)
                if run_id is None:
                    todo = iter(())
                    break
                try:
                    started = RunProcess.start(request, run_id)
                except (EOFError, OSError) as fault:  # the fork server's, or of its socket
                    yield request, run_id, execute_here(request, run_id, fault)
                else:
                    running[started.endings] = started
            if not running:
                return
            for ended in wait(list(running)):
                assert isinstance(ended, Connection)  # noqa: S101 - it waits for nothing else
                each = running.pop(ended)
                yield each.request, each.run_id, each.ending(instance)
    finally:
        _end(running.values())


def _end(processes: Iterable[RunProcess]) -> None:
    """Have what still runs give back what it holds, and end."""
    until = time.monotonic() + INTERRUPTED_SECONDS
    processes = list(processes)
    for each in processes:
        each.interrupt()
    for each in processes:
        each.process.join(max(0.0, until - time.monotonic()))
        each.process.kill()
        each.endings.close()


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _run(request: RunRequest, run_id: str, telling: Connection) -> None:
    """What a process does: one run, of which it tells the ending."""
    from pipeline_assets.definitions import defs  # noqa: PLC0415 - which imports the whole project

    # A terminal's Ctrl-C goes to its whole group; the worker hands it on, once.
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_follow_worker, daemon=True).start()
    settings = Aws().settings
    try:
        with home_locks.working(settings), open_instance(settings) as instance:
            ending = execute(request, run_id, instance, defs)
    except KeyboardInterrupt:  # before Dagster listened for it
        ending = Ending(success=False, interrupted=True, cause=STOPPED)
    with suppress(BrokenPipeError):  # the worker has died
        telling.send(ending)


def _follow_worker() -> None:
    """Stop when the worker has died: what it had begun is taken up by the next one."""
    worker = multiprocessing.parent_process()
    assert worker is not None  # noqa: S101 - it is a child
    worker.join()
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(INTERRUPTED_SECONDS)
    os._exit(1)
