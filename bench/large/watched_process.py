"""A command's time and the most memory that it and its children ever had.

Of each process the kernel's own high-water mark is read again and again (``VmHWM`` in
``/proc/PID/status``): a short peak between two looks still shows at the next one, where sums of
momentary sizes would miss it. ``ru_maxrss`` of ``wait4`` is no use here, for it starts at the size
of whoever started the process.
"""

import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

LOOK_SECONDS: Final = 0.2
"""A look takes milliseconds, of a processor that the command may want."""
KIBIBYTE: Final = 1024


@dataclass(frozen=True)
class Watched:
    """What a command took.

    Attributes:
        seconds: from its start to its end.
        peak_bytes: resident memory of its processes at their highest, added up over those that ran
            at the same time. What a forked process shares with its parent counts twice.
        largest_bytes: the most that any one of them had.
    """

    seconds: float
    peak_bytes: int
    largest_bytes: int


class MemoryExceededError(RuntimeError):
    """A command had more memory than it was given, and was ended."""

    def __init__(self, command: Sequence[str], peak: int, limit: int) -> None:
        super().__init__(
            f"{' '.join(command)} had {peak / 1024**3:.2f} GiB and was ended: this machine can "
            f"spare {limit / 1024**3:.2f} GiB for it. Measure less."
        )


def watch(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    timeout: float,
    limit_bytes: int,
) -> Watched:
    """Run a command to its end.

    Args:
        command: program and arguments.
        environment: the process's whole environment.
        timeout: seconds it may take.
        limit_bytes: of memory; past it the command is ended, before it starves the machine.

    Raises:
        RuntimeError: it failed, with the end of what it printed.
        MemoryExceededError: it outgrew the limit.
        subprocess.TimeoutExpired: it took too long.
    """
    begin = time.monotonic()
    with subprocess.Popen(  # noqa: S603 - our own command
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(environment),
    ) as process:
        try:
            peak, largest, printed = _until_end(process, begin + timeout, limit_bytes)
        finally:
            _end(process)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {printed[-2000:]}")
    return Watched(time.monotonic() - begin, peak, largest)


def _until_end(
    process: "subprocess.Popen[str]", deadline: float, limit_bytes: int
) -> tuple[int, int, str]:
    """Peak of all and of the largest in bytes, and what the process printed."""
    peak = largest = 0
    while True:
        marks = _high_water(process.pid)
        peak, largest = max(peak, sum(marks)), max(largest, *marks, 0)
        if peak > limit_bytes:
            raise MemoryExceededError([str(each) for each in process.args], peak, limit_bytes)  # type: ignore[union-attr]  # always a list here
        try:
            printed, _ = process.communicate(timeout=LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise
        else:
            return peak, largest, printed


def _high_water(pid: int) -> list[int]:
    """Highest resident bytes of a process and of each of its living descendants."""
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        return [_high_water_of(each.pid) for each in (root, *root.children(recursive=True))]
    return []


def _high_water_of(pid: int) -> int:
    """Of one process; 0 once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * KIBIBYTE
    return 0


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.kill()
