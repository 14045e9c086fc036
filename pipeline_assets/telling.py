"""A file's history in sentences: pure, from the ledger's head alone."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from resources.ledger.model import FileHead, FileState, RequestState, RunRequest, Step

UNLOADED = "before it was loaded"


@dataclass(frozen=True)
class Sentence:
    """What happened, and when (ISO 8601, UTC)."""

    at: str
    text: str


def chapters(head: FileHead, request: RunRequest | None) -> tuple[Sentence, ...]:
    """Everything that is known to have happened to a file, in the order of time."""
    return (*_notification(head), *_history(head), *_under_way(head, request))


def _notification(head: FileHead) -> Iterator[Sentence]:
    """The notification that brought the file, which the ledger keeps until it is loaded."""
    record = _record(head)
    if record is None:
        return
    at, name = str(record.get("eventTime", "")), str(record.get("eventName", "an event"))
    source = record.get("requestParameters")
    address = source.get("sourceIPAddress") if isinstance(source, dict) else None
    sent = f", sent from {address}" if address else ""
    yield Sentence(at, f"S3 notified of it by {name}{sent}.")


def _record(head: FileHead) -> dict[str, object] | None:
    try:
        record = json.loads(head.event) if head.event else None
    except json.JSONDecodeError:  # a long one was cut
        return None
    return record if isinstance(record, dict) else None


def _history(head: FileHead) -> Iterator[Sentence]:
    if not head.history:
        return
    first = head.history[0]
    if (first.epoch, first.state) == (1, FileState.LANDED):
        yield Sentence(first.at, f"It was registered, {first.note or 'nobody noted how'}.")
    elif first.attempt == 0 and first.state == FileState.DEAD:
        yield Sentence(first.at, f"It was registered as dead at once: {_note(head, first)}")
    else:
        yield Sentence(first.at, f"Earlier steps are no longer kept. {_told(head, first, first)}")
    for before, step in pairwise(head.history):
        yield Sentence(step.at, _told(head, before, step))


def _told(head: FileHead, before: Step, step: Step) -> str:
    match step.state:
        case FileState.LANDED:
            return f"Epoch {step.epoch} began: {step.note or 'it is to be loaded again'}."
        case FileState.LOADED:
            return f"Attempt {step.attempt}{_by(step)} loaded it."
        case FileState.FAILED | FileState.DEAD:
            return _failed(head, before, step)
        case FileState.GONE:
            given_up = before.state == FileState.DEAD
            return f"Its object was deleted {'after it was given up' if given_up else UNLOADED}."
        case FileState.FORGOTTEN:
            return f"Its rows were taken out on purpose: {step.note or 'no reason was given'}."
    return f"{step.state}: {step.note}"


def _failed(head: FileHead, before: Step, step: Step) -> str:
    why = _note(head, step)
    counted = step.attempt > before.attempt or step.epoch > before.epoch
    if step.state == FileState.DEAD and not step.attempt:
        return f"It cannot be loaded and is dead: {why}"
    end = "and it was given up" if step.state == FileState.DEAD else "and it was put back"
    if not counted:
        end += ", which counts as no attempt"
        return f"Something around it failed{_by(step)} {end}: {why}"
    return f"Attempt {step.attempt}{_by(step)} failed {end}: {why}"


def _note(head: FileHead, step: Step) -> str:
    """What went wrong, without the file's own name before it."""
    return (step.note or "no error was kept.").removeprefix(f"{head.key}: ")


def _by(step: Step) -> str:
    return f", run {step.run_id}," if step.run_id else ""


def _under_way(head: FileHead, request: RunRequest | None) -> Iterator[Sentence]:
    if request is None:
        return
    yield Sentence(request.created_at, f"Run request {request.request_id} took it up.")
    if request.state is RequestState.LOADING:
        attempt = head.attempts + 1
        yield Sentence(request.created_at, f"Run {request.run_id} is at attempt {attempt} now.")
