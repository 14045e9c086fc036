"""Tables in S3: one Parquet object for each table and event date, replaced as a whole.

Two writers of one partition cannot both win: every replacement names the ETag that it replaces.

    writer A   stat -> etag 1 . . . . . . . put if etag 1: written
    writer B        stat -> etag 1 . . . . . . . . . put if etag 1: 412, StaleWriteError

What a partition means (layers, contracts, manifests) is known elsewhere.
"""

import io
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from enum import Enum
from typing import IO, Final

import pyarrow as pa
from botocore.exceptions import ClientError

from pipeline_assets.errors import (
    ForeignObjectError,
    FragmentMissingError,
    FragmentsLeftError,
    PartitionMissingError,
    PartitionTooLargeError,
    StaleWriteError,
    TableMissingError,
)
from resources.aws import Aws, aws_errors, error_code
from resources.parquet import (
    DIGEST_KEY,
    ROWS_KEY,
    SPOOLED_BYTES,
    VERSION_KEY,
    EncodedTable,
    decode,
    encode,
    footer_facts,
)

MAX_PUT_BYTES = 5 * 1024**3
"""Largest object of one PutObject. Source: "Uploading objects", Amazon S3 User Guide."""

MAX_DELETED_KEYS = 1000
"""Keys of one DeleteObjects. Source: "DeleteObjects", Amazon S3 API Reference."""

COPIED_BYTES = 1 << 20
CONFLICT_ATTEMPTS = 6
CONFLICT_BACKOFF_SECONDS = 0.1
MISSING_OBJECT_CODES = frozenset({"404", "NoSuchKey", "NotFound"})
LOST_RACE_CODES = frozenset({"PreconditionFailed", "NoSuchKey"})


class Unread(Enum):
    """Stands for an ETag that the caller did not read."""

    UNREAD = "unread"


UNREAD: Final = Unread.UNREAD


@dataclass(frozen=True)
class TableName:
    """A table of the lake, such as ``silver/events``."""

    layer: str
    name: str

    def __str__(self) -> str:
        return f"{self.layer}/{self.name}"


@dataclass(frozen=True)
class StoredPartition:
    """What S3 says about an object of the lake.

    ``version`` is the event date's version in the ledger (``None``: written without one),
    ``digest`` that of the content, ``etag`` quoted as S3 gives and takes it.
    """

    key: str
    etag: str
    version: int | None
    digest: str
    rows: int


@dataclass(frozen=True)
class Replaced:
    """Outcome of a replacement; not written means that the same content already stood there."""

    stored: StoredPartition
    written: bool


def _stored(key: str, etag: str, facts: Mapping[str, str]) -> StoredPartition:
    if DIGEST_KEY not in facts or ROWS_KEY not in facts:
        raise ForeignObjectError(key)
    version = int(facts[VERSION_KEY]) if VERSION_KEY in facts else None
    return StoredPartition(key, etag, version, facts[DIGEST_KEY], int(facts[ROWS_KEY]))


