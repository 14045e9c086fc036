"""The WSGI application in front of moto: one request at a time, and who is serving."""

import io
import json
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from resources.local_aws.crm_server import CrmServer
from resources.local_aws.record import CRM_PATH, IDENTITY_PATH, ServerRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

RECEIVE_MESSAGE = "AmazonSQS.ReceiveMessage"
# "ReceiveMessage" (Amazon SQS API Reference): a long poll takes 20 seconds at most.
MAX_LONG_POLL_SECONDS = 20
# A message may become visible again with no request to announce it.
POLL_SECONDS = 0.25
_READS = ("Get", "List", "Describe", "Query", "Scan", "BatchGet", "TransactGet")


@dataclass(frozen=True)
class Answer:
    """A whole response."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


_CLOSING = Answer("503 Service Unavailable", [("Content-Type", "text/plain")], b"shutting down")


class Application:
    """moto behind one lock.

    moto checks the condition of a write and then writes, with nothing in between to keep another
    request out: its conditional writes are atomic only when requests do not interleave. Several
    threads serve all the same, so that a long poll of SQS waits outside the lock (moto would wait
    inside) and ``/_landfall`` answers at once.
    """

    def __init__(self, moto: "WSGIApplication", record: ServerRecord) -> None:
        self._moto = moto
        self._record = record
        self._crm = CrmServer()
        self.turn = threading.Condition()
        self.writes = 0
        self._closed = False

    def close(self) -> None:
        """Answer 503 from now on; long polls end. Takes no lock: a signal handler calls it."""
        self._closed = True

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> "Iterable[bytes]":
        """Answer one request."""
        if environ["PATH_INFO"] == CRM_PATH:
            return self._crm(environ, start_response)
        if environ["PATH_INFO"] == IDENTITY_PATH:
            answer = Answer(
                "200 OK", [("Content-Type", "application/json")], self._record.to_json()
            )
        elif environ.get("HTTP_X_AMZ_TARGET") == RECEIVE_MESSAGE:
            answer = self._receive(environ)
        else:
            with self.turn:
                answer = self._answer(environ)
        start_response(answer.status, answer.headers)
        return [answer.body]

    def _receive(self, environ: "WSGIEnvironment") -> Answer:
        """Long polling as polls that do not wait, with the lock free in between."""
        asked = json.loads(_body(environ) or b"{}")
        seconds = min(int(asked.get("WaitTimeSeconds") or 0), MAX_LONG_POLL_SECONDS)
        deadline = time.monotonic() + seconds
        body = json.dumps(asked | {"WaitTimeSeconds": 0}).encode()
        with self.turn:
            while True:
                answer = self._answer(_with_body(environ, body))
                left = deadline - time.monotonic()
                if left <= 0 or not answer.status.startswith("200") or _has_messages(answer):
                    return answer
                self.turn.wait(min(left, POLL_SECONDS))

    def _answer(self, environ: "WSGIEnvironment") -> Answer:
        if self._closed:
            return _CLOSING
        # Where moto looks for keys as they were sent; waitress has another name for it.
        environ["RAW_URI"] = environ.get("REQUEST_URI", "")
        answer = _call(self._moto, environ)
        if _is_write(environ, answer):
            self.writes += 1
            self.turn.notify_all()
        return answer


def _is_write(environ: "WSGIEnvironment", answer: Answer) -> bool:
    target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
    if target == RECEIVE_MESSAGE:
        return _has_messages(answer)
    operation = target.rpartition(".")[2]
    return environ["REQUEST_METHOD"] not in {"GET", "HEAD"} and not operation.startswith(_READS)


def _has_messages(answer: Answer) -> bool:
    return b'"Messages"' in answer.body


def _body(environ: "WSGIEnvironment") -> bytes:
    return bytes(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))


def _with_body(environ: "WSGIEnvironment", body: bytes) -> "WSGIEnvironment":
    return {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}


def _call(application: "WSGIApplication", environ: "WSGIEnvironment") -> Answer:
    head: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(
        status: str,
        headers: list[tuple[str, str]],
        _error: tuple[type[BaseException], BaseException, TracebackType]
        | tuple[None, None, None]
        | None = None,
        /,
    ) -> "Callable[[bytes], object]":
        head.append((status, headers))
        return written.append

    written: list[bytes] = []
    chunks = application(environ, start_response)
    try:
        written.extend(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close:
            close()
    status, headers = head[-1]
    return Answer(status, headers, b"".join(written))
