"""The Dagster instance of a home: where runs, events, ticks and logs of this pipeline are kept."""

import shutil
from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef, compute_logs_directory

from resources.dagster_storage import KeptSqliteStorage, UnfollowedLogs
from resources.settings import Settings, make_home

PROJECT = Path(__file__).resolve().parents[1]
INSTANCE_FILE = "dagster.yaml"


def instance_home(settings: Settings) -> Path:
    """Directory of the instance (``DAGSTER_HOME``), made ready with the project's settings."""
    home = make_home(settings) / "dagster"
    home.mkdir(exist_ok=True)
    template = PROJECT / INSTANCE_FILE
    if template.is_file():
        shutil.copyfile(template, home / INSTANCE_FILE)
    return home


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance that ``landfall dev`` and ``landfall work`` share."""
    home = str(instance_home(settings))
    overrides = {
        "storage": {"custom": _kept(KeptSqliteStorage, home)},
        "compute_logs": _kept(UnfollowedLogs, compute_logs_directory(home)),
    }
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(home, overrides=overrides))


def _kept(kind: type, base_dir: str) -> dict[str, object]:
    return {
        "module": kind.__module__,
        "class": kind.__name__,
        "config": {"base_dir": base_dir},
    }
