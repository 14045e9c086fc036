"""Dagster's storage with kept connections is Dagster's storage.

Should one of these fail after an upgrade of Dagster: compare ``resources/dagster_storage.py`` with
what it overrides (``_connect``, ``_initdb`` and ``has_table`` of ``SqliteEventLogStorage``,
``connect`` and ``from_local`` of ``SqliteRunStorage`` and ``SqliteScheduleStorage``, and
``LocalComputeLogManager.capture_logs``). If there is no mending it, take what names it out of
``resources/dagster_instance.py``: the stock classes read and write the same files, and only time is
lost.
"""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef

from resources import dagster_instance, dagster_storage
from resources.dagster_instance import instance_home, open_instance
from resources.dagster_storage import Engines, KeptEventLogStorage
from resources.settings import Settings

DAYS = dg.StaticPartitionsDefinition(["a", "b"])


@dg.asset(partitions_def=DAYS, check_specs=[dg.AssetCheckSpec("sound", asset="counted")])
def counted(context: dg.AssetExecutionContext) -> Iterator[object]:
    """An asset that says something, and passes its check."""
    print(f"said of {context.partition_key}")  # noqa: T201 - what a run prints is under test
    yield dg.MaterializeResult(metadata={"rows": 3})
    yield dg.AssetCheckResult(passed=True)


JOB = dg.Definitions(assets=[counted]).resolve_implicit_global_asset_job_def()


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    return Settings.model_construct(home=tmp_path / "home")


def materialize(instance: dg.DagsterInstance, day: str) -> str:
    return JOB.execute_in_process(instance=instance, partition_key=day).run_id


def stock(own: Settings) -> dg.DagsterInstance:
    home = str(instance_home(own))
    overrides = {"storage": {"sqlite": {"base_dir": home}}}
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(home, overrides=overrides))


def told(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    return [str(each.dagster_event_type) for each in instance.all_logs(run_id)]


def test_what_is_stored_is_what_dagsters_own_storage_stores_and_reads(own: Settings) -> None:
    key = dg.AssetKey("counted")
    with open_instance(own) as kept:
        first = materialize(kept, "a")
        in_kept = told(kept, first)
    with stock(own) as plain:
        assert told(plain, first) == in_kept
        second = materialize(plain, "b")
        assert told(plain, second) == in_kept
    with open_instance(own) as kept:
        assert kept.get_materialized_partitions(key) == {"a", "b"}
        assert {run.run_id for run in kept.get_runs()} == {first, second}
        checks = kept.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(key, "sound"), limit=5
        )
        assert {check.run_id for check in checks} == {first, second}


def test_a_runs_database_that_was_copied_has_the_tables_of_one_that_was_made(own: Settings) -> None:
    def schema(run_id: str) -> set[tuple[str, str]]:
        path = instance_home(own) / "history" / "runs" / f"{run_id}.db"
        with sqlite3.connect(path) as opened:
            assert opened.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            tables = set(opened.execute("SELECT name, sql FROM sqlite_master").fetchall())
            return tables | set(opened.execute("SELECT 'at', version_num FROM alembic_version"))

    with stock(own) as plain:
        made = materialize(plain, "a")
    with open_instance(own) as kept:
        copied = [materialize(kept, "a"), materialize(kept, "b")]
    assert [schema(run_id) for run_id in copied] == [schema(made)] * 2


