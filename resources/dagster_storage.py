"""Dagster's SQLite storage and its log files, without what makes them slow.

Dagster 1.13 makes an engine and a connection for every statement and closes them after it. Each
engine compiles its statements anew, and the last connection that closes a database in WAL mode
writes the whole log back and syncs the file. Storing events was more than half of the time of a
run. Here the same classes store the same tables in the same files; only the engines stay.

What is overridden here is internal to Dagster, and ``tests/resources/test_dagster_storage.py``
tells what to do when an upgrade changes it.
"""

import os
import shutil
import sqlite3
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self
from uuid import uuid4

import sqlalchemy as db
from alembic.runtime.migration import MigrationContext
from dagster import __version__ as dagster_version
from dagster._core.execution.compute_logs import redirect_to_file, should_disable_io_stream_redirect
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.local_compute_log_manager import (
    IO_TYPE_EXTENSION,
    LocalComputeLogManager,
)
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS, create_db_conn_string
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from dagster._utils import ensure_file, touch_file

ENGINES_KEPT = 16
"""Databases that stay open: those of runs and ticks, of the index, and of the latest runs."""


class Engines:
    """An engine for each database, made once and kept while it is among the latest in use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._kept: OrderedDict[str, db.Engine] = OrderedDict()
        self._inherited: list[object] = []

    def of(self, url: str) -> db.Engine:
        """The engine of a database; a forked child begins with none of its parent's.

        It keeps those untouched, for a child that closes its parent's connection takes the locks of
        the database away ("How To Corrupt An SQLite Database File", sqlite.org).
        """
        with self._lock:
            if self._process != os.getpid():
                self._inherited.append(self._kept)
                self._process, self._kept = os.getpid(), OrderedDict()
            engine = self._kept.pop(url, None) or _engine(url)
            self._kept[url] = engine
            if len(self._kept) > ENGINES_KEPT:
                _, oldest = self._kept.popitem(last=False)
                oldest.dispose()
            return engine

    def dispose(self) -> None:
        """Close every connection."""
        with self._lock:
            for engine in self._kept.values():
                engine.dispose()
            self._kept.clear()


def _engine(url: str) -> db.Engine:
    engine = db.create_engine(
        url, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}, max_overflow=-1
    )

    @db.event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _: object) -> None:
        # In WAL mode no crash of a process can lose or harm a transaction; a power cut can lose
        # the last ones, and the ledger, not Dagster's history, says what was done.
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


def _is_made(connection: db.Connection, table: str) -> bool:
    """Whether a database has a table and says of which of Dagster's revisions it is.

    Of such a one Dagster reads its 88 migrations, four times a run, and then does nothing.
    """
    revision = MigrationContext.configure(connection).get_current_revision()
    return revision is not None and db.inspect(connection).has_table(table)


class KeptEventLogStorage(SqliteEventLogStorage):
    """Dagster's event log; the database of a new run is copied, not made table by table."""

    @cached_property
    def engines(self) -> Engines:
        """Engines of the index and of the latest runs."""
        return Engines()

    @cached_property
    def _tables(self) -> set[str]:
        return set()

    @contextmanager
    def _connect(self, shard: str) -> Iterator[db.Connection]:
        with self._db_lock:
            engine = self.engines.of(self.conn_string_for_shard(shard))
            if shard not in self._initialized_dbs:
                if shard == INDEX_SHARD_NAME or not self._copy_empty(shard):
                    self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def _initdb(self, engine: db.Engine, for_index_shard: bool = False) -> None:  # noqa: FBT001, FBT002 - Dagster's
        with suppress(db.exc.DatabaseError), engine.connect() as connection:
            if _is_made(connection, "event_logs"):
                return
        super()._initdb(engine, for_index_shard)  # waits for another process that makes it

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table; those that are there stay."""
        if table_name not in self._tables:
            # Its callers may hold the lock that `index_connection` waits for.
            index = self.engines.of(self.conn_string_for_shard(INDEX_SHARD_NAME))
            with index.connect() as connection:
                self._tables |= set(db.inspect(connection).get_table_names())
        return table_name in self._tables

    def _copy_empty(self, shard: str) -> bool:
        """Put an empty database where a run's is not yet, and say whether that was so."""
        path = Path(self.path_for_shard(shard))
        if path.exists():
            return False
        empty, own = path.with_name(f".empty-{dagster_version}"), path.with_name(f".{uuid4().hex}")
        if not empty.exists():
            engine = db.create_engine(f"sqlite:///{own}", poolclass=db.NullPool)
            self._initdb(engine)
            own.replace(empty)
        shutil.copyfile(empty, own)
        with suppress(FileExistsError):
            os.link(own, path)
        own.unlink()
        return True

    def dispose(self) -> None:
        """Close every connection."""
        super().dispose()
        self.engines.dispose()


