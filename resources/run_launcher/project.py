"""The project's code, which the run server imports for its runs while its files do not change."""

import gc
import importlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

THREADS = Path("/proc/self/task")
COMPILED = "__pycache__"

Files: TypeAlias = frozenset[tuple[str, int, int]]
"""Path, time of its last change (nanoseconds since the epoch) and size (bytes) of each file."""


class ProjectExecutedError(Exception):
    """Importing the project started threads, whose locks a forked run would wait on for ever."""

    def __init__(self, module: str, threads: int) -> None:
        super().__init__(
            f"importing {module} starts {threads} threads, as a computation with Polars does: "
            "compute inside functions"
        )


@dataclass(frozen=True)
class Project:
    """What the runs of an instance execute.

    Attributes:
        module: what a run imports first; everything else comes with it.
        packages: top-level packages whose files are its code.
        prepare: a function of it, as ``package.module.function``, that makes ready what a run needs
            besides. It starts no thread and leaves nothing open.
    """

    module: str
    packages: tuple[str, ...]
    prepare: str | None = None

    def files(self) -> Files:
        """The files of its packages as they are now, but for what Python compiled of them."""
        return frozenset(file for folder in self._folders() for file in _below(folder))

    def _folders(self) -> Iterator[str]:
        for package in self.packages:
            spec = find_spec(package)
            if spec is not None:
                yield from spec.submodule_search_locations or ()

    def load(self) -> None:
        """Import and prepare it, in a process that has one thread and has imported nothing of it.

        Raises:
            ProjectExecutedError: the process has more than one thread now.
            Exception: whatever its code raises.
        """
        importlib.invalidate_caches()
        importlib.import_module(self.module)
        if self.prepare:
            home, _, name = self.prepare.rpartition(".")
            getattr(importlib.import_module(home), name)()
        if THREADS.exists() and (threads := len(list(THREADS.iterdir())) - 1):
            raise ProjectExecutedError(self.module, threads)
        gc.collect()
        gc.freeze()


def _below(folder: str) -> Iterator[tuple[str, int, int]]:
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != COMPILED]
        for name in names:
            file = Path(path) / name
            with suppress(OSError):  # it went while the folder was read, or leads nowhere
                found = file.stat()
                yield str(file), found.st_mtime_ns, found.st_size
