"""Which local files land at which keys."""

from pathlib import Path

import pytest

from pipeline_assets.errors import (
    ConfigurationError,
    NothingToLandError,
    SameKeyError,
    UnknownDatasetError,
    UnsupportedFormatError,
)
from pipeline_assets.upload import plan_uploads


def made(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def keys(*paths: Path, key: str | None = None) -> list[str]:
    return [each.key for each in plan_uploads(paths, "events", key)]


def test_a_folder_keeps_its_tree_below_the_dataset(tmp_path: Path) -> None:
    folder = made(tmp_path, "dt=2025-03-01/a.csv", "b.csv")
    assert keys(folder) == ["events/b.csv", "events/dt=2025-03-01/a.csv"]


def test_a_file_lands_at_its_name_or_at_the_key_that_is_given(tmp_path: Path) -> None:
    path = made(tmp_path, "a.csv") / "a.csv"
    assert keys(path) == ["events/a.csv"]
    assert keys(path, key="dt=2025-03-01/x.csv") == ["events/dt=2025-03-01/x.csv"]
    assert keys(path, key="events/x.csv") == ["events/x.csv"]


def test_two_files_of_one_name_are_refused_instead_of_one_replacing_the_other(
    tmp_path: Path,
) -> None:
    folder = made(tmp_path, "a/x.csv", "b/x.csv")
    with pytest.raises(SameKeyError, match=r"a/x\.csv and .*b/x\.csv .*events/x\.csv"):
        keys(folder / "a" / "x.csv", folder / "b" / "x.csv")


def test_a_key_is_for_a_single_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="exactly one file"):
        keys(made(tmp_path, "a.csv"), key="x.csv")


def test_folders_without_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(NothingToLandError, match=tmp_path.name):
        keys(tmp_path)


def test_an_unknown_dataset_is_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownDatasetError, match=r"'sales'.*events"):
        plan_uploads([made(tmp_path, "a.csv")], "sales", None)


def test_a_name_that_the_dataset_would_refuse_is_refused_before_anything_lands(
    tmp_path: Path,
) -> None:
    folder = made(tmp_path, "app.log", "app.jsonl.gz", "notes.txt")
    with pytest.raises(UnsupportedFormatError, match=r"logs/notes\.txt: .*'\.txt'.*\.log"):
        plan_uploads([folder], "logs", None)

    (folder / "notes.txt").unlink()
    assert len(plan_uploads([folder], "logs", None)) == 2


@pytest.mark.parametrize("key", ["", "/x.csv", "dt=2025-03-01/../x.csv", "a//b.csv", "."])
def test_a_key_that_is_no_place_is_refused(tmp_path: Path, key: str) -> None:
    path = made(tmp_path, "a.csv") / "a.csv"

    with pytest.raises(ConfigurationError, match="is no place"):
        keys(path, key=key)