class _Kept:
    """``connect`` and ``from_local`` of a storage that has one database."""

    database: ClassVar[str]
    table: ClassVar[str]
    """The last that Dagster makes in it."""
    _conn_string: str

    @cached_property
    def engines(self) -> Engines:
        """The engine of the one database."""
        return Engines()

    @classmethod
    def from_local(cls, base_dir: str, inst_data: ConfigurableClassData | None = None) -> Self:
        """The storage below a folder; Dagster's own way where its database is not made yet."""
        path = Path(base_dir) / f"{cls.database}.db"
        kept = cls(create_db_conn_string(base_dir, cls.database), inst_data)  # type: ignore[call-arg]
        if path.exists():
            with kept.connect() as connection:
                is_made = _is_made(connection, cls.table)
            if is_made:
                return kept
            kept.dispose()
        return super().from_local(base_dir, inst_data)  # type: ignore[misc, no-any-return]

    @contextmanager
    def connect(self) -> Iterator[db.Connection]:
        """A transaction on a kept connection."""
        with self.engines.of(self._conn_string).begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close every connection."""
        self.engines.dispose()


class KeptRunStorage(_Kept, SqliteRunStorage):
    """Dagster's runs."""

    database = "runs"
    table = "instance_info"


class KeptScheduleStorage(_Kept, SqliteScheduleStorage):
    """Dagster's ticks and cursors."""

    database = "schedules"
    table = "job_ticks"


class KeptSqliteStorage(DagsterSqliteStorage):
    """What the instance file of a home names as its storage."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        # The class between would open Dagster's own three.
        DagsterStorage.__init__(self)  # type: ignore[no-untyped-call, arg-type]
        home = Path(base_dir)
        self.base_dir, self._inst_data = base_dir, inst_data
        self._run_storage = KeptRunStorage.from_local(str(home / "history"))
        self._event_log_storage = KeptEventLogStorage(str(home / "history" / "runs"))
        self._schedule_storage = KeptScheduleStorage.from_local(str(home / "schedules"))

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "KeptSqliteStorage":
        """The storage that a ``dagster.yaml`` describes."""
        return cls(config_value["base_dir"], inst_data)


class UnfollowedLogs(LocalComputeLogManager):
    """Captures what a run prints into the files where the UI looks, and shows it nowhere else."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "UnfollowedLogs":
        """The log files below ``base_dir``."""
        return cls(**config_value, inst_data=inst_data)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """Send standard output and error to the files of the key."""
        if should_disable_io_stream_redirect():  # type: ignore[no-untyped-call]
            yield CapturedLogContext(log_key)
            return
        with ExitStack() as redirected:
            for stream, kind in (
                (sys.stdout, ComputeIOType.STDOUT),
                (sys.stderr, ComputeIOType.STDERR),
            ):
                path = self.get_captured_local_path(log_key, IO_TYPE_EXTENSION[kind])
                ensure_file(path)
                redirected.enter_context(redirect_to_file(stream, path))
            yield CapturedLogContext(log_key)
        touch_file(self.complete_artifact_path(log_key))  # type: ignore[no-untyped-call]
