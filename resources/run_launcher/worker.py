"""The process of a run: how a run remembers it, and how another process finds it again."""

import json
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import psutil

TAG = "landfall/worker"
"""Tag of a run that tells its process."""
TOLERANCE_SECONDS = 2.0
"""A process began when it was said to, give or take this: the system counts in parts of a second,
and psutil reads the boot time for each of the two times that are held against each other."""

_children: list[subprocess.Popen[bytes]] = []
"""What this process started and has not seen end."""


def spawn(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process that nobody waits for; once it has ended, the next call lets go of it."""
    _children[:] = [child for child in _children if child.poll() is None]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment)  # noqa: S603 - ours
    _children.append(child)
    return child


@dataclass(frozen=True)
class Worker:
    """A process: its id may be given to another later, its beginning cannot.

    Attributes:
        host: name of the machine that it runs on.
        pid: its process id.
        created: when it began, in seconds since that machine's boot: its clock may be set anew.
    """

    host: str
    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> "Worker":
        """A process of this machine that has not been waited for.

        Raises:
            psutil.NoSuchProcess: there is none.
        """
        return cls(socket.gethostname(), pid, _since_boot(psutil.Process(pid)))

    @classmethod
    def parse(cls, tag: str | None) -> "Worker | None":
        """The worker that a run's tag tells of; ``None`` when it tells of none."""
        try:
            told = json.loads(tag or "")
            return cls(str(told["host"]), int(told["pid"]), float(told["created"]))
        except (ValueError, TypeError, KeyError):
            return None

    def as_tag(self) -> str:
        """The value of the run's tag."""
        return json.dumps(asdict(self))

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.host == socket.gethostname()

    def is_alive(self) -> bool:
        """Whether it still runs, here."""
        return self._process() is not None

    def interrupt(self) -> bool:
        """Tell it to stop, as Ctrl-C does; False when it has ended."""
        process = self._process()
        if process is None:
            return False
        try:
            process.send_signal(signal.SIGINT)
        except psutil.NoSuchProcess:
            return False
        return True

    def _process(self) -> psutil.Process | None:
        try:
            process = psutil.Process(self.pid)
            same = abs(_since_boot(process) - self.created) < TOLERANCE_SECONDS
            ended = process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if same and not ended else None


def how_ended(code: int) -> str:
    """An exit code in words, as ``subprocess`` gives it: negative for a signal."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:  # one of the real-time signals, of which two alone have names
        return f"signal {-code}"


def _since_boot(process: psutil.Process) -> float:
    """When it began: psutil adds the boot time, by the clock as it is now."""
    return float(process.create_time() - psutil.boot_time())
