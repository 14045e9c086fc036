"""What the ledger knows, told to a person: the state of the pipeline."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import UnknownFileError, UnregisteredFileError
from pipeline_assets.registry import datasets
from resources.landfall import Landfall
from resources.ledger.model import (
    NO_DATASET,
    UNFINISHED,
    DeadFile,
    FileHead,
    FileState,
    PendingFile,
    RequestState,
    RunRequest,
    file_id,
    utc_now,
    utc_text,
)

KEY_BYTES = 1024
"""A key is no longer ("Creating object key names", Amazon S3 User Guide)."""


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
    """The pipeline now.

    Attributes:
        datasets: each of them; objects below none come last, if there are any.
        dead: files that nothing tries again by itself.
        has_queue: whether the settings name a landing queue; without one its counts are 0.
        queue_waiting: messages of the landing queue that wait.
        queue_in_flight: messages that were received and are not settled.
        dead_letter_messages: messages in the landing queue's dead-letter queue.
    """

    datasets: tuple[DatasetStatus, ...]
    dead: tuple[DeadFile, ...]
    has_queue: bool
    queue_waiting: int
    queue_in_flight: int
    dead_letter_messages: int

    @property
    def needs_a_person(self) -> bool:
        """Whether something is dead or held."""
        return bool(self.dead) or any(each.held_dates for each in self.datasets)


def status(landfall: Landfall) -> Status:
    """The state of everything. Reads the whole ledger once: for people, not for sensors."""
    heads: dict[str, list[FileHead]] = {dataset.name: [] for dataset in datasets()}
    strays: list[FileHead] = []
    for head in landfall.ledger.files.all():
        heads.get(head.dataset, strays).append(head)
    every = [_dataset_status(landfall, each, heads[each.name]) for each in datasets()]
    if strays:
        every.append(DatasetStatus(NO_DATASET, _states(strays, ()), 0, None, (), {}, 0))
    dead = [each for name in (*heads, NO_DATASET) for each in landfall.ledger.files.dead(name)]
    waiting, in_flight = landfall.queue.depth()
    return Status(
        datasets=tuple(every),
        dead=tuple(dead),
        has_queue=landfall.queue.exists,
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
    carried = carried_by(requests)
    counts = Counter(state_of(head, carried) for head in heads)
    return {state.value: counts[state] for state in FileState if counts[state]}


Carried: TypeAlias = Mapping[tuple[str, int], RunRequest]


def carried_by(requests: Sequence[RunRequest]) -> Carried:
    """Standing requests by the (file id, epoch) of the files they carry."""
    return {
        (file.file_id, file.epoch): request for request in requests for file in request.run.files
    }


def state_of(head: FileHead, carried: Carried) -> FileState:
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


def file_named(landfall: Landfall, name: str) -> FileHead:
    """A file by its key, with or without ``s3://BUCKET/``, or by its file id.

    Raises:
        UnregisteredFileError: an object has landed at that key, which the ledger does not know yet.
        UnknownFileError: nobody knows such a file.
    """
    key = name.removeprefix(f"s3://{landfall.bucket.name}/")
    try:
        length = len(key.encode())
    except UnicodeEncodeError:  # an argument that is no UTF-8, which every key is
        raise UnknownFileError(name) from None
    head = landfall.ledger.files.head(file_id(landfall.bucket.name, key))
    head = head or landfall.ledger.files.head(name)
    if head is not None:
        return head
    stored = landfall.bucket.stat(key) if 0 < length <= KEY_BYTES else None
    if stored is None:
        raise UnknownFileError(name)
    raise UnregisteredFileError(
        key,
        size=stored.size,
        landed_at=utc_text(stored.modified_at),
        what_next=_registering(landfall, key),
    )


def _registering(landfall: Landfall, key: str) -> str:
    """How an object that has landed comes to the ledger."""
    if key.split("/", 1)[0] not in {each.name for each in datasets()}:
        return (
            "It will be registered as dead, for its prefix is that of no dataset: delete it, and "
            "land it below the prefix of a dataset."
        )
    if not landfall.queue.exists:
        return (
            "No queue is set, so the next walk through the bucket registers it: that of the "
            "reconcile sensor, of `landfall work --until-idle`, or `landfall reconcile` at once."
        )
    return (
        "Its notification is taken up by the next tick: that of the landing sensor, or `landfall "
        "work --until-idle`. If it was lost, `landfall reconcile` registers the file."
    )
