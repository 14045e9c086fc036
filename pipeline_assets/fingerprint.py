"""Which code decides on a dataset's rows: a short hash, which lets refused dates be tried again."""

import hashlib
import inspect
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from pipeline_assets.dataset import Dataset


@cache
def fingerprint(dataset: Dataset) -> str:
    """Short hash of the code that decides on a dataset's rows.

    It changes when the module that declares the dataset changes, or one of the project's modules
    that it takes functions from, or the threshold: a refused date is then tried again.
    It is taken once per process: sources that are mended while old code is still loaded must not
    release a date to the old code.

    Returns:
        12 hexadecimal digits, the same in every process that runs the same code.
    """
    return fingerprint_on_disk(dataset)


def fingerprint_on_disk(dataset: Dataset) -> str:
    """What ``fingerprint`` is in a process that starts now.

    A long-lived planner whose runs are processes of their own must compare with this: the code
    that refused a date may be newer than the planner's.
    """
    digest = hashlib.sha256(repr(dataset.quarantine_threshold).encode())
    for name in sorted(_modules(dataset)):
        digest.update(Path(inspect.getfile(sys.modules[name])).read_bytes())
    return digest.hexdigest()[:12]


def _modules(dataset: Dataset) -> set[str]:
    declared = [dataset.conform, dataset.contract]
    declared += [table.build for table in dataset.gold]
    declared += [table.contract for table in dataset.gold]
    homes = {function.__module__ for function in declared}
    return homes.union(*(_imported(sys.modules[home]) for home in homes))


def _imported(module: ModuleType) -> set[str]:
    names = (
        value.__name__ if inspect.ismodule(value) else value.__module__
        for value in vars(module).values()
        if inspect.ismodule(value) or inspect.isfunction(value)
    )
    return {name for name in names if name.startswith("pipeline_assets.")}
