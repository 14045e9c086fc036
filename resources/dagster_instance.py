"""The Dagster instance of a home: where runs, events, ticks and logs of this pipeline are kept."""

import json
import re
from pathlib import Path
from uuid import uuid4

import dagster as dg
from dagster._core.instance.ref import InstanceRef, compute_logs_directory

from resources import home_locks
from resources.dagster_storage import KeptSqliteStorage, UnfollowedLogs
from resources.settings import Settings, make_home

PROJECT = Path(__file__).resolve().parents[1]
INSTANCE_FILE = "dagster.yaml"
STORAGE = re.compile(r"^(?:storage|(?:run|event_log|schedule)_storage)\s*:", re.MULTILINE)
COMPUTE_LOGS = re.compile(r"^compute_logs\s*:", re.MULTILINE)


def instance_home(settings: Settings) -> Path:
    """Directory of the instance (``DAGSTER_HOME``), made ready with the project's settings."""
    home = make_home(settings).resolve() / "dagster"
    home.mkdir(exist_ok=True)
    template = _template()
    if template:
        written = home / f".{INSTANCE_FILE}.{uuid4().hex}"
        # JSON is YAML too; replaced whole, for another process may read it at this moment.
        storage = json.dumps(_storage(home), ensure_ascii=False)
        own = "" if STORAGE.search(template) else f"\nstorage: {storage}\n"
        written.write_text(template + own, encoding="utf-8")
        written.replace(home / INSTANCE_FILE)
    return home


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance that ``landfall dev`` and ``landfall work`` share.

    Storage and log files are ours where the project's instance file names none.
    """
    home, template = instance_home(settings), _template()
    overrides: dict[str, object] = {}
    if not STORAGE.search(template):
        overrides["storage"] = _storage(home)
    if not COMPUTE_LOGS.search(template):
        logs = compute_logs_directory(str(home))
        overrides["compute_logs"] = _class(UnfollowedLogs, logs)
    with home_locks.making_instance(settings):
        return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides))


def _template() -> str:
    """The project's instance file; nothing where there is none."""
    path = PROJECT / INSTANCE_FILE
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _storage(home: Path) -> dict[str, object]:
    return {"custom": _class(KeptSqliteStorage, str(home))}


def _class(kind: type, base_dir: str) -> dict[str, object]:
    return {
        "module": kind.__module__,
        "class": kind.__name__,
        "config": {"base_dir": base_dir},
    }
