"""A person at a terminal who changes their mind: Ctrl-C at a question ends the command at once."""

import os
import pty
import select
import time
from collections.abc import Iterator

import pytest
from scenario import DAYS, LANDFALL, Pipeline, events, json_lines, open_pipeline

SECONDS = 20.0
A = f"events/dt={DAYS[0]}/a.jsonl"

pytestmark = pytest.mark.usefixtures("local_aws")


@pytest.fixture
def loaded() -> Iterator[Pipeline]:
    with open_pipeline() as pipeline:
        pipeline.land(A, json_lines(events(DAYS[0], range(3))))
        pipeline.work()
        yield pipeline


def test_ctrl_c_at_the_question_ends_it_at_once_and_replays_nothing(loaded: Pipeline) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.execv(LANDFALL, [str(LANDFALL), "replay", "--key", A])  # noqa: S606  # our own command
    try:
        asked = read(terminal, "[y/N]: ", SECONDS)
        ended = interrupt(terminal)
    finally:
        os.close(terminal)  # hangs up, which ends a command that still asks
        _, status = os.waitpid(child, 0)

    assert "Replay them? [y/N]: " in asked
    assert "Aborted!" in ended
    assert os.waitstatus_to_exitcode(status) == 1
    assert loaded.file(A).epoch == 1


def interrupt(terminal: int) -> str:
    """Press Ctrl-C until the command has ended; one that comes right before it reads may be lost.

    Under Polars' handler no number of them ends it.
    """
    deadline, found = time.monotonic() + SECONDS, ""
    while "Aborted!" not in found and time.monotonic() < deadline:
        os.write(terminal, b"\x03")
        found += read(terminal, "Aborted!", 1.0)
    return found + read(terminal, None, SECONDS)


def read(terminal: int, until: str | None, seconds: float) -> str:
    """What comes from a terminal up to a text, or up to the end; less if it takes too long."""
    deadline, found = time.monotonic() + seconds, b""
    while until is None or until not in found.decode(errors="replace"):
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            break
        try:
            found += os.read(terminal, 4096)
        except OSError:  # nobody has it open any more
            break
    return found.decode(errors="replace")
