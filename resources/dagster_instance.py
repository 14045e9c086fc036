"""The Dagster instance of a home: where runs, events, ticks and logs of this pipeline are kept."""

import shutil
from pathlib import Path

import dagster as dg

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
    return dg.DagsterInstance.from_config(str(instance_home(settings)))
