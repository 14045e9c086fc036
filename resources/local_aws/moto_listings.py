"""Pages of a bucket that cost what is on them, however much lies in the bucket.

moto goes through all objects of a bucket and sorts those it finds, for each page. Here the names
are kept in order, and moto is shown the objects alone that a page can have.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from moto.s3.models import FakeBucket, FakeDeleteMarker, S3Backend
from moto.s3.utils import _VersionedKeyStore

from resources.local_aws.moto_replacement import Replacement

Page: TypeAlias = tuple[list[Any], bool, str | None]

NAMES = "_names"
"""Where a store keeps its names in order, once they were asked for; snapshots leave it out."""


def _names(store: _VersionedKeyStore) -> list[str]:
    names: list[str] | None = vars(store).get(NAMES)
    if names is None or len(names) != len(store):
        names = vars(store)[NAMES] = sorted(store)
    return names


def _set(original: Callable[..., None]) -> Callable[..., None]:
    def set_item(store: _VersionedKeyStore, key: str, value: Any) -> None:  # noqa: ANN401 - moto's
        names = vars(store).get(NAMES)
        if names is not None and key not in store:
            insort(names, key)
        original(store, key, value)

    return set_item


def _pop(original: Callable[..., None]) -> Callable[..., None]:
    def pop(store: _VersionedKeyStore, key: str) -> None:
        names = vars(store).get(NAMES)
        if names is not None and key in store:
            del names[bisect_left(names, key)]
        original(store, key)

    return pop


def _list(original: Callable[..., Page]) -> Callable[..., Page]:
    def list_objects_v2(  # noqa: PLR0913,PLR0917 - moto's
        backend: S3Backend,
        bucket: FakeBucket,
        prefix: str | None,
        delimiter: str | None,
        continuation_token: str | None,
        start_after: str | None,
        max_keys: int,
    ) -> Page:
        tokens = backend._pagination_tokens  # noqa: SLF001 - no hook
        after = tokens.get(continuation_token) if continuation_token else start_after
        listed = _listed(bucket.keys, prefix or "", after or "")
        # What is grouped cannot be counted before moto groups it.
        shown = _showing(bucket, listed, None if delimiter else max_keys + 1)
        return original(
            backend, shown, prefix, delimiter, continuation_token, start_after, max_keys
        )

    return list_objects_v2


def _listed(store: _VersionedKeyStore, prefix: str, after: str) -> Iterator[str]:
    """Names with a prefix that come after another, in order."""
    names = _names(store)
    begin = max(bisect_left(names, prefix), bisect_right(names, after) if after else 0)
    for number in range(begin, len(names)):
        if not names[number].startswith(prefix):
            return
        yield names[number]


def _showing(bucket: FakeBucket, names: Iterator[str], most: int | None) -> FakeBucket:
    """The bucket with some of its names, and with so many objects at most that are not deleted."""
    store = _VersionedKeyStore()
    objects = 0
    for name in names:
        versions = dict.__getitem__(bucket.keys, name)
        dict.__setitem__(store, name, versions)
        objects += not isinstance(versions[-1], FakeDeleteMarker)
        if objects == most:
            break
    shown = object.__new__(type(bucket))  # moto would keep track of one that it makes
    vars(shown).update(vars(bucket), keys=store)
    return shown


REPLACEMENTS = (
    Replacement(_VersionedKeyStore, "__setitem__", _set),
    Replacement(_VersionedKeyStore, "setlist", _set),
    Replacement(_VersionedKeyStore, "pop", _pop),
    Replacement(S3Backend, "list_objects_v2", _list),
)