def test_an_instance_that_stands_is_opened_without_reading_dagsters_migrations(
    own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_instance(own) as kept:
        first = materialize(kept, "a")
    monkeypatch.setattr("alembic.script.ScriptDirectory.from_config", refused)

    with open_instance(own) as kept:
        second = materialize(kept, "b")
        assert {run.run_id for run in kept.get_runs()} == {first, second}
        assert told(kept, second) == told(kept, first)
        assert not kept.all_instigator_state()


def test_tables_are_found_while_another_statement_is_under_way(own: Settings) -> None:
    with open_instance(own) as kept:
        materialize(kept, "a")
    with open_instance(own) as kept:
        stored = kept.event_log_storage
        assert isinstance(stored, KeptEventLogStorage)
        with stored.index_connection():
            assert stored.has_table("asset_event_tags")
            assert not stored.has_table("asset_event_rags")


def refused(*_: object) -> None:
    raise AssertionError("the migrations were read")


def test_a_database_that_does_not_say_its_revision_is_left_to_dagster(own: Settings) -> None:
    with open_instance(own) as kept:
        materialize(kept, "a")
    history = instance_home(own) / "history"
    runs, index = history / "runs.db", history / "runs" / "index.db"
    revisions = [revision(path) for path in (runs, index)]
    for path in (runs, index):
        with sqlite3.connect(path) as opened:
            opened.execute("DELETE FROM alembic_version")

    with open_instance(own) as kept:
        materialize(kept, "b")

    assert all(revisions)
    assert revision(runs) is not None
    assert revision(index) is not None


def revision(path: Path) -> str | None:
    with sqlite3.connect(path) as opened:
        found = opened.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(found[0]) if found else None


def test_dagster_dev_opens_the_same_storage_from_the_instance_file(
    own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = instance_home(own)
    with open_instance(own) as kept:
        run_id = materialize(kept, "a")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as served:
        assert served.run_storage.__class__.__module__ == dagster_storage.__name__
        assert served.get_run_by_id(run_id) is not None


def test_a_storage_that_the_projects_file_names_is_the_one_that_is_used(
    own: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    named = f"storage:\n  sqlite:\n    base_dir: {elsewhere}\n"
    (tmp_path / "dagster.yaml").write_text(named)
    monkeypatch.setattr(dagster_instance, "PROJECT", tmp_path)

    with open_instance(own) as opened:
        materialize(opened, "a")

    assert (instance_home(own) / "dagster.yaml").read_text() == named
    assert list((elsewhere / "history" / "runs").glob("*-*.db"))
    assert not (instance_home(own) / "history").exists()


def test_what_a_run_prints_is_in_its_log_and_not_on_the_terminal(
    own: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    with open_instance(own) as kept:
        run_id = materialize(kept, "a")
        logs = kept.compute_log_manager
        [captured] = kept.all_logs(run_id, of_type=dg.DagsterEventType.LOGS_CAPTURED)
        file_key = captured.get_dagster_event().logs_captured_data.file_key
        log_key = [run_id, "compute_logs", file_key]
        assert logs.get_log_data(log_key).stdout == b"said of a\n"
        assert logs.is_capture_complete(log_key)
    assert "said of a" not in capfd.readouterr().out


def test_threads_that_store_at_once_lose_nothing(own: Settings) -> None:
    with open_instance(own) as kept, ThreadPoolExecutor(8) as pool:
        run_id = materialize(kept, "a")
        materializations = [
            dg.AssetMaterialization("thrown", metadata={"number": number}) for number in range(80)
        ]
        list(pool.map(kept.report_runless_asset_event, materializations))
        stored = kept.fetch_materializations(dg.AssetKey("thrown"), limit=100).records
        facts = [each.event_log_entry.get_dagster_event() for each in stored]
        materialized = [fact.step_materialization_data.materialization for fact in facts]
        numbers = {each.metadata["number"].value for each in materialized}
        assert numbers == set(range(80))
        assert kept.get_run_by_id(run_id) is not None


def open_files(folder: Path) -> list[Path]:
    """Files below the folder that this process has open: one for each database without a log."""
    found = [each.resolve() for each in Path("/proc/self/fd").iterdir()]
    return [path for path in found if path.is_relative_to(folder)]


def test_few_databases_stay_open(tmp_path: Path) -> None:
    engines = Engines()
    kept = dagster_storage.ENGINES_KEPT
    urls = [
        f"sqlite:///{tmp_path}/{number}.db" for number in range(3 * dagster_storage.ENGINES_KEPT)
    ]
    for url in urls:
        with engines.of(url).begin() as connection:
            connection.exec_driver_sql("CREATE TABLE t (x)")
    assert len(open_files(tmp_path)) == kept
    latest = engines.of(urls[-1])
    assert engines.of(urls[-1]) is latest
    with latest.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 0
    engines.dispose()
    assert not open_files(tmp_path)


FORKING = """
import os, sys
from resources.dagster_storage import Engines

def rows(engine):
    with engine.begin() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM t").scalar()

def descriptors():
    return sum(os.path.realpath(f"/proc/self/fd/{each}") == sys.argv[1]
               for each in os.listdir("/proc/self/fd"))

engines, url = Engines(), f"sqlite:///{sys.argv[1]}"
own = engines.of(url)
with own.begin() as connection:
    connection.exec_driver_sql("CREATE TABLE t (x)")
before = descriptors()
child = os.fork()
if not child:
    another = engines.of(url)
    os._exit(0 if another is not own and rows(another) == 0 and descriptors() > before else 1)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.exit(code or rows(own))
"""


def test_a_forked_child_opens_databases_anew_and_leaves_its_parents_open(tmp_path: Path) -> None:
    # In a process of its own: this one has threads, and a fork of it may hang.
    command = [sys.executable, "-c", FORKING, str(tmp_path / "one.db")]

    ended = subprocess.run(  # noqa: S603 - our own script
        command, check=False, capture_output=True, text=True, timeout=60
    )

    assert ended.returncode == 0, ended.stderr
