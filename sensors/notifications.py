"""Notifications into the ledger: what the messages of the landing queue say is registered.

A message is deleted only after that, so a crash in between ends in a second delivery.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import replace

from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import UnknownDatasetError
from pipeline_assets.landings import current, landing, prefix_of, stray
from pipeline_assets.operations.deletions import end_if_deleted
from pipeline_assets.registry import datasets
from resources.landfall import Landfall
from resources.landing_zone import EventKind, Message, ObjectEvent, StoredObject
from resources.ledger.model import file_id

log = logging.getLogger("landfall.landing")


def drain(landfall: Landfall, *, wait_seconds: int = 0) -> bool:
    """Register what the queue's messages say, then delete them, as many as a tick may.

    One that cannot be read, or is of another bucket, is handed back until it is a dead letter.

    Args:
        landfall: the environment.
        wait_seconds: how long the first message is waited for.

    Returns:
        Whether the queue was empty at the end; false when there may be more.
    """
    received = 0
    own, foreign = {landfall.bucket.name}, set[str]()
    most = landfall.settings.max_messages_per_tick
    deadline = time.monotonic() + wait_seconds + landfall.settings.max_tick_seconds
    late = False
    for batch in landfall.queue.receive(most, wait_seconds=wait_seconds):
        settle(landfall, batch)
        over = [each for each in batch if each.events is not None and _buckets(each) <= own]
        foreign |= {bucket for each in batch for bucket in _buckets(each) - own}
        landfall.queue.delete(over)
        landfall.queue.hand_back([each for each in batch if each not in over])
        received += len(batch)
        late = time.monotonic() > deadline  # Dagster cuts a tick off after a minute at most
        if late:
            break
    if foreign:
        log.warning("Notifications of foreign buckets are dead letters: %s", sorted(foreign))
    return not late and received < most


def _buckets(message: Message) -> set[str]:
    return {event.bucket for event in message.events or ()}


def settle(landfall: Landfall, messages: Iterable[Message]) -> None:
    """Register the created objects of our bucket in the messages and note the removed ones."""
    every = [event for message in messages for event in message.events or ()]
    events = [event for event in every if event.bucket == landfall.bucket.name]
    created = [event for event in events if event.kind is EventKind.CREATED]
    for dataset in datasets():
        own = [event for event in created if prefix_of(event.key) == dataset.name]
        _register(landfall, dataset, {(event.key, event.etag): event for event in own}.values())
    known = tuple(dataset.name for dataset in datasets())
    for event in created:
        if prefix_of(event.key) not in known:
            _bury(landfall, event, known)
    for event in events:
        if event.kind is EventKind.REMOVED:
            _remove(landfall, event)


def _register(landfall: Landfall, dataset: Dataset, events: Iterable[ObjectEvent]) -> None:
    """Register created objects of one dataset."""
    landings = [
        replace(landing(dataset, event.bucket, event.key, _stored(event)), event=event.record)
        for event in events
    ]
    landfall.ledger.files.register(landings, lambda each: current(landfall, dataset, each.key))


def _bury(landfall: Landfall, event: ObjectEvent, known: tuple[str, ...]) -> None:
    """Register an object below a prefix that is no dataset: dead at once, with the reason."""
    landed = replace(stray(event.bucket, event.key, _stored(event)), event=event.record)
    landfall.ledger.files.bury(landed, UnknownDatasetError(event.key, known))


def _stored(event: ObjectEvent) -> StoredObject:
    return StoredObject(event.etag, event.size, event.at)


def _remove(landfall: Landfall, event: ObjectEvent) -> None:
    """Note a deletion, if the key is still empty."""
    head = landfall.ledger.files.head(file_id(event.bucket, event.key))
    if head is not None:
        end_if_deleted(landfall, head)
