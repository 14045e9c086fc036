"""Replay: landed files get their next epoch and are loaded again, without being uploaded again.

``select`` finds the files, ``judge`` says what the key of each holds now, ``replay`` acts. The
rows of a file stay until its new epoch is loaded; a run that is loading an older epoch meanwhile
finishes nothing.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import NothingSelectedError, WrongSelectionError
from pipeline_assets.landings import current, landing, prefix_of
from pipeline_assets.operations.affected import Affected, affected
from pipeline_assets.registry import dataset as find_dataset
from pipeline_assets.registry import datasets
from pipeline_assets.report import file_named
from resources.landfall import Landfall
from resources.landing_zone import StoredObject
from resources.ledger.model import NO_DATASET, FileHead, FileState, Landing, utc_text
from resources.parallel import in_parallel

FILES_PER_STEP = 64
"""Files that are put back together: how far a crash is from what was shown as done."""

Advance = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which files are meant: one key, a date or all of them, then narrowed.

    Attributes:
        key: key of a file, with or without ``s3://BUCKET/``, or its file id.
        date: files whose file date it is, and files that have rows for that event date.
        all: every file.
        dataset: only files of this dataset, or below its prefix.
        dead: only files that nothing tries again by itself.

    Raises:
        WrongSelectionError: not exactly one of the first three, or a date that is none.
        UnknownDatasetError: there is no such dataset.
    """

    key: str | None = None
    date: str | None = None
    all: bool = False
    dataset: str | None = None
    dead: bool = False

    def __post_init__(self) -> None:
        if (self.key is not None) + (self.date is not None) + self.all != 1:
            raise WrongSelectionError(
                "Give exactly one of --key, --date and --all; --dead takes the dead ones of those."
            )
        if self.date is not None and not _is_date(self.date):
            raise WrongSelectionError(
                f"{self.date!r} is no date: write it as YYYY-MM-DD, such as 2025-01-31."
            )
        if self.dataset is not None:
            find_dataset(self.dataset)

    def __str__(self) -> str:
        what = "dead file" if self.dead else "file"
        of = f" of {self.dataset}" if self.dataset else ""
        if self.key is not None:
            return f"{what}{of} at the key {self.key!r}"
        return f"{what}{of} of {self.date}" if self.date else f"{what}{of} to replay"

    def admits(self, head: FileHead) -> bool:
        """Whether a file is one of the dataset and the state that are meant.

        What was forgotten, or deleted before it was loaded, comes back only when it is named.
        """
        ended = head.state in {FileState.FORGOTTEN, FileState.GONE}
        if (self.dead and head.state is not FileState.DEAD) or (ended and self.key is None):
            return False
        return self.dataset is None or self.dataset in {head.dataset, _adopting(head)}


class Fate(StrEnum):
    """What a replay makes of a file."""

    SAME_BYTES = "loaded again"
    OTHER_BYTES = "loaded from the other bytes that its key holds now"
    ADOPTED = "loaded for the first time, since its prefix has become a dataset"
    OBJECT_GONE = "left as it is: its object is gone, so there is nothing to load"
    NO_DATASET = "left as it is: no dataset has its prefix; add one, or land it below another"


LEFT = frozenset({Fate.OBJECT_GONE, Fate.NO_DATASET})


@dataclass(frozen=True)
class Candidate:
    """A selected file, what becomes of it, and what its key holds now."""

    head: FileHead
    fate: Fate
    now: Landing | None = None


@dataclass(frozen=True)
class ReplayPlan:
    """What a replay would do, and what it touches; ``left`` is what it would leave alone."""

    again: tuple[Candidate, ...]
    left: tuple[Candidate, ...]
    affected: Affected


def select(landfall: Landfall, selection: Selection) -> list[FileHead]:
    """The files that are meant, sorted by key.

    Raises:
        UnknownFileError: the ledger knows no file at that key.
        NothingSelectedError: it knows none that is as asked for.
    """
    found = {head.file_id: head for head in _found(landfall, selection) if selection.admits(head)}
    if not found:
        raise NothingSelectedError(str(selection))
    return sorted(found.values(), key=lambda head: head.key)


