"""The guide to adding a dataset, followed to the letter: its files, its commands, its promises."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from scenario import LANDFALL, WORK_SECONDS

from resources.dagster_instance import open_instance
from resources.lake import TableName
from resources.landfall import Landfall
from resources.settings import load_settings

PROJECT = Path(__file__).parents[2]
GUIDE = (PROJECT / "docs/adding-a-dataset.md").read_text()
MODULE = "pipeline_assets/datasets/orders.py"
DAY = "2025-06-01"
SALES = TableName("gold", "daily_sales")
EVERY_PROCESS = "import pipeline_assets.datasets as package; package.__path__.append({folder!r})\n"
"""Python runs a `sitecustomize` module on its path at every start."""


def blocks(language: str) -> list[str]:
    """The guide's blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Checkout:
    """A folder that looks like the project's to the guide's commands, with its dataset added."""

    folder: Path

    @property
    def module(self) -> Path:
        return self.folder / MODULE

    @property
    def file(self) -> Path:
        return self.folder / "orders.csv"

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line of the guide as it stands."""
        return subprocess.run(  # noqa: S603 - a line of our own guide
            ["/bin/sh", "-c", line],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=WORK_SECONDS,
            env={**os.environ, "PYTHONPATH": str(self.folder / "path")},
        )

    def follow(self) -> dict[str, subprocess.CompletedProcess[str]]:
        """Run the guide's commands one after the other; the outcomes by subcommand."""
        lines = [line for block in blocks("sh") for line in block.splitlines()]
        return {shlex.split(line)[1]: self.run(line) for line in lines}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """The guide's files, beside the project's datasets and nowhere else."""
    made = Checkout(tmp_path / "checkout")
    command = made.folder / ".venv/bin/landfall"
    start = made.folder / "path/sitecustomize.py"
    for path in (made.module, command, start):
        path.parent.mkdir(parents=True)
    command.symlink_to(LANDFALL)
    start.write_text(EVERY_PROCESS.format(folder=str(made.module.parent)))
    made.module.write_text(blocks("python")[0])
    made.file.write_text(blocks("csv")[0])
    return made


def sales(landfall: Landfall) -> list[tuple[object, ...]]:
    rows = landfall.lake.read(SALES, DAY).to_pylist()
    return [(row["shop"], row["orders"], row["turnover"]) for row in rows]


def served(landfall: Landfall) -> int:
    name = f"{landfall.settings.serving_prefix}daily-sales"
    return landfall.aws.dynamodb.scan(TableName=name)["Count"]


@pytest.mark.usefixtures("local_aws")
def test_the_guides_commands_hold_the_date_and_a_sound_file_mends_it(checkout: Checkout) -> None:
    done = checkout.follow()

    codes = {name: each.returncode for name, each in done.items()}
    assert codes == {"up": 0, "land": 0, "work": 1, "status": 0}, done
    assert "belong in quarantine" in " ".join(done["status"].stdout.split())
    landfall = Landfall()
    (held,) = landfall.ledger.dates.dirty("orders")
    assert (held.event_date, held.held is not None) == (DAY, True)

    sound = checkout.file.read_text().replace("Paris", "Lyon").replace("minus three", "3")
    checkout.file.write_text(sound)
    again = checkout.follow()

    assert {each.returncode for each in again.values()} == {0}, again
    assert landfall.ledger.dates.dirty("orders") == []
    assert sales(landfall) == [("berlin", 2, 15.0), ("lyon", 3, 30.0)]
    assert served(landfall) == 2
    with open_instance(load_settings()) as instance:
        assert instance.get_materialized_partitions(dg.AssetKey(["gold", "daily_sales"])) == {DAY}


@pytest.mark.usefixtures("local_aws")
def test_a_raised_threshold_and_work_again_mend_the_date_too(checkout: Checkout) -> None:
    assert checkout.follow()["work"].returncode == 1
    source = checkout.module.read_text()
    checkout.module.write_text(
        source.replace("    identity=(", "    quarantine_threshold=0.4,\n    identity=(", 1)
    )

    worked = checkout.run(".venv/bin/landfall work --until-idle")

    assert worked.returncode == 0, worked
    assert sales(Landfall()) == [("berlin", 2, 15.0), ("lyon", 1, 20.0)]


def checked(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A tool of the project's own environment, told the guide's module."""
    return subprocess.run(  # noqa: S603 - one of ours
        [Path(sys.executable).with_name(tool), *arguments],
        cwd=PROJECT,
        input=blocks("python")[0],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("task", [("check",), ("format", "--check")])
def test_the_guides_file_passes_the_projects_lint(task: tuple[str, ...]) -> None:
    done = checked("ruff", *task, "--no-cache", "--stdin-filename", MODULE, "-")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_guides_file_has_strict_types(tmp_path: Path) -> None:
    file = tmp_path / "orders.py"
    file.write_text(blocks("python")[0])
    own = ("--follow-imports=silent", "--cache-dir", str(tmp_path / "cache"))
    done = checked("mypy", "--strict", *own, str(file))
    assert done.returncode == 0, done.stdout + done.stderr
