"""How the CRM's pages are packed on the wire, and how long the client waits between two tries."""

import gzip
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pytest
import stamina.instrumentation
from pydantic import SecretStr

from pipeline_assets.errors import CrmBusyError, CrmPageError, CrmUnreachableError
from resources.crm import Crm
from resources.local_aws.crm_server import CrmServer, Fault, serving
from resources.settings import Settings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

PAGE = json.dumps({"data": [{"id": 1}], "next_page": None}).encode()
ONE_RECORD = ['{"id": 1}']


def crm_at(url: str, *, backoff_seconds: float = 0.0) -> Crm:
    settings = Settings.model_construct(
        crm_url=url,
        crm_token=SecretStr("t"),
        crm_attempts=3,
        crm_max_wait_seconds=0.1,
        crm_timeout_seconds=5.0,
    )
    return Crm(settings, backoff_seconds=backoff_seconds)


class Packing(CrmServer):
    """Sends one body under one Content-Encoding, and notes what it was asked to send."""

    def __init__(self, body: bytes, encoding: str) -> None:
        super().__init__([])
        self.body = body
        self.encoding = encoding
        self.accepted: list[str] = []

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        self.accepted.append(environ["HTTP_ACCEPT_ENCODING"])
        length = str(len(self.body))
        start_response("200 OK", [("Content-Encoding", self.encoding), ("Content-Length", length)])
        return [self.body]


def records_of(packing: Packing) -> list[str]:
    with serving(packing) as url:
        return [record for page in crm_at(url).pages() for record in page.records]


def test_a_page_in_gzip_is_unpacked_and_nothing_else_is_asked_for() -> None:
    packing = Packing(gzip.compress(PAGE), "gzip")

    assert records_of(packing) == ONE_RECORD
    assert packing.accepted == ["gzip"]


def test_a_page_in_several_layers_is_refused_however_small_it_is() -> None:
    packing = Packing(gzip.compress(gzip.compress(PAGE)), "gzip, gzip")

    with pytest.raises(CrmPageError, match="Content-Encoding is 'gzip, gzip'"):
        records_of(packing)
    assert len(packing.accepted) == 1


def test_a_page_that_unpacks_beyond_all_measure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.crm.MAX_PAGE_BYTES", 1000)
    packing = Packing(gzip.compress(b" " * 1001 + PAGE), "gzip")

    with pytest.raises(CrmPageError, match="more than 1,000 bytes"):
        records_of(packing)


def test_broken_gzip_is_asked_for_again_and_then_told() -> None:
    packing = Packing(gzip.compress(PAGE)[:-4], "gzip")

    with pytest.raises(CrmUnreachableError, match="gzip ends too early"):
        records_of(packing)
    assert len(packing.accepted) == 3


@pytest.fixture
def waits() -> Iterator[list[float]]:
    """Seconds of every wait, as the library that waits tells them."""
    seen: list[float] = []
    former = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([lambda details: seen.append(details.wait_for)])
    yield seen
    stamina.instrumentation.set_on_retry_hooks(former)


@pytest.mark.parametrize("asked", ["0", "Sat, 01 Jan 2000 00:00:00 GMT", None])
def test_a_crm_that_asks_for_no_wait_is_given_the_ordinary_one(
    waits: list[float], asked: str | None
) -> None:
    server = CrmServer(token="t")
    server.faults.extend([Fault(429, asked)] * 3)

    with serving(server) as url, pytest.raises(CrmBusyError):
        list(crm_at(url, backoff_seconds=0.02).pages())

    first, second = waits
    assert 0.02 <= first <= 0.04
    assert 0.04 <= second <= 0.06


def test_a_crm_that_asks_for_more_than_the_longest_wait_is_asked_no_more(
    waits: list[float],
) -> None:
    server = CrmServer(token="t")
    server.faults.append(Fault(429, "3600"))

    with serving(server) as url, pytest.raises(CrmBusyError, match="pull again later"):
        list(crm_at(url, backoff_seconds=0.02).pages())

    assert (server.asked, waits) == ([1], [])
