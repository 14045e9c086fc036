"""What the run server imports of the project, and that no run executes code which has changed."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster_shared.yaml_utils import safe_load_yaml
from launching import JOBS, Launching, forker, open_launching, wait_for

from resources.dagster_instance import INSTANCE_FILE, PROJECT
from resources.run_launcher.project import Project

PACKAGE = "landed_project"
MODULE = f"{PACKAGE}.definitions"
COMPUTING = "import polars as pl\npl.DataFrame({'a': range(9)}).group_by('a').len()\n"


@dataclass
class Code:
    """A project's package, on the path of the processes that a test starts."""

    folder: Path

    @property
    def jobs(self) -> Path:
        return self.folder / "jobs.py"

    @property
    def definitions(self) -> Path:
        return self.folder / "definitions.py"

    def change(self) -> None:
        text = self.jobs.read_text()
        self.jobs.write_text(text.replace("the first code", "the second code, at last"))


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Code:
    made = Code(tmp_path / "path" / PACKAGE)
    made.folder.mkdir(parents=True)
    (made.folder / "__init__.py").touch()
    (made.folder / "former.py").touch()
    made.jobs.write_text(JOBS.read_text())
    made.definitions.write_text(f"from {PACKAGE} import jobs as jobs\n")
    searched = os.pathsep.join([str(made.folder.parent), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", searched)
    return made


Opened = Callable[..., AbstractContextManager[Launching]]


@pytest.fixture
def opened(tmp_path: Path, empty_instance: Path) -> Opened:
    return partial(open_launching, tmp_path / "home", empty_instance)


@pytest.fixture
def launching(opened: Opened, code: Code) -> Iterator[Launching]:
    with opened(module=MODULE, packages=[code.folder.name]) as ready:
        yield ready


def introduced(launching: Launching) -> str:
    """What a run says of the code that it executes, once it has succeeded."""
    run_id = launching.launch("introducing", at=f"{PACKAGE}.jobs")
    assert launching.ended(run_id) is dg.DagsterRunStatus.SUCCESS, launching.log(run_id)
    (said,) = re.findall(r"the \w+ code.*", launching.log(run_id))
    return str(said)


def test_a_run_finds_the_project_imported_and_computes(launching: Launching) -> None:
    said = introduced(launching)

    assert f"imported by {forker(launching.home).pid}, 1000 rows" in said


def test_what_a_run_needs_besides_is_made_ready_before_it(
    opened: Opened, code: Code, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    code.definitions.write_text(
        f"{code.definitions.read_text()}\nimport os, pathlib\n\ndef make():\n"
        f"    pathlib.Path({str(ready)!r}).write_text(str(os.getpid()))\n"
    )
    with opened(module=MODULE, packages=[PACKAGE], prepare=f"{MODULE}.make") as launching:
        said, forking = introduced(launching), forker(launching.home).pid

    assert f"imported by {forking}" in said
    assert ready.read_text() == str(forking)


def changed(code: Code) -> None:
    code.change()


def added(code: Code) -> None:
    (code.folder / "later.py").touch()


def removed(code: Code) -> None:
    (code.folder / "former.py").unlink()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (changed, "the second code"),
        (added, "'jobs.py', 'later.py']"),
        (removed, "['__init__.py', 'definitions.py', 'jobs.py']"),
    ],
)
def test_a_run_executes_the_code_as_it_is_then(
    launching: Launching, code: Code, change: Callable[[Code], None], says: str
) -> None:
    first, before = introduced(launching), forker(launching.home).pid
    change(code)
    second = introduced(launching)
    after = forker(launching.home).pid

    assert says not in first
    assert says in second
    assert before != after
    assert f"imported by {before}" in first
    assert f"imported by {after}" in second


def test_a_run_of_the_former_code_is_still_looked_after(
    launching: Launching, code: Code, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    lasting = launching.launch("lasting", {"started": str(started)}, at=f"{PACKAGE}.jobs")
    wait_for(started.exists, "the run has begun")
    code.change()
    introduced(launching)
    os.kill(launching.worker(lasting).pid, signal.SIGKILL)

    assert launching.ended(lasting) is dg.DagsterRunStatus.FAILURE
    assert "signal SIGKILL before the run did" in launching.log(lasting)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("import nothing_of_that_name\n", "No module named 'nothing_of_that_name'"),
        ("nor is this Python\n", "SyntaxError"),
        (COMPUTING, f"importing {MODULE} starts "),
    ],
)
def test_what_cannot_be_imported_is_left_to_the_runs_until_it_is_mended(
    launching: Launching, code: Code, broken: str, says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    sound = code.definitions.read_text()
    code.definitions.write_text(sound + broken)
    first, without = introduced(launching), forker(launching.home).pid
    code.definitions.write_text(sound)
    second = introduced(launching)

    assert f"imported by {without}" not in first
    assert f"imported by {forker(launching.home).pid}" in second
    told = capfd.readouterr().err
    assert "the project is left to its runs to import" in told
    assert says in told


def test_a_server_that_was_killed_has_a_successor(launching: Launching) -> None:
    introduced(launching)
    first = forker(launching.home)
    first.kill()
    wait_for(lambda: forked_anew(launching, first.pid), "another has been forked")

    assert f"imported by {forker(launching.home).pid}" in introduced(launching)


def forked_anew(launching: Launching, former: int) -> bool:
    try:
        return forker(launching.home).pid != former
    except (ValueError, psutil.NoSuchProcess):
        return False


def test_importing_this_project_starts_no_thread(
    opened: Opened, capfd: pytest.CaptureFixture[str]
) -> None:
    named = safe_load_yaml((PROJECT / INSTANCE_FILE).read_text())["run_launcher"]["config"]
    assert set(named) == {"module", "packages", "prepare"}
    with opened(**named) as launching:
        run_id = launching.launch("computing")
        assert launching.ended(run_id) is dg.DagsterRunStatus.SUCCESS, launching.log(run_id)
        assert forker(launching.home).num_threads() == 1
    assert "left to its runs" not in capfd.readouterr().err


def test_what_python_compiles_is_no_change_of_the_code(
    code: Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(code.folder.parent))
    project = Project(MODULE, (PACKAGE, "a_package_that_is_not_there"))
    before = project.files()
    compiled = code.folder / "__pycache__"
    compiled.mkdir()
    (compiled / "jobs.pyc").touch()

    assert len(before) == 4
    assert project.files() == before
    code.change()
    assert project.files() != before
