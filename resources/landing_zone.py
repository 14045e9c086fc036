"""Where files land: the bucket, and the queue of its notifications."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote_plus

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as BotoConnectionError

from pipeline_assets.errors import (
    CutDownloadError,
    ObjectChangedError,
    ObjectGoneError,
    UploadRefusedError,
)
from resources.aws import Aws, aws_errors, error_code

MESSAGES_PER_CALL = 10
"""Messages of one ReceiveMessage or DeleteMessageBatch (Amazon SQS API reference)."""
CHUNK_BYTES = 1 << 20
KEYS_PER_PAGE = 1000
"""Keys of one ListObjectsV2 (Amazon S3 API reference)."""
MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
CHANGED = frozenset({"412", "PreconditionFailed"})
UNREADABLE = (LookupError, TypeError, AttributeError, ValueError, OverflowError, RecursionError)


class EventKind(Enum):
    """What happened to a key."""

    CREATED = "ObjectCreated"
    REMOVED = "ObjectRemoved"


@dataclass(frozen=True)
class ObjectEvent:
    """One record of an S3 notification.

    ``size`` is in bytes; a removal has neither ETag nor size. ``record`` is the whole of it, as
    JSON.
    """

    kind: EventKind
    bucket: str
    key: str
    etag: str
    size: int
    at: datetime
    record: str = ""


@dataclass(frozen=True)
class StoredObject:
    """What a key holds now; ``size`` is in bytes."""

    etag: str
    size: int
    modified_at: datetime


@dataclass(frozen=True)
class ListedObject:
    """A key of the bucket, and what a listing says that it holds."""

    key: str
    stored: StoredObject


@dataclass(frozen=True)
class Page:
    """Objects in the order of their keys; ``is_last`` when none come after them."""

    objects: tuple[ListedObject, ...]
    is_last: bool


@dataclass(frozen=True)
class Message:
    """A message of the landing queue; ``events`` is ``None`` when it cannot be read."""

    receipt: str
    events: tuple[ObjectEvent, ...] | None


def read_notification(body: str) -> tuple[ObjectEvent, ...]:
    """The events of a notification; none for S3's test event.

    Raises:
        ValueError: the text is no S3 notification.
    """
    try:
        notification = json.loads(body)
        if notification.get("Event") == "s3:TestEvent":
            return ()
        return tuple(event for record in notification["Records"] for event in _event(record))
    except UNREADABLE as error:
        raise ValueError(f"not an S3 notification: {error!r}") from error


def _event(record: dict[str, dict[str, dict[str, str]]]) -> Iterator[ObjectEvent]:
    name = str(record["eventName"]).removeprefix("s3:").split(":", 1)[0]
    kinds = {kind.value: kind for kind in EventKind}
    if name not in kinds:
        return
    stored = record["s3"]["object"]
    key, size = unquote_plus(stored["key"]), int(stored.get("size", 0))
    key.encode()  # half a surrogate pair is no letter of any key
    if not 0 <= size < 2**63:  # no object is as large; numbers of DynamoDB end at 38 digits
        raise ValueError(size)
    yield ObjectEvent(
        kind=kinds[name],
        bucket=str(record["s3"]["bucket"]["name"]),
        key=key,
        etag=str(stored.get("eTag", "")).strip('"'),
        size=size,
        at=datetime.fromisoformat(str(record["eventTime"])).astimezone(UTC),
        record=json.dumps(record, separators=(",", ":")),
    )


class LandingQueue:
    """The SQS queue that the landing bucket notifies.

    Where the settings name none, it is always empty.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    @cached_property
    def _url(self) -> str:
        with aws_errors(self._aws):
            name = self._aws.settings.landing_queue
            return self._aws.sqs.get_queue_url(QueueName=name)["QueueUrl"]

    @property
    def exists(self) -> bool:
        """Whether the settings name a queue."""
        return bool(self._aws.settings.landing_queue)

    @property
    def _wait_seconds(self) -> int:
        """A long poll asks every host of the queue; the local AWS has but one, which knows all."""
        return 0 if self._aws.is_local else 1

    def receive(self, limit: int, *, wait_seconds: int = 0) -> Iterator[list[Message]]:
        """Batches of up to ten messages until none comes or the limit is reached.

        Args:
            limit: no more is asked for once so many have come.
            wait_seconds: how long the first batch is waited for, 20 at most ("ReceiveMessage",
                Amazon SQS API Reference).
        """
        received = 0
        wait_seconds = max(wait_seconds, self._wait_seconds)
        while self.exists and received < limit:
            with aws_errors(self._aws):
                answer = self._aws.sqs.receive_message(
                    QueueUrl=self._url,
                    MaxNumberOfMessages=MESSAGES_PER_CALL,
                    WaitTimeSeconds=wait_seconds,
                )
            wait_seconds = self._wait_seconds
            batch = [
                Message(message["ReceiptHandle"], _events_or_none(message["Body"]))
                for message in answer.get("Messages", [])
            ]
            if not batch:
                return
            received += len(batch)
            yield batch

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete up to ten settled messages; one that stays is delivered and settled again."""
        if not messages:
            return
        with aws_errors(self._aws):
            self._aws.sqs.delete_message_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": message.receipt}
                    for number, message in enumerate(messages)
                ],
            )

    def hand_back(self, messages: Sequence[Message]) -> None:
        """Make unreadable messages visible at once: after ten receives they are dead letters."""
        for message in messages:
            with aws_errors(self._aws):
                self._aws.sqs.change_message_visibility(
                    QueueUrl=self._url, ReceiptHandle=message.receipt, VisibilityTimeout=0
                )

    def depth(self) -> tuple[int, int]:
        """Messages waiting and messages received but not settled, both approximate."""
        if not self.exists:
            return 0, 0
        with aws_errors(self._aws):
            facts = self._aws.sqs.get_queue_attributes(
                QueueUrl=self._url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesNotVisible",
                ],
            )["Attributes"]
        waiting = int(facts["ApproximateNumberOfMessages"])
        return waiting, int(facts["ApproximateNumberOfMessagesNotVisible"])

    def dead_letters(self) -> int:
        """Messages in the queue's dead-letter queue, approximate."""
        if not self.exists:
            return 0
        name = self._aws.settings.landing_dead_letter_queue
        with aws_errors(self._aws, queue=name):
            url = self._aws.sqs.get_queue_url(QueueName=name)["QueueUrl"]
            facts = self._aws.sqs.get_queue_attributes(
                QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
            )["Attributes"]
        return int(facts["ApproximateNumberOfMessages"])


