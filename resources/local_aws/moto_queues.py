"""Queues that stay fast with thousands of messages in them.

moto counts a queue's messages whenever it reads any attribute of the queue, which it does with
every message that is sent or received, and looks through all messages for each that is deleted.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.sqs import models
from moto.sqs.models import Message, Queue, SQSBackend

from resources.local_aws.moto_replacement import Replacement

COUNTS = "ApproximateNumberOf"
"""What the names of a queue's counts begin with."""


def _now() -> float:
    """Milliseconds, by the clock that moto itself reads."""
    return models.unix_time_millis()  # type: ignore[attr-defined]  # imported there


def _messages(_original: property) -> property:
    def messages(queue: Queue) -> list[Message]:
        now = _now()
        return [
            each
            for each in queue._messages  # noqa: SLF001 - no hook
            if now > each.visible_at and now >= each.delayed_until
        ]

    return property(messages)


def _delayed(_original: property) -> property:
    def delayed(queue: Queue) -> int:
        now = _now()
        return sum(now < each.delayed_until for each in queue._messages)  # noqa: SLF001 - no hook

    return property(delayed)


def _not_visible(_original: property) -> property:
    def not_visible(queue: Queue) -> int:
        now = _now()
        return sum(now <= each.visible_at for each in queue._messages)  # noqa: SLF001 - no hook

    return property(not_visible)


@contextmanager
def _without_counts(queue: Queue) -> Iterator[None]:
    """Leave the counts out of the queue's attributes; no other request runs meanwhile."""
    former = vars(queue).get("BASE_ATTRIBUTES")
    others = [name for name in Queue.BASE_ATTRIBUTES if not name.startswith(COUNTS)]
    vars(queue)["BASE_ATTRIBUTES"] = others
    try:
        yield
    finally:
        del vars(queue)["BASE_ATTRIBUTES"]
        if former is not None:  # a message that is sent may be received by a function at once
            vars(queue)["BASE_ATTRIBUTES"] = former


def _send(original: Callable[..., Message]) -> Callable[..., Message]:
    def send_message(
        backend: SQSBackend,
        queue_name: str,
        *arguments: Any,  # noqa: ANN401 - moto's
        **others: Any,  # noqa: ANN401 - as above
    ) -> Message:
        with _without_counts(backend.get_queue(queue_name)):
            return original(backend, queue_name, *arguments, **others)

    return send_message


def _attributes(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def get_queue_attributes(
        backend: SQSBackend, queue_name: str, attribute_names: list[str]
    ) -> dict[str, Any]:
        queue = backend.get_queue(queue_name)
        if not any(name.startswith(COUNTS) for name in attribute_names or ()):
            if "All" in (attribute_names or ()):
                return original(backend, queue_name, attribute_names)
            with _without_counts(queue):
                return original(backend, queue_name, attribute_names)
        # moto makes all attributes anew for each that is asked.
        found = original(backend, queue_name, ["All"])
        if not all(name in found for name in attribute_names):
            return original(backend, queue_name, attribute_names)
        return {name: found[name] for name in attribute_names if found[name] is not None}

    return get_queue_attributes


def _had_receipt_handle(_original: Callable[..., bool]) -> Callable[..., bool]:
    def had_receipt_handle(message: Message, receipt_handle: str) -> bool:
        return (
            receipt_handle == message.receipt_handle
            or receipt_handle in message._old_receipt_handles  # noqa: SLF001 - no hook
        )

    return had_receipt_handle


def _delete(original: Callable[..., None]) -> Callable[..., None]:
    def delete_message(queue: Queue, receipt_handle: str) -> None:
        # Who deletes a message has received it, as a rule not long ago.
        for message in queue.pending_messages:
            if message.receipt_handle != receipt_handle:
                continue
            queue._messages.remove(message)  # noqa: SLF001 - no hook
            queue.pending_messages.discard(message)
            queue.deleted_messages.update(message.all_receipt_handles)  # type: ignore[arg-type]
            return
        original(queue, receipt_handle)

    return delete_message


REPLACEMENTS = (
    Replacement(Queue, "messages", _messages),
    Replacement(Queue, "approximate_number_of_messages_delayed", _delayed),
    Replacement(Queue, "approximate_number_of_messages_not_visible", _not_visible),
    Replacement(Queue, "delete_message", _delete),
    Replacement(Message, "had_receipt_handle", _had_receipt_handle),
    Replacement(SQSBackend, "send_message", _send),
    Replacement(SQSBackend, "get_queue_attributes", _attributes),
    Replacement(models, "camelcase_to_underscores", functools.cache),
)
