"""Local files onto the landing bucket."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline_assets.errors import ConfigurationError, NothingToLandError, SameKeyError
from pipeline_assets.parsing.detection import refuse_other_suffixes
from pipeline_assets.registry import dataset as find_dataset
from resources.landfall import Landfall


@dataclass(frozen=True)
class Upload:
    """A local file and the key that it lands at; ``size`` in bytes."""

    path: Path
    key: str
    size: int


def plan_uploads(paths: Sequence[Path], dataset: str, key: str | None) -> list[Upload]:
    """Which files land where: a file below its name, a folder's files below their relative paths.

    Raises:
        UnknownDatasetError: there is no such dataset.
        ConfigurationError: ``key`` was given for something else than one file.
        NothingToLandError: the folders hold no file.
        UnsupportedFormatError: the dataset refuses one of the keys for its suffix.
    """
    found = find_dataset(dataset)
    prefix = found.name
    if key is not None and (len(paths) != 1 or not paths[0].is_file()):
        raise ConfigurationError("--key names the place of one file: give exactly one file.")
    if key is not None and not set(key.split("/")).isdisjoint({"", ".", ".."}):
        raise ConfigurationError(
            f"--key {key!r} is no place: give names with a slash between them, such as "
            "dt=2025-01-31/web.csv."
        )
    named = [pair for path in paths for pair in _named(path)]
    if not named:
        raise NothingToLandError([str(path) for path in paths])
    uploads = [
        Upload(path, f"{prefix}/{(key or name).removeprefix(f'{prefix}/')}", path.stat().st_size)
        for path, name in named
    ]
    _refuse_collisions(uploads)
    for each in uploads:
        refuse_other_suffixes(each.key, found.suffixes)
    return uploads


def _refuse_collisions(uploads: Sequence[Upload]) -> None:
    first: dict[str, Path] = {}
    for each in uploads:
        other = first.setdefault(each.key, each.path)
        if other != each.path:
            raise SameKeyError(each.key, str(other), str(each.path))


def _named(path: Path) -> Iterator[tuple[Path, str]]:
    if path.is_file():
        yield path, path.name
        return
    for file in sorted(each for each in path.rglob("*") if each.is_file()):
        yield file, file.relative_to(path).as_posix()


def upload(
    landfall: Landfall, uploads: Sequence[Upload], advance: Callable[[], None]
) -> list[Upload]:
    """Upload in parallel; ``advance`` is called after each file."""

    def put(each: Upload) -> Upload:
        landfall.bucket.upload(each.path, each.key)
        advance()
        return each

    with ThreadPoolExecutor(landfall.settings.io_threads) as pool:
        return list(pool.map(put, uploads))
