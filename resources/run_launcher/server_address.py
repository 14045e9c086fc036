"""Where the run server of an instance listens: a socket that its owner alone can reach."""

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path


class RunServerError(Exception):
    """No process was forked, with the reason."""


class RunServerSilentError(Exception):
    """A run server was asked for a process and did not say whether it forked one."""


@dataclass(frozen=True)
class ServerAddress:
    """The socket of one instance's run server, and the lock that only one server holds."""

    socket: Path
    lock: Path


def server_address(home: Path) -> ServerAddress:
    """The address of the server of a Dagster home, in a folder that is made for its owner alone.

    The folder is one for temporary files, for the path of a socket has 107 bytes at most
    ("unix(7)", sun_path), which a home's can exceed.

    Raises:
        RunServerError: the folder cannot be made, is another user's, or open to others.
    """
    owner = os.getuid()
    folder = Path(tempfile.gettempdir()) / f"landfall-runs-{owner}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise RunServerError(f"{folder} cannot be a folder ({error.strerror}).") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        raise RunServerError(f"{folder} is not a folder of this user alone: remove it.")
    name = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]
    return ServerAddress(folder / f"{name}.socket", folder / f"{name}.lock")