def _events_or_none(body: str) -> tuple[ObjectEvent, ...] | None:
    try:
        return read_notification(body)
    except ValueError:
        return None


class LandingBucket:
    """The bucket that files land in."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    @property
    def name(self) -> str:
        """Name of the bucket."""
        return self._aws.settings.landing_bucket

    def stat(self, key: str) -> StoredObject | None:
        """What the key holds now; ``None`` when nothing does."""
        try:
            with aws_errors(self._aws):
                head = self._aws.s3.head_object(Bucket=self.name, Key=key)
        except ClientError as error:
            if error_code(error) in MISSING:
                return None
            raise
        return StoredObject(head["ETag"].strip('"'), head["ContentLength"], head["LastModified"])

    def list_after(self, after: str = "", *, prefix: str = "", limit: int = KEYS_PER_PAGE) -> Page:
        """What stands behind a key, in the order of the keys' UTF-8 bytes.

        Args:
            after: the last key that is known already.
            prefix: what the keys begin with.
            limit: objects of the page at most, 1 to ``KEYS_PER_PAGE``.
        """
        with aws_errors(self._aws):
            answer = self._aws.s3.list_objects_v2(
                Bucket=self.name, Prefix=prefix, StartAfter=after, MaxKeys=limit
            )
        objects = (
            ListedObject(
                each["Key"],
                StoredObject(each["ETag"].strip('"'), each["Size"], each["LastModified"]),
            )
            for each in answer.get("Contents", [])
        )
        return Page(tuple(objects), is_last=not answer["IsTruncated"])

    def upload(self, path: Path, key: str) -> None:
        """Put a local file at a key; large files go in parts.

        Raises:
            UploadRefusedError: S3 does not take the file at that key.
        """
        try:
            with aws_errors(self._aws):
                try:
                    self._aws.s3.upload_file(str(path), self.name, key)
                except S3UploadFailedError as error:
                    raise error.__context__ or error from None
        except ClientError as error:
            said = str(error.response["Error"].get("Message", ""))
            raise UploadRefusedError(key, code=error_code(error), said=said) from error

    def download(self, key: str, etag: str, path: Path) -> None:
        """Fetch exactly the registered bytes of a key into a local file.

        Raises:
            ObjectGoneError: the key holds nothing any more.
            ObjectChangedError: the key holds other bytes.
            CutDownloadError: the connection broke before all bytes came.
        """
        try:
            with aws_errors(self._aws):
                answer = self._aws.s3.get_object(Bucket=self.name, Key=key, IfMatch=f'"{etag}"')
        except ClientError as error:
            if error_code(error) in MISSING:
                raise ObjectGoneError(key, "the object was deleted before it was loaded.") from None
            if error_code(error) in CHANGED:
                raise ObjectChangedError(
                    key, "it holds other bytes than were registered."
                ) from None
            raise
        expected = answer["ContentLength"]
        try:
            with path.open("wb") as file:
                for chunk in answer["Body"].iter_chunks(CHUNK_BYTES):
                    file.write(chunk)
        except (HTTPClientError, IncompleteReadError, BotoConnectionError) as error:
            raise CutDownloadError(key, f"the download broke off: {error}") from error
        if path.stat().st_size != expected:
            raise CutDownloadError(key, f"{path.stat().st_size} of {expected} bytes were received.")