class Lake:
    """The tables of the lake bucket. Safe to share between threads."""

    def __init__(self, aws: Aws, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.aws = aws
        self._bucket = aws.settings.lake_bucket
        self._sleep = sleep

    @staticmethod
    def key(table: TableName, event_date: str | None) -> str:
        """Where a partition is kept; ``None`` stands for a table without partitions."""
        partition = "" if event_date is None else f"event_date={event_date}/"
        return f"{table}/{partition}part-0.parquet"

    def uri(self, key: str) -> str:
        """Address of a key, as every S3 reader takes it."""
        return f"s3://{self._bucket}/{key}"

    def stat(self, table: TableName, event_date: str | None) -> StoredPartition | None:
        """What is stored for a partition, without reading it; ``None`` when nothing is.

        Raises:
            ForeignObjectError: something else than Landfall wrote the object.
        """
        return self._stat(self.key(table, event_date))

    def _stat(self, key: str) -> StoredPartition | None:
        try:
            with aws_errors(self.aws):
                head = self.aws.s3.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error_code(error) in MISSING_OBJECT_CODES:
                return None
            raise
        return _stored(key, head["ETag"], head["Metadata"])

    def replace(
        self,
        table: TableName,
        event_date: str | None,
        data: pa.Table | EncodedTable,
        *,
        version: int | None,
        expected: str | Unread | None,
    ) -> Replaced:
        """Put a partition in the place of the one that was read, in one conditional PutObject.

        ``expected`` is the ETag read before ``data`` was computed, ``None`` when there was no
        object; ``UNREAD`` reads it now. The same content at the same version is not written again.
        A write without a version is ordered by its ETag alone. ``data`` that is encoded already is
        so at that version; its body is closed.

        Raises:
            StaleWriteError: another writer was first, or stored a later version.
            PartitionTooLargeError: the Parquet file has more than `MAX_PUT_BYTES`.
            ForeignObjectError: something else than Landfall wrote the stored object.
        """
        key = self.key(table, event_date)
        with ExitStack() as stack:
            if isinstance(data, EncodedTable):
                stack.enter_context(data.body)
            current = self._stat(key)
            if version is not None and current and (current.version or 0) > version:
                raise StaleWriteError(key)
            encoded = data if isinstance(data, EncodedTable) else encode(data, version=version)
            stack.enter_context(encoded.body)
            if current and _holds(current, encoded, version):
                return Replaced(current, written=False)
            standing = current.etag if current else None
            if expected is not UNREAD and expected != standing:
                raise StaleWriteError(key)
            return Replaced(self._put_over(key, encoded, version, standing), written=True)

    def put_over(
        self,
        table: TableName,
        event_date: str | None,
        data: pa.Table,
        *,
        version: int,
        expected: str | None,
    ) -> StoredPartition:
        """Put a partition in the place of the one that was read, without looking at it again.

        Raises:
            StaleWriteError: something else stands there by now.
            PartitionTooLargeError: the Parquet file has more than `MAX_PUT_BYTES`.
        """
        encoded = encode(data, version=version)
        with encoded.body:
            return self._put_over(self.key(table, event_date), encoded, version, expected)

    def _put_over(
        self, key: str, encoded: EncodedTable, version: int | None, standing: str | None
    ) -> StoredPartition:
        for attempt in range(CONFLICT_ATTEMPTS):
            try:
                return self._put(key, encoded, version, _only_over(standing))
            except ClientError as error:
                if error_code(error) in LOST_RACE_CODES:
                    return self._own_or_stale(key, encoded, version)
                if error_code(error) != "ConditionalRequestConflict":
                    raise
            self._sleep(random.uniform(0, CONFLICT_BACKOFF_SECONDS * 2**attempt))  # noqa: S311  # jitter
        raise StaleWriteError(key)

    def _own_or_stale(
        self, key: str, encoded: EncodedTable, version: int | None
    ) -> StoredPartition:
        # A put whose answer was lost is repeated by botocore and then finds itself in its place.
        current = self._stat(key)
        if current and _holds(current, encoded, version):
            return current
        raise StaleWriteError(key)

    def _put(
        self, key: str, encoded: EncodedTable, version: int | None, condition: dict[str, str]
    ) -> StoredPartition:
        if encoded.size > MAX_PUT_BYTES:
            raise PartitionTooLargeError(key, size=encoded.size, limit=MAX_PUT_BYTES)
        encoded.body.seek(0)
        with aws_errors(self.aws):
            answer = self.aws.s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=encoded.body,
                Metadata=footer_facts(encoded.digest, encoded.rows, version),
                **condition,  # type: ignore[arg-type]  # the stubs know no optional arguments
            )
        return StoredPartition(key, answer["ETag"], version, encoded.digest, encoded.rows)

    def read(self, table: TableName, event_date: str | None) -> pa.Table:
        """A whole partition, in its stored order.

        Raises:
            PartitionMissingError: there is no object for that date.
            TableMissingError: there is no object for that unpartitioned table.
        """
        stored = self.read_key(self.key(table, event_date))
        if stored is not None:
            return stored
        if event_date is None:
            raise TableMissingError(str(table))
        raise PartitionMissingError(str(table), event_date)

    def read_key(self, key: str) -> pa.Table | None:
        """The table at a key; ``None`` when there is no object."""
        found = self._get(key)
        return None if found is None else decode(found[0])

    def _get(self, key: str) -> tuple[bytes, str, Mapping[str, str]] | None:
        """What lies at a key, its ETag and its metadata; ``None`` when there is no object."""
        try:
            with aws_errors(self.aws):
                answer = self.aws.s3.get_object(Bucket=self._bucket, Key=key)
                return answer["Body"].read(), answer["ETag"], answer["Metadata"]
        except ClientError as error:
            if error_code(error) in MISSING_OBJECT_CODES:
                return None
            raise

    def read_stored(
        self, table: TableName, event_date: str | None
    ) -> tuple[pa.Table, StoredPartition] | None:
        """A whole partition with what S3 says about it; ``None`` when there is no object.

        Raises:
            ForeignObjectError: something else than Landfall wrote the object.
        """
        key = self.key(table, event_date)
        found = self._get(key)
        if found is None:
            return None
        stored = _stored(key, *found[1:])
        return decode(found[0]), stored

    def dates(self, table: TableName) -> list[str]:
        """Event dates that a table has an object for, in order; 1,000 are listed a call."""
        return list(self.etags(table))

    def etags(self, table: TableName) -> dict[str, str]:
        """ETag of each event date's object, in the order of dates; 1,000 are listed a call."""
        prefix = f"{table}/event_date="
        return {
            key.removeprefix(prefix).partition("/")[0]: etag
            for key, etag in self.etags_below(prefix).items()
        }

    def etags_below(self, prefix: str) -> dict[str, str]:
        """ETag of each object by its key, in the order of keys; 1,000 are listed a call."""
        with aws_errors(self.aws):
            pages = self.aws.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix
            )
            return {
                stored["Key"]: stored["ETag"]
                for page in pages
                for stored in page.get("Contents", ())
            }

    def put_fragment(self, key: str, fragment: EncodedTable) -> StoredPartition:
        """Write an immutable bronze fragment; written twice, it is the same bytes.

        Raises:
            PartitionTooLargeError: the Parquet file has more than `MAX_PUT_BYTES`.
        """
        return self._put(key, fragment, None, {})

    def read_fragment(self, key: str) -> pa.Table:
        """The rows of a bronze fragment.

        Raises:
            FragmentMissingError: there is no object at the key.
        """
        stored = self.read_key(key)
        if stored is None:
            raise FragmentMissingError(key)
        return stored

    def copy_fragment(self, key: str) -> IO[bytes]:
        """A bronze fragment's bytes, as ``copy_key`` gives them.

        Raises:
            FragmentMissingError: there is no object at the key.
        """
        found = self.copy_key(key)
        if found is None:
            raise FragmentMissingError(key)
        return found

    def copy_key(self, key: str) -> IO[bytes] | None:
        """What lies at a key, from one request; ``None`` when there is no object.

        It is in memory where it is small, else in a temporary file. The caller closes it.
        """
        with ExitStack() as stack:
            try:
                with aws_errors(self.aws):
                    answer = self.aws.s3.get_object(Bucket=self._bucket, Key=key)
                    body = stack.enter_context(closing(answer["Body"]))
                    file = stack.enter_context(_room_for(answer["ContentLength"]))
                    shutil.copyfileobj(body, file, COPIED_BYTES)
            except ClientError as error:
                if error_code(error) in MISSING_OBJECT_CODES:
                    return None
                raise
            file.seek(0)
            stack.pop_all()
            return file

    def fragments_of(self, bronze: TableName, file_id: str) -> list[str]:
        """Keys of every fragment of a file, of any date and epoch, whether it counts or not.

        Lists the whole table, 1,000 keys a call: for what a person asks for.
        """
        with aws_errors(self.aws):
            pages = self.aws.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=f"{bronze}/"
            )
            keys = [stored["Key"] for page in pages for stored in page.get("Contents", ())]
        return [key for key in keys if key.rsplit("/", 1)[-1].startswith(f"{file_id}-")]

    def delete_fragments(self, keys: Sequence[str]) -> None:
        """Delete bronze fragments; a versioned bucket keeps their former versions.

        Raises:
            FragmentsLeftError: S3 did not delete some of them.
        """
        for start in range(0, len(keys), MAX_DELETED_KEYS):
            named = [{"Key": key} for key in keys[start : start + MAX_DELETED_KEYS]]
            with aws_errors(self.aws):
                answer = self.aws.s3.delete_objects(
                    Bucket=self._bucket,
                    Delete={"Objects": named, "Quiet": True},  # type: ignore[typeddict-item]  # the stubs want a list of their own type
                )
            for fault in answer.get("Errors", ()):
                raise FragmentsLeftError(fault.get("Key", "?"), fault.get("Message", "no reason"))


def _room_for(size: int) -> IO[bytes]:
    return io.BytesIO() if size <= SPOOLED_BYTES else tempfile.TemporaryFile(prefix="landfall-")


def _holds(stored: StoredPartition, encoded: EncodedTable, version: int | None) -> bool:
    return stored.version == version and stored.digest == encoded.digest


def _only_over(etag: str | None) -> dict[str, str]:
    return {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
