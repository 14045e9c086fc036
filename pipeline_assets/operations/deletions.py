"""Objects that were deleted: a file that was never loaded, or was given up, ends ``GONE``.

A notification says so, or a walk does not list a dead file. Either may be late, so the bucket is
asked once more, after the file's head was read: other bytes that landed there since change the
head, and then it is left as it is. Should the very same bytes land in between, the next walk finds
them.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from uuid import uuid4

from pipeline_assets.registry import datasets
from resources.landfall import Landfall
from resources.ledger.model import NO_DATASET, DeadFile, FileHead, FileState, file_id
from resources.parallel import in_parallel

DEAD_READ = 1_000
"""Dead files of a dataset that are read for a slice; of more, another part each time."""


@dataclass(frozen=True)
class Stretch:
    """The keys behind ``after`` up to ``last`` (``None``: all of them) that begin with a prefix.

    S3 lists keys in the order of their UTF-8 bytes, which is that of Python's strings.
    """

    after: str
    last: str | None
    prefix: str = ""

    def __contains__(self, key: str) -> bool:
        is_behind = key > self.after
        is_within = self.last is None or key <= self.last
        return is_behind and is_within and key.startswith(self.prefix)


def end_deleted(landfall: Landfall, stretch: Stretch, listed: Collection[str]) -> list[str]:
    """End the dead files of a stretch that a listing of it did not show.

    At most ``reconcile_heads`` of them, and of at most ``DEAD_READ`` of each dataset: those that
    are left are found by a later walk.

    Returns:
        Their keys.
    """
    unlisted = [each for each in _dead(landfall, stretch) if each.key not in listed]
    some = unlisted[: landfall.settings.reconcile_heads]
    heads = landfall.ledger.files.heads(each.file_id for each in some).values()
    dead = [each for each in heads if each.state is FileState.DEAD]
    ended = in_parallel(
        lambda head: end_if_deleted(landfall, head), dead, threads=landfall.settings.io_threads
    )
    return [head.key for head, has_ended in zip(dead, ended, strict=True) if has_ended]


def _dead(landfall: Landfall, stretch: Stretch) -> Iterator[DeadFile]:
    """Dead files of the stretch; what the ledger knows of other buckets is not looked at."""
    bucket, somewhere = landfall.bucket.name, uuid4().hex
    for name in (*(each.name for each in datasets()), NO_DATASET):
        for dead in landfall.ledger.files.some_dead(name, DEAD_READ, somewhere):
            if dead.key in stretch and dead.file_id == file_id(bucket, dead.key):
                yield dead


def end_if_deleted(landfall: Landfall, head: FileHead) -> bool:
    """End a file if its key holds nothing; a loaded one keeps its rows and its state.

    Args:
        landfall: the environment.
        head: of a file of the landing bucket, read before this, so that what landed since stays.

    Returns:
        Whether it ended.
    """
    return landfall.bucket.stat(head.key) is None and landfall.ledger.files.gone(head)
