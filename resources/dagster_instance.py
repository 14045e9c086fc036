"""The Dagster instance of a home: where runs, events, ticks and logs of this pipeline are kept."""

import json
from pathlib import Path
from uuid import uuid4

import dagster as dg
from dagster._core.instance.ref import InstanceRef, compute_logs_directory

from resources.dagster_storage import KeptSqliteStorage, UnfollowedLogs
from resources.settings import Settings, make_home

PROJECT = Path(__file__).resolve().parents[1]
INSTANCE_FILE = "dagster.yaml"


def instance_home(settings: Settings) -> Path:
    """Directory of the instance (``DAGSTER_HOME``), made ready with the project's settings."""
    home = make_home(settings).resolve() / "dagster"
    home.mkdir(exist_ok=True)
    template = PROJECT / INSTANCE_FILE
    if template.is_file():
        written = home / f".{INSTANCE_FILE}.{uuid4().hex}"
        # JSON is YAML too; replaced whole, for another process may read it at this moment.
        written.write_text(f"{template.read_text()}\nstorage: {json.dumps(_storage(home))}\n")
        written.replace(home / INSTANCE_FILE)
    return home


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance that ``landfall dev`` and ``landfall work`` share."""
    home = instance_home(settings)
    overrides = {
        "storage": _storage(home),
        "compute_logs": _class(UnfollowedLogs, compute_logs_directory(str(home))),
    }
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides))


def _storage(home: Path) -> dict[str, object]:
    return {"custom": _class(KeptSqliteStorage, str(home))}


def _class(kind: type, base_dir: str) -> dict[str, object]:
    return {
        "module": kind.__module__,
        "class": kind.__name__,
        "config": {"base_dir": base_dir},
    }
