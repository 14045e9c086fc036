"""A small CRM for demonstrations and tests: pages of made-up customers over HTTP."""

import json
import threading
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

TOKEN = "landfall-local"  # noqa: S105 - of made-up customers
COUNT = 250
PAGE_SIZE = 100
BEGUN = datetime(2024, 1, 1, tzinfo=UTC)
FIRST_NAMES = ("Ada", "Bruno", "Chloé", "Dmitri", "Eun-ji", "Femi", "Greta", "Hadi")
LAST_NAMES = ("Abara", "Bianchi", "Castillo", "Dupont", "Eriksen", "Fuchs", "Garcia")
PHONES = ("(212) 664-76{:02}", "+44 20 7946 09{:02}", "030 2325 00{:02}", "ext. {:02}")
COUNTRIES = ("US", "GB", "DE", None)

Customer = dict[str, str | int | None]


@dataclass(frozen=True)
class Fault:
    """An answer in the place of a page; ``retry_after`` is the text of that header."""

    status: int
    retry_after: str | None = None


def made_up_customers(count: int = COUNT) -> list[Customer]:
    """Customers, the same whenever they are asked for; about one in four has no valid phone."""
    return [_customer(number) for number in range(count)]


def _customer(number: int) -> Customer:
    first, last = FIRST_NAMES[number % len(FIRST_NAMES)], LAST_NAMES[number % len(LAST_NAMES)]
    created = BEGUN + timedelta(hours=number)
    kind = number % len(PHONES)
    customer: Customer = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"landfall/customer/{number}")),
        "first_name": first,
        "last_name": last,
        "email_address": f"Customer{number}@Example.com",
        "phone_number": PHONES[kind].format(number % 100),
        "country": COUNTRIES[kind],
        "loyalty_points": number * 61 % 12_000,
        "created_at": _text(created),
    }
    if number % 3 == 0:
        customer["updated_at"] = _text(created + timedelta(days=30))
    return customer


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class CrmServer:
    """A WSGI application that answers ``?page=N`` to those who have the token.

    Attributes:
        faults: given in the place of the next answers, each once.
        asked: the page of every request with the right token, in order.
    """

    def __init__(
        self,
        customers: Sequence[Customer] | None = None,
        *,
        token: str = TOKEN,
        page_size: int = PAGE_SIZE,
    ) -> None:
        self.customers = made_up_customers() if customers is None else customers
        self.faults: deque[Fault] = deque()
        self.asked: list[int] = []
        self._token = token
        self._page_size = page_size

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> "Iterable[bytes]":
        """Answer one request."""
        headers = [("Content-Type", "application/json")]
        status, body = 401, json.dumps({"error": "unknown token"})
        if environ.get("HTTP_AUTHORIZATION") == f"Bearer {self._token}":
            number = _page_number(environ.get("QUERY_STRING", ""))
            self.asked.append(number)
            fault = self.faults.popleft() if self.faults else Fault(200)
            status, body = fault.status, self._page(number)
            if fault.retry_after is not None:
                headers.append(("Retry-After", fault.retry_after))
        content = body.encode()
        headers.append(("Content-Length", str(len(content))))
        start_response(f"{status} -", headers)
        return [content]

    def _page(self, number: int) -> str:
        start = (number - 1) * self._page_size
        end = start + self._page_size
        following = number + 1 if end < len(self.customers) else None
        page = {"data": list(self.customers[start:end]), "next_page": following}
        return json.dumps(page, ensure_ascii=False, indent=1)


def _page_number(query: str) -> int:
    text = parse_qs(query).get("page", ["1"])[0]
    return max(1, int(text)) if text.isascii() and text.isdigit() else 1


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing: standard error is the caller's."""


@contextmanager
def serving(crm: CrmServer) -> Iterator[str]:
    """Serve on a free port of the loopback, one request at a time; gives the address."""
    with make_server("127.0.0.1", 0, crm, handler_class=_Silent) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/customers"
        finally:
            server.shutdown()
            thread.join()
