"""The local AWS with a landing bucket as large as one likes.

A few files go through the pipeline; their objects and all that the ledger keeps of them are then
repeated under other keys, in moto's own state, which a local AWS starts from. Dates and tables are
those of the few, and say nothing of the repeated ones.
"""

import argparse
import copy
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.stage import single_files
from bench.stage.home import local_aws, open_home
from resources.landfall import Landfall
from resources.ledger.model import FileState, file_id
from resources.local_aws import server
from resources.local_aws.record import DATA_FILE
from resources.settings import Settings

if TYPE_CHECKING:
    from moto.dynamodb.models.dynamo_type import Item
    from moto.dynamodb.models.table import Table
    from moto.s3.models import S3Backend

MODULE = "bench.ticks.landed_bucket"
HEAD = "head"


@dataclass(frozen=True)
class Original:
    """A loaded file: its key, its id, and its items in the ledger, with their values as JSON."""

    key: str
    file_id: str
    items: tuple[tuple["Item", dict[str, str]], ...]

    def key_of(self, number: int) -> str:
        """Key of one of the files that repeat it."""
        path, _, ending = self.key.rpartition(".")
        return f"{path}-{number:07}.{ending}"

    def repeated(self, key: str, repeated_id: str) -> Iterator["Item"]:
        """The items of a file that repeats it; values that do not name the file are shared."""
        for item, texts in self.items:
            named = {
                name: text.replace(self.file_id, repeated_id).replace(self.key, key)
                for name, text in texts.items()
                if self.file_id in text or self.key in text
            }
            yield _changed(item, {name: json.loads(text) for name, text in named.items()})


def _changed(item: "Item", values: dict[str, Any]) -> "Item":
    """A copy with other values; moto's own ways would weigh every value of it again."""
    from moto.dynamodb.models.dynamo_type import DynamoType  # noqa: PLC0415 - after its settings

    changed = copy.copy(item)
    changed.attrs = type(item.attrs)()
    dict.update(changed.attrs, item.attrs)
    dict.update(changed.attrs, {name: DynamoType(value) for name, value in values.items()})
    changed.hash_key, changed.range_key = changed.attrs["pk"], changed.attrs["sk"]
    return changed


def loaded(folder: Path, dates: int) -> Path:
    """The data of a local AWS after a file for each of so many dates went through the pipeline."""
    with open_home(folder, keep=True) as home:
        landfall, days = home.landfall(), single_files.dates(dates)
        single_files.put_all(landfall, days)
        home.command("work", "--until-idle")
        single_files.assert_served(landfall, days)
    return folder / DATA_FILE


@contextmanager
def serving(data: Path, files: int, folder: Path) -> Iterator[Landfall]:
    """The pipeline's resources on a local AWS of its own with so many loaded files.

    Args:
        data: of `loaded`; it stays as it is.
        files: how many, those that are there included.
        folder: is made, the server's home.
    """
    folder.mkdir()
    (folder / DATA_FILE).symlink_to(data)
    settings = Settings(home=folder)
    wanted = ("--files", str(files))
    names = ("--bucket", settings.landing_bucket, "--table", settings.ledger_table)
    with local_aws(folder, MODULE, *wanted, *names) as home:
        yield home.landfall()


def main() -> int:
    """Serve as the local AWS does, once there are so many files."""
    parser = argparse.ArgumentParser(prog="bench.ticks.landed_bucket", description=__doc__)
    parser.add_argument("--files", type=int)
    parser.add_argument("--bucket")
    parser.add_argument("--table")
    options, others = parser.parse_known_args()
    os.environ.update(server.MOTO_SETTINGS)  # moto reads them when it is imported
    from resources.local_aws import snapshot  # noqa: PLC0415 - as above

    load = snapshot.load

    def load_and_repeat(path: Path) -> None:
        load(path)
        (s3,) = _backends("s3")
        (dynamodb,) = [each for each in _backends("dynamodb") if options.table in each.tables]
        _repeat(s3, dynamodb.tables[options.table], options.bucket, options.files)

    snapshot.load = load_and_repeat
    return server.main(others)


def _backends(service: str) -> list[Any]:
    """Backends of a service that have something in them, of any account and region."""
    from resources.local_aws.snapshot import SERVICES  # noqa: PLC0415 - after moto's settings

    found = [backend for regions in SERVICES[service].values() for backend in regions.values()]
    return [
        each for each in found if getattr(each, "buckets", None) or getattr(each, "tables", None)
    ]


def _repeat(s3: "S3Backend", table: "Table", bucket: str, files: int) -> None:
    """Repeat files until there are so many.

    Raises:
        AssertionError: there are not.
    """
    originals = [(each, _content(s3, bucket, each.key)) for each in _originals(table)]
    for number in range(files - len(originals)):
        original, content = originals[number % len(originals)]
        key = original.key_of(number)
        s3.put_object(bucket, key, content, disable_notification=True)
        for item in original.repeated(key, file_id(bucket, key)):
            table.items[item.hash_key][item.range_key] = item
    heads = sum(_is_loaded_head(item) for item in _items(table))
    objects = sum(1 for _ in s3.get_bucket(bucket).keys)
    if not heads == objects == files:
        raise AssertionError(f"{objects} objects and {heads} loaded files, not {files}")


def _content(s3: "S3Backend", bucket: str, key: str) -> bytes:
    stored = s3.get_object(bucket, key)
    if stored is None:
        raise AssertionError(f"{key} is gone")
    content: bytes = stored.value
    return content


def _originals(table: "Table") -> list[Original]:
    items = [(item, _attributes(item)) for item in _items(table)]
    texts = [
        (item, {name: json.dumps(value) for name, value in attributes.items()})
        for item, attributes in items
    ]
    ids = {
        attributes["file_id"]["S"]: attributes["key"]["S"]
        for item, attributes in items
        if _is_loaded_head(item)
    }
    return [
        Original(key, known, tuple(pair for pair in texts if known in "".join(pair[1].values())))
        for known, key in ids.items()
    ]


def _items(table: "Table") -> Iterator["Item"]:
    for partition in table.items.values():
        yield from partition.values()


def _attributes(item: "Item") -> dict[str, Any]:
    attributes: dict[str, Any] = item.to_json()["Attributes"]
    return attributes


def _is_loaded_head(item: "Item") -> bool:
    if item.attrs["sk"].value != HEAD or not item.attrs["pk"].value.startswith("file#"):
        return False
    return bool(item.attrs["state"].value == FileState.LOADED)


if __name__ == "__main__":
    sys.exit(main())
