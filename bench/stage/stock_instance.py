"""The Dagster instance of a peer: storage, launcher, run queue and monitoring at their defaults."""

from pathlib import Path

FILE = "dagster.yaml"
TEXT = "telemetry:\n  enabled: false\n"


def write_instance(home: Path) -> Path:
    """Make a folder that serves as ``DAGSTER_HOME``, and return it."""
    home.mkdir(parents=True)
    (home / FILE).write_text(TEXT, "utf-8")
    return home
