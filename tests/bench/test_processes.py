"""Processes that the bench starts end with the block, and say why when they do not get ready."""

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from bench.stage.processes import Command, running, wait_for

CHILD = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {sleep!r}], start_new_session=True).wait()
"""
SLEEP = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(600)"


def python(code: str, folder: Path) -> Command:
    return Command((sys.executable, "-c", code), os.environ, folder / "log")


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_what_a_process_started_ends_with_it_though_it_does_not_want_to(tmp_path: Path) -> None:
    command = python(CHILD.format(sleep=SLEEP), tmp_path)
    before = set(children())

    with running(
        command,
        ready=lambda: len(set(children()) - before) == 2,
        seconds=30,
        end=signal.SIGINT,
    ):
        started = set(children()) - before

    wait_for(lambda: not any(each.is_running() for each in started), 30, "all are gone")


def test_one_that_ends_before_it_is_ready_is_quoted(tmp_path: Path) -> None:
    command = python("raise SystemExit('no disk left')", tmp_path)

    with (
        pytest.raises(RuntimeError, match="ended with 1: no disk left"),
        running(command, ready=lambda: False, seconds=30, end=signal.SIGINT),
    ):
        pass


def test_what_never_holds_is_named(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="not within 0 s: the moon is blue"):
        wait_for(tmp_path.is_file, 0, "the moon is blue")
