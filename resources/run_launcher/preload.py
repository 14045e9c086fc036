"""What the run server imports, so that a run finds it there.

Only libraries: a run imports the project itself, so that it runs the code as it is then. And only
imports: a library that has computed something may have threads that hold locks, which a forked
child waits for for ever (Polars after its first computation).
"""

import gc
import importlib

LIBRARIES = (
    "dagster",
    "dagster._cli",
    "dagster._cli.api",
    "alembic.config",
    "boto3.dynamodb.types",
    "duckdb",
    "httpx",
    "pandas",
    "pandera.polars",
    "polars",
    "psutil",
    "pyarrow.csv",
    "pyarrow.parquet",
    "pydantic_settings",
    "rich.progress",
    "sqlalchemy",
    "stamina",
    "structlog",
    "upath.core",
    "watchdog.observers",
)
"""Whatever of these is not installed is left out."""


def preload() -> list[str]:
    """Import the libraries, and return those that could not be."""
    missing = []
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    # What is here stays for good: a child that never looks through it never copies its pages.
    gc.collect()
    gc.freeze()
    return missing
