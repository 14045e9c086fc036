"""What the ledger knows, told to a person: the state of the pipeline and one file's story."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import UnknownFileError
from pipeline_assets.registry import datasets
from resources.landfall import Landfall
from resources.ledger.model import (
    UNFINISHED,
    DateHead,
    DeadFile,
    FileHead,
    FileState,
    Fragment,
    PendingFile,
    RequestState,
    RunRequest,
    file_id,
    utc_now,
)

STRAYS = "(no dataset)"
NEXT = {
    FileState.LANDED: "Waits for a run: `landfall work --until-idle`, or the landing sensor.",
    FileState.QUEUED: "A run was requested and has not begun.",
    FileState.LOADING: "A run is loading it.",
    FileState.LOADED: (
        "Nothing to do: its rows count in the dates above, or will when they are refreshed."
    ),
    FileState.FAILED: "Is tried again by itself once it is due.",
    FileState.DEAD: (
        "Nothing tries it again by itself. Mend the file and land it at the same key, delete the "
        "object, or materialize its bronze partition by hand to load the same bytes again."
    ),
    FileState.GONE: "It was deleted before it was loaded; land it again if it is needed.",
}


@dataclass(frozen=True)
class DatasetStatus:
    """One dataset now; ages are in seconds."""

    dataset: str
    files: dict[str, int]
    backlog: int
    oldest_pending_seconds: float | None
    dirty_dates: tuple[str, ...]
    held_dates: dict[str, str]
    requests: int


@dataclass(frozen=True)
class Status:
    """The pipeline now."""

    datasets: tuple[DatasetStatus, ...]
    dead: tuple[DeadFile, ...]
    queue_waiting: int
    queue_in_flight: int
    dead_letter_messages: int

    @property
    def needs_a_person(self) -> bool:
        """Whether something is dead or held."""
        return bool(self.dead) or any(each.held_dates for each in self.datasets)


@dataclass(frozen=True)
class Story:
    """Everything about one file."""

    head: FileHead
    state: FileState
    request: RunRequest | None
    fragments: tuple[Fragment, ...]
    dates: tuple[DateHead, ...]
    held: dict[str, str]
    what_next: str


def status(landfall: Landfall) -> Status:
    """The state of everything. Reads the whole ledger once: for people, not for sensors."""
    heads: dict[str, list[FileHead]] = {dataset.name: [] for dataset in datasets()}
    strays: list[FileHead] = []
    for head in landfall.ledger.files.all():
        heads.get(head.dataset, strays).append(head)
    every = [_dataset_status(landfall, each, heads[each.name]) for each in datasets()]
    if strays:
        every.append(DatasetStatus(STRAYS, _states(strays, ()), 0, None, (), {}, 0))
    prefixes = dict.fromkeys([*heads, *(head.dataset for head in strays)])
    dead = [each for prefix in prefixes for each in landfall.ledger.files.dead(prefix)]
    waiting, in_flight = landfall.queue.depth()
    return Status(
        datasets=tuple(every),
        dead=tuple(dead),
        queue_waiting=waiting,
        queue_in_flight=in_flight,
        dead_letter_messages=landfall.queue.dead_letters(),
    )


def _dataset_status(
    landfall: Landfall, dataset: Dataset, heads: Sequence[FileHead]
) -> DatasetStatus:
    requests = landfall.ledger.requests.open(dataset.name).requests
    pending = landfall.ledger.files.pending(dataset.name)
    dirty = landfall.ledger.dates.dirty(dataset.name)
    return DatasetStatus(
        dataset=dataset.name,
        files=_states(heads, requests),
        backlog=len(pending),
        oldest_pending_seconds=_oldest(pending),
        dirty_dates=tuple(each.event_date for each in dirty if not each.held),
        held_dates={each.event_date: each.held.message for each in dirty if each.held},
        requests=len(requests),
    )


def _states(heads: Sequence[FileHead], requests: Sequence[RunRequest]) -> dict[str, int]:
    carried = _carried(requests)
    counts = Counter(_state(head, carried) for head in heads)
    return {state.value: counts[state] for state in FileState if counts[state]}


_Carried: TypeAlias = Mapping[tuple[str, int], RunRequest]


def _carried(requests: Sequence[RunRequest]) -> _Carried:
    """Standing requests by the (file id, epoch) of the files they carry."""
    return {
        (file.file_id, file.epoch): request for request in requests for file in request.run.files
    }


def _state(head: FileHead, carried: _Carried) -> FileState:
    """A file's state, the run request that carries it taken into account."""
    request = carried.get((head.file_id, head.epoch))
    if request is None or head.state not in UNFINISHED:
        return head.state
    return FileState.QUEUED if request.state is RequestState.QUEUED else FileState.LOADING


def _oldest(pending: Sequence[PendingFile]) -> float | None:
    if not pending:
        return None
    oldest = min(datetime.fromisoformat(each.landed_at) for each in pending)
    return max(0.0, (utc_now() - oldest).total_seconds())


def explain(landfall: Landfall, name: str) -> Story:
    """The story of a file.

    Args:
        landfall: where to look.
        name: its key, with or without ``s3://BUCKET/``, or its file id.

    Raises:
        UnknownFileError: the ledger knows no such file.
    """
    key = name.removeprefix(f"s3://{landfall.bucket.name}/")
    head = landfall.ledger.files.head(file_id(landfall.bucket.name, key))
    head = head or landfall.ledger.files.head(name)
    if head is None:
        raise UnknownFileError(name)
    carried = _carried(landfall.ledger.requests.open(head.dataset).requests)
    state = _state(head, carried)
    dates = landfall.ledger.dates.heads(head.dataset, head.dates)
    dirty = landfall.ledger.dates.dirty(head.dataset) if head.dates else []
    held = {e.event_date: e.held.message for e in dirty if e.held and e.event_date in head.dates}
    return Story(
        head=head,
        state=state,
        request=carried.get((head.file_id, head.epoch)),
        fragments=tuple(_fragments(landfall, head)),
        dates=tuple(dates[day] for day in sorted(dates)),
        held=held,
        what_next=_what_next(head, state, held),
    )


def _what_next(head: FileHead, state: FileState, held: Mapping[str, str]) -> str:
    if state is FileState.DEAD and head.dataset not in {each.name for each in datasets()}:
        return "Delete the object, and land the file below the prefix of a dataset."
    if state is FileState.LOADED and held:
        return (
            f"It is loaded, but held, with the former tables: {', '.join(sorted(held))}. If this "
            "file is the cause, land a sound one at the same key."
        )
    return NEXT[state]


def _fragments(landfall: Landfall, head: FileHead) -> list[Fragment]:
    return [
        entry
        for day in head.dates
        for entry in landfall.ledger.dates.manifest(head.dataset, day)
        if entry.file_id == head.file_id
    ]
