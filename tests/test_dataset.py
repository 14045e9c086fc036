"""What a declaration of a dataset must hold to, how datasets are found, and their fingerprint."""

import importlib
import re
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from pipeline_assets import registry
from pipeline_assets.contract import rules, validate
from pipeline_assets.dataset import Dataset, ServingView
from pipeline_assets.datasets.events import DATASET
from pipeline_assets.errors import DatasetDeclarationError, UnknownDatasetError
from pipeline_assets.fingerprint import fingerprint

DAY = date(2024, 5, 28)


@pytest.mark.parametrize("dataset", registry.datasets(), ids=lambda dataset: dataset.name)
def test_every_datasets_declaration_holds_together(dataset: Dataset) -> None:
    columns = list(dataset.contract().columns)
    received = pl.LazyFrame(schema=dict.fromkeys(dataset.fields, pl.String))
    silver = dataset.conform(received).with_columns(event_date=pl.lit(DAY))

    assert dataset.conform(received).collect_schema().names() == columns
    assert set(dataset.parsed.values()) <= set(dataset.fields)
    named = {
        *dataset.parsed,
        *dataset.sort,
        *(name for names in dataset.identity for name in names),
    }
    assert named | {dataset.event_time or columns[0]} <= set(columns)
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", rule.name) for rule in rules(dataset))
    tables = {table.name: table for table in dataset.gold}
    for table in tables.values():
        validate(table.build(silver).collect(), table.contract(), table=table.name)
    for view in dataset.serving:
        assert set(view.columns) <= set(tables[view.gold].contract().columns)


def test_datasets_are_found_by_name() -> None:
    assert registry.dataset("events") in registry.datasets()


def test_an_unknown_dataset_names_the_known_ones() -> None:
    with pytest.raises(UnknownDatasetError, match="events/"):
        registry.dataset("event")


def test_listing_datasets_loads_neither_dagster_nor_boto3_nor_pandera() -> None:
    program = (
        "import sys; from pipeline_assets.registry import datasets; datasets(); "
        "print({'dagster', 'boto3', 'pandera'} & set(sys.modules))"
    )

    done = subprocess.run(  # noqa: S603 - this interpreter and the text above
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "set()\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "declarations").mkdir()
    (tmp_path / "declarations" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    importlib.invalidate_caches()
    return importlib.import_module("declarations")


DECLARATION = """
from dataclasses import replace
from pipeline_assets.datasets import events

def conform(received):
    return events.conform(received)

DATASET = replace(
    events.DATASET, name={name!r}, conform=conform, gold=(), serving=(), first_seen=()
)
"""


def test_a_file_more_is_a_dataset_more(package: ModuleType) -> None:
    folder = Path(package.__path__[0])
    (folder / "first.py").write_text(DECLARATION.format(name="zebras"))
    (folder / "second.py").write_text(DECLARATION.format(name="ants"))

    assert [dataset.name for dataset in registry.discover(package)] == ["ants", "zebras"]


def test_a_name_taken_twice_is_refused(package: ModuleType) -> None:
    for module in ("first.py", "second.py"):
        (Path(package.__path__[0]) / module).write_text(DECLARATION.format(name="ants"))

    with pytest.raises(DatasetDeclarationError, match="'ants' has the name of one of ants"):
        registry.discover(package)


def test_a_gold_table_of_another_dataset_is_refused(package: ModuleType) -> None:
    declaration = DECLARATION.replace("gold=()", "gold=events.DATASET.gold")
    for name in ("ants", "bees"):
        (Path(package.__path__[0]) / f"{name}.py").write_text(declaration.format(name=name))

    with pytest.raises(DatasetDeclarationError, match="gold table 'daily_event_summary'"):
        registry.discover(package)


def test_a_module_without_a_dataset_is_refused(package: ModuleType) -> None:
    (Path(package.__path__[0]) / "empty.py").touch()

    with pytest.raises(DatasetDeclarationError, match=r"declarations\.empty.*no DATASET"):
        registry.discover(package)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"name": "My Ranges"}, "'My Ranges' does not match"),
        ({"formats": frozenset()}, "no format"),
        ({"identity": ()}, "identity is empty"),
        ({"identity": (("event_id",), ())}, "identity is empty"),
        ({"quarantine_threshold": 10}, "10 is not a share"),
        (
            {
                "serving": (
                    ServingView(
                        name="v", description="", gold="g", partition_key="a", sort_key="b"
                    ),
                )
            },
            "a gold table 'g' that it does not have",
        ),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(changes: dict[str, object], cause: str) -> None:
    with pytest.raises(DatasetDeclarationError, match=cause):
        replace(DATASET, **changes)  # type: ignore[arg-type]  # the faults are the point


def fingerprint_of(package: ModuleType, source: str) -> str:
    """Fingerprint in a process of its own, as a reloaded code location would take it."""
    folder = Path(package.__path__[0])
    (folder / "ants.py").write_text(source)
    program = (
        f"import sys; sys.path.insert(0, {str(folder.parent)!r})\n"
        "from declarations.ants import DATASET\n"
        "from pipeline_assets.fingerprint import fingerprint\n"
        "print(fingerprint(DATASET))\n"
    )
    done = subprocess.run(  # noqa: S603 - this interpreter and the text above
        [sys.executable, "-B", "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_fingerprint_changes_with_the_code(package: ModuleType) -> None:
    source = DECLARATION.format(name="ants")
    first = fingerprint_of(package, source)

    assert re.fullmatch("[0-9a-f]{12}", first)
    assert fingerprint_of(package, source) == first
    mended = source.replace("events.conform(received)", "events.conform(received.reverse())")
    assert fingerprint_of(package, mended) != first


def test_the_fingerprint_depends_on_the_threshold() -> None:
    assert fingerprint(DATASET) == fingerprint(replace(DATASET))
    assert fingerprint(DATASET) != fingerprint(replace(DATASET, quarantine_threshold=0.2))