def _found(landfall: Landfall, selection: Selection) -> Iterable[FileHead]:
    if selection.key is not None:
        return [file_named(landfall, selection.key)]
    if selection.date is not None:
        return _of_date(landfall, selection.date)
    return _dead(landfall) if selection.dead else landfall.ledger.files.all()


def _of_date(landfall: Landfall, day: str) -> Iterator[FileHead]:
    files = landfall.ledger.files
    for dataset in datasets():
        yield from files.of_date(dataset.name, day)
        counting = landfall.ledger.dates.manifest(dataset.name, day)
        yield from files.heads(entry.file_id for entry in counting).values()
    yield from (head for head in _dead(landfall) if head.file_date == day)


def _dead(landfall: Landfall) -> Iterator[FileHead]:
    files = landfall.ledger.files
    for name in (*(dataset.name for dataset in datasets()), NO_DATASET):
        yield from files.heads(each.file_id for each in files.dead(name)).values()


def plan_replay(
    landfall: Landfall, heads: Sequence[FileHead], advance: Advance = lambda: None
) -> ReplayPlan:
    """What would become of the files; asks for each object, and calls ``advance`` after each."""

    def look(head: FileHead) -> Candidate:
        candidate = judge(head, landfall.bucket.stat(head.key), _dataset_of(head))
        advance()
        return candidate

    candidates = in_parallel(look, heads, threads=landfall.settings.io_threads)
    again = tuple(each for each in candidates if each.fate not in LEFT)
    return ReplayPlan(
        again=again,
        left=tuple(each for each in candidates if each.fate in LEFT),
        affected=affected(landfall, [each.head for each in again]),
    )


def judge(head: FileHead, stored: StoredObject | None, dataset: Dataset | None) -> Candidate:
    """What becomes of a file whose key holds ``stored`` and whose prefix is ``dataset``'s."""
    if stored is None:
        return Candidate(head, Fate.OBJECT_GONE)
    if dataset is None:
        return Candidate(head, Fate.NO_DATASET)
    now = landing(dataset, head.bucket, head.key, stored)
    if head.dataset != dataset.name:
        return Candidate(head, Fate.ADOPTED, now)
    same = stored.etag == head.etag
    return Candidate(head, Fate.SAME_BYTES if same else Fate.OTHER_BYTES, now)


def replay(
    landfall: Landfall, plan: ReplayPlan, *, why: str, advance: Advance = lambda: None
) -> int:
    """Put the planned files back, a few at a time, and call ``advance`` after each file.

    Returns:
        How many were put back; the others turned meanwhile by themselves.
    """
    count = 0
    for start in range(0, len(plan.again), FILES_PER_STEP):
        step = plan.again[start : start + FILES_PER_STEP]
        heads = [_as_it_is(each) for each in step if each.fate is not Fate.OTHER_BYTES]
        count += len(landfall.ledger.files.put_back(heads, why))
        count += _overwrite(landfall, [each for each in step if each.fate is Fate.OTHER_BYTES])
        for _ in step:
            advance()
    return count


def _as_it_is(candidate: Candidate) -> FileHead:
    """The head to be put back; one that is adopted belongs to its dataset from here on."""
    head, now = candidate.head, candidate.now
    if candidate.fate is not Fate.ADOPTED or now is None:
        return head
    return replace(
        head,
        dataset=now.dataset,
        file_date=now.file_date.isoformat(),
        etag=now.etag,
        size=now.size,
        landed_at=utc_text(now.landed_at),
    )


def _overwrite(landfall: Landfall, candidates: Collection[Candidate]) -> int:
    """Register the other bytes as their notification would have."""
    landings = [each.now for each in candidates if each.now is not None]
    landfall.ledger.files.register(
        landings, lambda each: current(landfall, find_dataset(each.dataset), each.key)
    )
    return len(landings)


def _dataset_of(head: FileHead) -> Dataset | None:
    name = prefix_of(head.key) if head.dataset == NO_DATASET else head.dataset
    return next((each for each in datasets() if each.name == name), None)


def _adopting(head: FileHead) -> str | None:
    """Name of the dataset whose prefix a file has that was landed below none."""
    return prefix_of(head.key) if head.dataset == NO_DATASET else None


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
