"""Names of S3 metadata as they were sent.

WSGI servers write header names their own way, and waitress drops those with an underscore. S3
gives the names of metadata back in small letters, underscores included ("Working with object
metadata"), and so must the local AWS, or metadata would be read here and lost there.
"""

import re
from typing import TYPE_CHECKING

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import WSGITask

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

# moto's key in the WSGI environment: name in WSGI's form -> name as sent.
SENT_NAMES = "moto.preserved_header_names"
_REQUEST = re.compile(rb"^(x-amz-meta-[^:\r\n]+):[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_RESPONSE = re.compile(rb"^x-amz-meta-[^:\r\n]+(?=:)", re.IGNORECASE | re.MULTILINE)


class _Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress is not typed
    sent_names: dict[str, str]

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        self.sent_names = {}
        for name, value in _REQUEST.findall(header_plus):
            sent = name.decode("latin-1").lower()
            key = sent.upper().replace("-", "_")
            self.headers.setdefault(key, value.decode("latin-1").rstrip(" \t"))
            self.sent_names[f"HTTP_{key}"] = sent


class _Task(WSGITask):  # type: ignore[misc]  # waitress is not typed
    def get_environment(self) -> "WSGIEnvironment":
        environ: WSGIEnvironment = super().get_environment()
        environ[SENT_NAMES] = self.request.sent_names
        return environ

    def build_response_header(self) -> bytes:
        return _RESPONSE.sub(lambda name: name[0].lower(), super().build_response_header())


class MetadataChannel(HTTPChannel):  # type: ignore[misc]  # waitress is not typed
    """A connection that keeps the names of S3 metadata and waits for no body where none comes."""

    parser_class = _Parser
    task_class = _Task

    def send_continue(self) -> None:
        """Tell the client to go on; waitress then waits for a body, even for one of 0 bytes."""
        super().send_continue()
        if self.request.content_length == 0 and not self.request.chunked:
            self.request.completed = True
