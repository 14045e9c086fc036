"""Where moto differs from AWS in what Landfall relies on, or takes too long for a backlog."""

import time
from dataclasses import dataclass

import moto.sqs.models
from moto.s3.models import FakeDeleteMarker, S3Backend
from moto.s3.notifications import S3NotificationEvent, send_event

# Of no bytes, as S3 gives it for a marker.
EMPTY_ETAG = '"d41d8cd98f00b204e9800998ecf8427e"'


@dataclass(frozen=True)
class _Marker:
    name: str
    etag: str = EMPTY_ETAG
    size: int = 0


def announce_delete_markers() -> None:
    """Send the event of a delete marker, from now on and in this process.

    S3 announces a deletion in a versioned bucket as ``ObjectRemoved:DeleteMarkerCreated`` ("Amazon
    S3 Event Notifications"); moto announces only a deletion that removes the last version.
    """
    create = S3Backend._set_delete_marker  # noqa: SLF001  # moto has no hook here

    def create_and_announce(
        backend: S3Backend, bucket_name: str, key_name: str
    ) -> FakeDeleteMarker:
        marker = create(backend, bucket_name, key_name)
        send_event(
            backend.account_id,
            S3NotificationEvent.OBJECT_REMOVED_DELETE_MARKER_CREATED_EVENT,
            backend.get_bucket(bucket_name),
            _Marker(key_name),
        )
        return marker

    # mypy: the replacement of a method is an assignment to it.
    S3Backend._set_delete_marker = create_and_announce  # type: ignore[assignment,method-assign]  # noqa: SLF001


def read_the_clock_fast() -> None:
    """Give SQS a cheap clock, from now on and in this process.

    moto counts a queue's messages with every message it is sent, and asks three times for each
    what time it is, which it works out from calendar dates: an upload slows with the backlog.
    """
    moto.sqs.models.unix_time_millis = _milliseconds  # type: ignore[assignment,attr-defined]


def _milliseconds() -> float:
    return time.time() * 1000.0
