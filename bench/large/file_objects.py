"""A home's local AWS whose landed objects are files of this machine, as large as one likes.

moto puts an object of parts together in memory, four times over, and hands it over whole. Here it
knows an object's size and ETag and announces it; the bytes go from the file to whoever gets them.
A home that is opened with this module as its server has it, and its calls are counted.
"""

import json
import re
import sys
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.stage.counted_aws import CountedApplication
from bench.stage.home import Home
from resources.local_aws import server
from resources.local_aws.record import ServerRecord

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

MODULE = "bench.large.file_objects"
LAND_PATH = "/_bench/landed"
ANSWER_SECONDS = 60.0
CHUNK_BYTES = 1 << 20
RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class FileObject:
    """A landed object whose bytes are those of a file, which stays as it is."""

    bucket: str
    key: str
    path: str
    size: int

    @property
    def etag(self) -> str:
        """Names these bytes; S3's own ETags of parts are no digest of the object either."""
        return f"{self.size:032x}"


def land(home: Home, path: Path, key: str) -> None:
    """Land a file without a copy; the landing queue is told of it."""
    bucket = home.settings.landing_bucket
    landed = FileObject(bucket, key, str(path.resolve()), path.stat().st_size)
    asked = urllib.request.Request(  # noqa: S310 - our own server
        f"{home.endpoint}{LAND_PATH}", json.dumps(asdict(landed)).encode(), method="PUT"
    )
    with urllib.request.urlopen(asked, timeout=ANSWER_SECONDS):  # noqa: S310 - as above
        pass


class FileObjectsApplication(CountedApplication):
    """moto, but for the bytes of such objects."""

    def __init__(self, moto: "WSGIApplication", record: ServerRecord) -> None:
        super().__init__(moto, record)
        self._landed: dict[str, FileObject] = {}

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> "Iterable[bytes]":
        """Answer one request."""
        if environ["PATH_INFO"] == LAND_PATH:
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            self._land(FileObject(**json.loads(body)))
            start_response("200 OK", [("Content-Length", "0")])
            return []
        found = self._landed.get(environ["PATH_INFO"])
        if found is None or environ["REQUEST_METHOD"] != "GET":
            return super().__call__(environ, start_response)
        return _hand_over(found, environ, start_response)

    def _land(self, landed: FileObject) -> None:
        from moto.s3 import notifications  # noqa: PLC0415 - after moto's settings
        from moto.s3.models import s3_backends  # noqa: PLC0415 - as above

        with self.turn:
            partition, account = s3_backends.bucket_accounts[landed.bucket]
            s3 = s3_backends[account][partition]
            key = s3.put_object(
                landed.bucket, landed.key, b"", etag=landed.etag, disable_notification=True
            )
            key.contentsize = landed.size
            created = notifications.S3NotificationEvent.OBJECT_CREATED_PUT_EVENT
            notifications.send_event(account, created, s3.get_bucket(landed.bucket), key)
            self._landed[f"/{landed.bucket}/{landed.key}"] = landed
            self.writes += 1
            self.turn.notify_all()


def _hand_over(
    landed: FileObject, environ: "WSGIEnvironment", start_response: "StartResponse"
) -> "Iterable[bytes]":
    """GetObject, of a range too; waitress sends a file as it goes, without holding it."""
    if str(environ.get("HTTP_IF_MATCH", landed.etag)).strip('"') != landed.etag:
        start_response("412 Precondition Failed", [("Content-Length", "0")])
        return []
    asked = RANGE.fullmatch(str(environ.get("HTTP_RANGE", "")))
    first = int(asked[1]) if asked else 0
    last = min(int(asked[2]) if asked and asked[2] else landed.size, landed.size - 1)
    headers = [("ETag", f'"{landed.etag}"'), ("Content-Length", str(last - first + 1))]
    if asked:
        headers.append(("Content-Range", f"bytes {first}-{last}/{landed.size}"))
    start_response("206 Partial Content" if asked else "200 OK", headers)
    file = Path(landed.path).open("rb")  # noqa: SIM115 - waitress closes it
    file.seek(first)
    sent: Iterable[bytes] = environ["wsgi.file_wrapper"](file, CHUNK_BYTES)
    return sent


if __name__ == "__main__":
    vars(server)["Application"] = FileObjectsApplication
    sys.exit(server.main())
