"""Dead letters: one message for every file that nothing tries again by itself."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from resources.aws import Aws, aws_errors
from resources.ledger.model import FileHead, Step, trace_id

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

VERSION = 1
LETTERS_PER_CALL = 10
"""Messages of one SendMessageBatch (Amazon SQS API reference)."""
CALL_BYTES = 256 * 1024
"""Bytes of one message, and of all messages of a call ("Amazon SQS message quotas"; queues may be
set to more, none takes less by default)."""
ROOM = 8 * 1024
"""Bytes of it that are left for what goes around the bodies."""
FOUND_BY_LISTING = "found by listing"
NOTIFICATION = "notification"


@dataclass(frozen=True)
class Attempt:
    """One attempt at the file, as its history has it."""

    attempt: int
    at: str
    run_id: str | None
    state: str
    message: str | None


@dataclass(frozen=True)
class DeadLetter:
    """Everything about a dead file that a receiver needs to find out why, and to act.

    Delivery is at least once: receivers deduplicate by ``id``, which is the same each time.
    ``event`` is the record of the S3 notification: ``null`` for a file that was found by listing,
    and text if it was too long to be kept whole. ``size`` is in bytes, times are ISO 8601 in UTC.
    """

    version: int
    id: str
    event: object
    event_source: str
    bucket: str
    key: str
    etag: str
    size: int
    dataset: str
    file_id: str
    epoch: int
    attempts: tuple[Attempt, ...]
    error_class: str | None
    message: str | None
    stack: str | None
    stage: str | None
    at: str
    run_id: str | None
    trace_id: str

    @classmethod
    def of(cls, head: FileHead) -> "DeadLetter":
        """The letter of a file in state ``DEAD``."""
        error = head.error
        return cls(
            version=VERSION,
            id=letter_id(head.file_id, head.epoch),
            event=_parsed(head.event),
            event_source=NOTIFICATION if head.event else FOUND_BY_LISTING,
            bucket=head.bucket,
            key=head.key,
            etag=head.etag,
            size=head.size,
            dataset=head.dataset,
            file_id=head.file_id,
            epoch=head.epoch,
            attempts=tuple(_attempt(step) for step in head.history if _is_attempt(step, head)),
            error_class=error.kind if error else None,
            message=error.message if error else None,
            stack=error.stack if error else None,
            stage=error.stage if error else None,
            at=error.at if error else head.due_at,
            run_id=head.run_id,
            trace_id=trace_id(head.file_id, head.epoch),
        )

    @cached_property
    def body(self) -> str:
        """The letter as JSON that fits into a message: the stack goes first, then the event."""
        silent = tuple(replace(each, message=None) for each in self.attempts)
        letter = self
        cuts: tuple[Mapping[str, object], ...] = (
            {"stack": None},
            {"event": None},
            {"attempts": silent},
        )
        for cut in cuts:
            if len(_as_json(letter)) <= CALL_BYTES - ROOM:
                break
            letter = replace(letter, **cut)  # type: ignore[arg-type]  # fields of this class
        return _as_json(letter)


def letter_id(file_id: str, epoch: int) -> str:
    """Id of the letter of a file's epoch."""
    return f"{file_id}-{epoch}"


def _as_json(letter: DeadLetter) -> str:
    """ASCII throughout: SQS refuses some letters of Unicode, and bytes are characters."""
    return json.dumps(asdict(letter), separators=(",", ":"))


def _parsed(event: str | None) -> object:
    if event is None:
        return None
    try:
        return json.loads(event)
    except (ValueError, RecursionError):  # cut, or a number or nesting beyond Python's limits
        return event


def _is_attempt(step: Step, head: FileHead) -> bool:
    return step.epoch == head.epoch and step.run_id is not None


def _attempt(step: Step) -> Attempt:
    return Attempt(step.attempt, step.at, step.run_id, step.state, step.note)


class DeadLetterQueue:
    """The SQS queue of dead letters."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    @property
    def name(self) -> str:
        """Name of the queue."""
        return self._aws.settings.dead_letter_queue

    @cached_property
    def _url(self) -> str:
        with aws_errors(self._aws, queue=self.name):
            return self._aws.sqs.get_queue_url(QueueName=self.name)["QueueUrl"]

    def batches(self, letters: Iterable[DeadLetter]) -> Iterator[list[DeadLetter]]:
        """The letters in the groups that one call takes."""
        batch: list[DeadLetter] = []
        size = 0
        for letter in letters:
            length = len(letter.body)
            if batch and (len(batch) == LETTERS_PER_CALL or size + length > CALL_BYTES - ROOM):
                yield batch
                batch, size = [], 0
            batch.append(letter)
            size += length
        if batch:
            yield batch

    def send(self, letters: Sequence[DeadLetter]) -> dict[str, str]:
        """Send one group of ``batches``.

        Returns:
            Why a letter was not taken, by its id; empty when all were.

        Raises:
            EnvironmentFaultError: the queue is missing, or AWS refuses or does not answer.
        """
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(number), "MessageBody": letter.body} for number, letter in enumerate(letters)
        ]
        url = self._url
        with aws_errors(self._aws, queue=self.name):
            answer = self._aws.sqs.send_message_batch(QueueUrl=url, Entries=entries)
        return {
            letters[int(each["Id"])].id: each.get("Message", each["Code"])
            for each in answer.get("Failed", [])
        }

    def depth(self) -> int:
        """Letters that nobody received yet, approximate.

        Raises:
            EnvironmentFaultError: the queue is missing, or AWS refuses or does not answer.
        """
        url = self._url
        with aws_errors(self._aws, queue=self.name):
            facts = self._aws.sqs.get_queue_attributes(
                QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
            )["Attributes"]
        return int(facts["ApproximateNumberOfMessages"])
