"""A landed file of any size, of which the bench's local AWS keeps no copy."""

import hashlib
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from bench.large import file_objects
from bench.stage.home import Home, open_home
from resources.landing_zone import EventKind

KEY = "events/dt=2025-03-10/large.csv"
SIZE = 3_000_001


@pytest.fixture(scope="module")
def content() -> bytes:
    return b"".join(hashlib.sha256(b"%d" % each).digest() for each in range(SIZE // 32 + 1))[:SIZE]


@pytest.fixture(scope="module")
def home(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("file-objects")
    file = folder / "large.csv"
    file.write_bytes(content)
    with open_home(folder / "home", server=file_objects.MODULE) as opened:
        file_objects.land(opened, file, KEY)
        yield opened


def test_it_is_announced_and_fetched_as_any_landed_object(home: Home, content: bytes) -> None:
    landfall = home.landfall()
    [[message]] = landfall.queue.receive(10)
    assert message.events is not None
    [event] = message.events
    stored = landfall.bucket.stat(KEY)
    assert stored is not None
    fetched = home.folder / "fetched"

    landfall.bucket.download(KEY, event.etag, fetched)

    assert (event.kind, event.key, event.size) == (EventKind.CREATED, KEY, SIZE)
    assert (stored.etag, stored.size) == (event.etag, SIZE)
    assert fetched.read_bytes() == content


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [("bytes=0-9", 0, 10), ("bytes=1000000-1999999", 1_000_000, 2_000_000), ("bytes=7-", 7, SIZE)],
)
def test_a_range_of_it_is_handed_over(
    home: Home, content: bytes, asked: str, first: int, end: int
) -> None:
    landfall = home.landfall()

    answer = landfall.aws.s3.get_object(Bucket=landfall.bucket.name, Key=KEY, Range=asked)

    assert answer["ContentRange"] == f"bytes {first}-{end - 1}/{SIZE}"
    assert answer["Body"].read() == content[first:end]


def test_other_bytes_than_were_registered_are_refused(home: Home) -> None:
    landfall = home.landfall()

    with pytest.raises(ClientError, match="412"):
        landfall.aws.s3.get_object(Bucket=landfall.bucket.name, Key=KEY, IfMatch='"other"')
