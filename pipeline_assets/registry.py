"""Which datasets there are: one for each module of ``datasets``, found by looking."""

import pkgutil
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from types import ModuleType

import pipeline_assets.datasets
from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import DatasetDeclarationError, UnknownDatasetError


@cache
def datasets() -> tuple[Dataset, ...]:
    """Every dataset of the project, sorted by name.

    Raises:
        DatasetDeclarationError: a module declares none, or a name is taken twice.
    """
    return discover(pipeline_assets.datasets)


def dataset(name: str) -> Dataset:
    """The dataset of that name.

    Raises:
        UnknownDatasetError: there is none.
    """
    known = {each.name: each for each in datasets()}
    if name not in known:
        raise UnknownDatasetError(name, tuple(known))
    return known[name]


def discover(package: ModuleType) -> tuple[Dataset, ...]:
    """The ``DATASET`` of every module of a package, sorted by name.

    Raises:
        DatasetDeclarationError: a module declares none, or a name is taken twice.
    """
    names = sorted(
        f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__)
    )
    found = tuple(sorted(map(_declared, names), key=lambda each: each.name))
    _refuse_duplicates("dataset", ((each.name, each.name) for each in found))
    _refuse_duplicates(
        "gold table",
        ((each.name, name) for each in found for name in each.gold_names),
    )
    _refuse_duplicates(
        "serving view", ((each.name, view.name) for each in found for view in each.serving)
    )
    return found


def _declared(module: str) -> Dataset:
    declared = getattr(import_module(module), "DATASET", None)
    if not isinstance(declared, Dataset):
        raise DatasetDeclarationError(module, "its module has no DATASET = Dataset(...)")
    return declared


def _refuse_duplicates(kind: str, named: Iterable[tuple[str, str]]) -> None:
    owners: dict[str, str] = {}
    for owner, name in named:
        if name in owners:
            raise DatasetDeclarationError(
                owner, f"its {kind} {name!r} has the name of one of {owners[name]}; choose another"
            )
        owners[name] = owner
