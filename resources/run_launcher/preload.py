"""What the run server's keeper imports, so that a run finds it there.

Only libraries: the project's code changes, and what is imported once cannot be imported anew. And
only imports: a library that has computed something may have threads that hold locks, which a forked
child waits for for ever (Polars after its first computation).
"""

import gc
import importlib

LIBRARIES = (
    "dagster",
    "dagster._cli",
    "dagster._cli.api",
    "dagster._core.definitions.repository_definition.repository_data_builder",
    "dagster._core.executor.in_process",
    "dagster._core.instance.factory",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.root",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.workspace.autodiscovery",
    "alembic.config",
    "boto3.dynamodb.types",
    "boto3.s3.inject",
    "duckdb",
    "encodings.idna",
    "httpx",
    "pandas",
    "pandera.backends.polars.builtin_checks",
    "pandera.backends.polars.container",
    "pandera.polars",
    "polars",
    "psutil",
    "pyarrow.csv",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
    "pydantic_settings",
    "rich.progress",
    "sqlalchemy",
    "stamina",
    "structlog",
    "upath.core",
    "upath.implementations.local",
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
