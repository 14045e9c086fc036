"""Who uses a home: locks that end with their process, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline_assets.errors import LocalAwsError
from resources.settings import Settings, make_home

UI_LOCK_FILE = "ui.lock"
WORK_LOCK_FILE = "work.lock"
INSTANCE_LOCK_FILE = "instance.lock"


def hold_ui(settings: Settings) -> bool:
    """Take the lock of the home's UI until this process, or the one it becomes, has ended.

    Returns:
        False when a UI of this home runs.
    """
    home = make_home(settings)
    descriptor = os.open(home / UI_LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    os.set_inheritable(descriptor, True)
    return True


@contextmanager
def working(settings: Settings) -> Iterator[None]:
    """Keep a home from being forgotten while `landfall work` uses it; several may at once."""
    with (make_home(settings) / WORK_LOCK_FILE).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@contextmanager
def making_instance(settings: Settings) -> Iterator[None]:
    """Keep others from making the databases of the home's Dagster instance at the same moment."""
    with (make_home(settings) / INSTANCE_LOCK_FILE).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Keep everybody else from using a home.

    Raises:
        LocalAwsError: its UI or a `landfall work` runs.
    """
    home = make_home(settings)
    if not hold_ui(settings):
        raise LocalAwsError(f"The UI of {home} runs: end `landfall dev` first, then reset.")
    with (home / WORK_LOCK_FILE).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalAwsError(
                f"A `landfall work` of {home} runs: let it end or stop it first, then reset."
            ) from None
        yield
