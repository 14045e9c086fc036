"""Where a file's items stand in the table, and how a head becomes each of them."""

import json
from dataclasses import replace

from resources.ledger.codec import Item, dump
from resources.ledger.model import (
    EVENT_LIMIT,
    HISTORY_LIMIT,
    NOTE_LIMIT,
    UNFINISHED,
    DeadFile,
    Fault,
    FileHead,
    FileState,
    Landing,
    PendingFile,
    RequestedFile,
    Step,
    UnreportedFile,
    utc_now,
    utc_text,
)

PENDING_SHARDS = 4
"""Items below one partition key share 1,000 writes a second (DynamoDB developer guide,
"Best practices for designing and using partition keys effectively"); four shards give room."""

UNREPORTED = "unreported"


def head_key(file_id: str) -> tuple[str, str]:
    """Key of a file's head."""
    return f"file#{file_id}", "head"


def pending_shards(dataset: str) -> list[str]:
    """Partition keys below which a dataset's pending items stand."""
    return [f"pending#{dataset}#{shard}" for shard in range(PENDING_SHARDS)]


def pending_key(dataset: str, file_id: str, epoch: int) -> tuple[str, str]:
    """Key of a pending item: one per epoch, so clearing an old one never takes a newer one."""
    shard = int(file_id[:8], 16) % PENDING_SHARDS
    return f"pending#{dataset}#{shard}", f"{file_id}#{epoch:08d}"


def pending_key_of(head: FileHead) -> tuple[str, str]:
    """Key of the pending item of a head's epoch."""
    return pending_key(head.dataset, head.file_id, head.epoch)


def dead_partition(dataset: str) -> str:
    """Partition key below which a dataset's dead files stand."""
    return f"dead#{dataset}"


def dead_key(head: FileHead) -> tuple[str, str]:
    """Key of a dead file's item."""
    return dead_partition(head.dataset), head.file_id


def day_partition(dataset: str, file_date: str) -> str:
    """Partition key below which the files of a file date stand."""
    return f"day#{dataset}#{file_date}"


def head_item(head: FileHead) -> Item:
    """A head as an item."""
    pk, sk = head_key(head.file_id)
    return {"pk": pk, "sk": sk, **dump(head)}


def pending_item(head: FileHead) -> Item:
    """What planning needs to know of an unfinished file, as an item."""
    pk, sk = pending_key_of(head)
    pending = PendingFile(
        file_id=head.file_id,
        dataset=head.dataset,
        epoch=head.epoch,
        attempts=head.attempts,
        file_date=head.file_date,
        landed_at=head.landed_at,
        due_at=head.due_at,
        wait=head.wait,
        alone=head.alone,
    )
    return {"pk": pk, "sk": sk, **dump(pending)}


def day_item(head: FileHead) -> Item:
    """The file in the list of its file date, as an item."""
    partition = day_partition(head.dataset, head.file_date)
    return {"pk": partition, "sk": head.file_id, "file_id": head.file_id}


def dead_item(head: FileHead) -> Item:
    """The file in the list of dead ones, as an item."""
    pk, sk = dead_key(head)
    unknown = Fault(kind="Unknown", message="no error was kept", at=utc_text(utc_now()))
    dead = DeadFile(
        file_id=head.file_id,
        dataset=head.dataset,
        epoch=head.epoch,
        key=head.key,
        attempts=head.attempts,
        error=head.error or unknown,
    )
    return {"pk": pk, "sk": sk, **dump(dead)}


def unreported_key(file_id: str, epoch: int) -> tuple[str, str]:
    """Key of the item that stands until a dead file's letter was sent."""
    return UNREPORTED, f"{file_id}#{epoch:08d}"


def unreported_item(head: FileHead) -> Item:
    """The dead file in the list of those whose letter is to be sent, as an item."""
    pk, sk = unreported_key(head.file_id, head.epoch)
    return {"pk": pk, "sk": sk, **dump(UnreportedFile(head.file_id, head.epoch))}


def first_head(landing: Landing) -> FileHead:
    """Head of a file that was never seen before."""
    now = utc_text(utc_now())
    return FileHead(
        file_id=landing.file_id,
        bucket=landing.bucket,
        key=landing.key,
        dataset=landing.dataset,
        etag=landing.etag,
        size=landing.size,
        landed_at=utc_text(landing.landed_at),
        file_date=landing.file_date.isoformat(),
        epoch=1,
        attempts=0,
        state=FileState.LANDED,
        due_at=now,
        event=landing.event[:EVENT_LIMIT] if landing.event else None,
        history=(
            Step(at=now, state=FileState.LANDED, epoch=1, attempt=0, note=_brought_by(landing)),
        ),
    )


def _brought_by(landing: Landing) -> str:
    """How a file came to be known; the notification itself is kept until the file is loaded."""
    if not landing.event:
        return "found by listing the bucket: no notification had come"
    name = json.loads(landing.event).get("eventName", "of a kind that it does not name")
    return f"brought by the notification {name}"[:NOTE_LIMIT]


def next_epoch(before: FileHead, landed: FileHead, why: str) -> FileHead:
    """Head of a known file whose key holds other bytes, or that is to be loaded again.

    What was loaded of an older epoch keeps counting until the new one is loaded.
    """
    fresh = replace(
        landed,
        epoch=before.epoch + 1,
        attempts=0,
        state=FileState.LANDED,
        due_at=utc_text(utc_now()),
        wait=0.0,
        alone=False,
        error=None,
        run_id=None,
        loaded_epoch=before.loaded_epoch,
        dates=before.dates,
        former_dates=before.former_dates,
    )
    return with_history(before, fresh, why)


def with_history(before: FileHead, after: FileHead, note: str | None = None) -> FileHead:
    """The later head with the earlier one's history and the step between them."""
    step = Step(
        at=utc_text(utc_now()),
        state=after.state,
        epoch=after.epoch,
        attempt=after.attempts,
        run_id=after.run_id,
        note=(note or (after.error.message if after.error else "")).strip()[:NOTE_LIMIT] or None,
    )
    history = (*before.history, step)[-HISTORY_LIMIT:]
    return replace(after, turn=before.turn + 1, history=history)


def loaded_key_of(head: FileHead) -> tuple[str, str]:
    """Key of the pending item of the epoch that was loaded, which need not be the head's."""
    return pending_key(head.dataset, head.file_id, head.loaded_epoch)


def is_loaded(planned: RequestedFile, head: FileHead) -> bool:
    """Whether the planned epoch was loaded, though its pending item still stands."""
    return head.loaded_epoch == planned.epoch


def is_as_planned(planned: RequestedFile, head: FileHead) -> bool:
    """Whether the file can be loaded as it was planned."""
    as_planned = (head.epoch, head.attempts) == (planned.epoch, planned.attempts)
    return as_planned and head.state in UNFINISHED


def is_superseded(planned: RequestedFile, head: FileHead) -> bool:
    """Whether the file is to be loaded, but at a later attempt or epoch than was planned."""
    later = (head.epoch, head.attempts) > (planned.epoch, planned.attempts)
    return later and head.state in UNFINISHED


def is_over(planned: RequestedFile, head: FileHead | None) -> bool:
    """Whether nothing is left to do for the planned epoch, or it never came to be."""
    if head is None or head.epoch != planned.epoch:
        return True
    return head.state in {FileState.DEAD, FileState.GONE}


def is_forgotten(planned: RequestedFile, head: FileHead) -> bool:
    """Whether the planned epoch is the one at which the file was forgotten."""
    return head.state is FileState.FORGOTTEN and head.epoch == planned.epoch
