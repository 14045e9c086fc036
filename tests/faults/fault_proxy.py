"""A proxy that cuts connections in the middle of a request's or a response's body.

It reads a whole request before it passes on any of it, so it knows which call it cuts.
"""

import http.client
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from fault_calls import Counts, name

HOST = "127.0.0.1"
NOT_FORWARDED = frozenset({"expect", "connection"})
SECONDS = 30.0
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class Cuts:
    """Which calls are cut: a share of them, for some seconds from the first, by lot."""

    server_port: int
    seed: int
    share: float
    seconds: float
    notes: Path
    counts: Counts = field(default_factory=Counts)
    _began: float = 0.0

    def side(self, method: str, path: str, headers: dict[str, str], body: bytes) -> str:
        """``request``, ``response``, or nothing when the call shall pass."""
        call = self.counts.number(*name(method, path, headers, body))
        self._began = self._began or time.monotonic()
        if time.monotonic() > self._began + self.seconds:
            return ""
        lot = int.from_bytes(sha256(f"{self.seed} {call}".encode()).digest()[:6]) / 2**48
        if lot >= self.share:
            return ""
        side = "request" if lot < self.share / 2 else "response"
        with self.notes.open("a") as notes:
            notes.write(f"0 {time.monotonic()} cut-{side} {call}\n")
        return side


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    cuts: Cuts

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that breaks is what this is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = dict(self.headers.items())
        side = self.server.cuts.side(self.command, self.path, headers, body)
        if side == "request":
            self._send_half(body)
            self._cut()
            return
        answer, content = self._ask(body)
        whole = content if side != "response" else content[: len(content) // 2]
        self.send_response_only(answer.status, answer.reason)
        for key, value in answer.getheaders():
            if key.lower() not in NOT_FORWARDED:
                self.send_header(key, value)
        self.end_headers()
        self.wfile.write(whole)
        self.wfile.flush()
        if side == "response":
            self._cut()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _relay  # noqa: N815 - http.server's names

    def _ask(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(HOST, self.server.cuts.server_port, timeout=SECONDS)
        try:
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for key, value in self._forwarded():
                connection.putheader(key, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def _forwarded(self) -> Iterator[tuple[str, str]]:
        return (pair for pair in self.headers.items() if pair[0].lower() not in NOT_FORWARDED)

    def _send_half(self, body: bytes) -> None:
        head = f"{self.command} {self.path} HTTP/1.1\r\n"
        head += "".join(f"{key}: {value}\r\n" for key, value in self._forwarded())
        with socket.create_connection((HOST, self.server.cuts.server_port), SECONDS) as half:
            half.sendall(head.encode("latin-1") + b"\r\n" + body[: len(body) // 2])

    def _cut(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.close_connection = True
        self.connection.close()


@contextmanager
def proxy(cuts: Cuts) -> Iterator[int]:
    """A proxy in front of the server; gives its port."""
    server = _Server((HOST, 0), _Handler)
    server.cuts = cuts
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
