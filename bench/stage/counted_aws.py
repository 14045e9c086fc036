"""A home's local AWS that counts what it is asked, and how long it takes over it.

Counted is at the server, so that no client can ask past it: child processes and Polars' own object
store are in it. A home that is opened with this module as its server has it.
"""

import json
import sys
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.stage.home import Home
from resources.local_aws import server
from resources.local_aws.application import Answer, Application
from resources.local_aws.record import ServerRecord

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

CALLS_PATH = "/_bench/calls"
MODULE = "bench.stage.counted_aws"
ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Calls:
    """Requests that were answered, by service and operation, and the server's seconds in them."""

    counts: Mapping[str, int]
    seconds: Mapping[str, float]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())

    @property
    def busy(self) -> float:
        """Seconds that the server was at work."""
        return sum(self.seconds.values())

    def since(self, earlier: "Calls") -> "Calls":
        """What came after an earlier look."""
        counts = Counter(self.counts)
        counts.subtract(earlier.counts)
        seconds = {
            name: value - earlier.seconds.get(name, 0.0) for name, value in self.seconds.items()
        }
        return Calls(+counts, {name: value for name, value in seconds.items() if counts[name]})


class CountedApplication(Application):
    """moto behind one lock, counted."""

    def __init__(self, moto: "WSGIApplication", record: ServerRecord) -> None:
        super().__init__(moto, record)
        self._lock = threading.Lock()
        self._asked: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> "Iterable[bytes]":
        """Answer one request; the bench's own is not counted."""
        if environ["PATH_INFO"] == CALLS_PATH:
            with self._lock:
                body = json.dumps({"counts": self._counts, "seconds": self._seconds}).encode()
            start_response("200 OK", [("Content-Type", "application/json")])
            return [body]
        if not environ["PATH_INFO"].startswith("/_"):
            with self._lock:
                self._counts[_operation(environ)] += 1
        return list(super().__call__(environ, start_response))

    def _answer(self, environ: "WSGIEnvironment") -> Answer:
        begin = time.monotonic()
        answer = super()._answer(environ)
        with self._lock:
            self._seconds[_operation(environ)] += time.monotonic() - begin
        return answer


def _operation(environ: "WSGIEnvironment") -> str:
    """Service and operation: the latter as the wire names it, for S3 the method and the form."""
    target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
    if target:
        service, _, operation = target.rpartition(".")
        return f"{service.partition('_')[0]} {operation}"
    if "/sns/" in str(environ.get("HTTP_AUTHORIZATION", "")):
        return "SNS"
    form = str(environ.get("QUERY_STRING", "")).partition("&")[0].partition("=")[0]
    return f"S3 {environ['REQUEST_METHOD']} {form}".strip()


def calls(home: Home) -> Calls:
    """What the home's counting server was asked so far."""
    with urllib.request.urlopen(f"{home.endpoint}{CALLS_PATH}", timeout=ANSWER_SECONDS) as answer:  # noqa: S310
        found = json.load(answer)
    return Calls(found["counts"], found["seconds"])


if __name__ == "__main__":
    vars(server)["Application"] = CountedApplication
    sys.exit(server.main())
