"""The CRM's client over real HTTP: pages, patience, refusals, and a token that nobody sees."""

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from pipeline_assets.errors import (
    ConfigurationError,
    CrmBusyError,
    CrmPageError,
    CrmRefusedError,
    CrmUnreachableError,
    LandfallError,
)
from resources.crm import Crm
from resources.local_aws.crm_server import CrmServer, Fault, made_up_customers, serving
from resources.settings import Settings, load_settings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

SECRET = "s3cret-of-the-crm"
Answers = dict[str, object]


def settings_for(url: str, **changes: object) -> Settings:
    known = {
        "crm_url": url,
        "crm_token": SecretStr(SECRET),
        "crm_attempts": 3,
        "crm_max_wait_seconds": 0.01,
        "crm_timeout_seconds": 5.0,
    }
    return Settings.model_construct(**(known | changes))  # type: ignore[arg-type]  # values by name


def crm_at(url: str, **changes: object) -> Crm:
    return Crm(settings_for(url, **changes), backoff_seconds=0.0)


@pytest.fixture
def server() -> CrmServer:
    return CrmServer(made_up_customers(7), token=SECRET, page_size=3)


@pytest.fixture
def url(server: CrmServer) -> Iterator[str]:
    with serving(server) as address:
        yield address


class Answering(CrmServer):
    """Gives whatever a test wants, by the path and query that are asked for."""

    def __init__(self, answers: Answers, *, cut: int = 0) -> None:
        super().__init__([])
        self.answers = answers
        self.cut = cut
        self.urls: list[str] = []

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        query = environ["QUERY_STRING"]
        self.urls.append(environ["PATH_INFO"] + (f"?{query}" if query else ""))
        page = self.answers[self.urls[-1]]
        content = page if isinstance(page, bytes) else json.dumps(page).encode()
        start_response("200 OK", [("Content-Length", str(len(content)))])
        return [content[: len(content) - self.cut]]


@pytest.fixture
def answering() -> Iterator["Serve"]:
    with ExitStack() as servers:
        yield Serve(servers)


class Serve:
    def __init__(self, servers: ExitStack) -> None:
        self._servers = servers

    def __call__(self, answers: Answers) -> str:
        address = self._servers.enter_context(serving(Answering(answers)))
        return address.removesuffix("/customers")


def page(*ids: int, following: object = None) -> Answers:
    return {"data": [{"id": number} for number in ids], "next_page": following}


def ids_of(crm: Crm) -> list[int]:
    return [json.loads(record)["id"] for page in crm.pages() for record in page.records]


def test_every_page_is_read_in_order(server: CrmServer, url: str) -> None:
    pages = list(crm_at(url).pages())

    assert [each.number for each in pages] == [1, 2, 3]
    records = [json.loads(record) for each in pages for record in each.records]
    assert records == server.customers
    assert server.asked == [1, 2, 3]


@pytest.mark.parametrize(
    "following", ["?cursor=x", "/customers?cursor=x", "{}/customers?cursor=x", "customers?cursor=x"]
)
def test_the_next_page_may_be_an_address_or_a_path(answering: Serve, following: str) -> None:
    answers: Answers = {"/customers?cursor=x": page(2)}
    base = answering(answers)
    answers["/customers"] = page(1, following=following.format(base))

    assert ids_of(crm_at(f"{base}/customers")) == [1, 2]


def test_a_base_address_is_completed_and_other_parameters_are_kept(answering: Serve) -> None:
    base = answering({"/customers": page(1)})
    assert ids_of(crm_at(base)) == [1]
    kept = answering({"/c?size=5": page(1, following=2), "/c?size=5&page=2": page(2)})
    assert ids_of(crm_at(f"{kept}/c?size=5")) == [1, 2]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("wait", [None, "0", "no number"])
def test_a_busy_crm_is_asked_again(
    server: CrmServer, url: str, status: int, wait: str | None
) -> None:
    server.faults.extend([Fault(status, wait), Fault(status, wait)])

    assert len(list(crm_at(url).pages())) == 3
    assert server.asked == [1, 1, 1, 2, 3]


def test_a_crm_that_stays_busy_is_given_up(server: CrmServer, url: str) -> None:
    server.faults.extend([Fault(200), *[Fault(503)] * 3])

    with pytest.raises(CrmBusyError, match=rf"page 2 \({url}\) with 503"):
        list(crm_at(url).pages())
    assert server.asked == [1, 2, 2, 2]


@pytest.mark.parametrize(
    ("status", "mend"),
    [
        (401, "set LANDFALL_CRM_TOKEN"),
        (403, "let the token of LANDFALL_CRM_TOKEN read customers"),
        (404, "set LANDFALL_CRM_URL"),
        (400, "check LANDFALL_CRM_URL"),
        (204, "check LANDFALL_CRM_URL"),
    ],
)
def test_a_refusal_is_final_and_names_the_mend(
    server: CrmServer, url: str, status: int, mend: str
) -> None:
    server.faults.append(Fault(status))

    with pytest.raises(CrmRefusedError, match=mend) as refused:
        list(crm_at(url).pages())
    assert server.asked == [1]
    assert not refused.value.retryable


def test_a_wrong_token_is_refused_by_the_server(server: CrmServer, url: str) -> None:
    with pytest.raises(CrmRefusedError, match="with 401"):
        list(crm_at(url, crm_token=SecretStr("other")).pages())
    assert server.asked == []


def test_no_answer_is_tried_again_and_then_told(url: str, server: CrmServer) -> None:
    nobody = "http://127.0.0.1:1/customers"

    with pytest.raises(CrmUnreachableError, match=r"Page 1 .*127\.0\.0\.1:1.*ConnectError"):
        list(crm_at(nobody).pages())
    assert server.asked == []
    assert url != nobody


@pytest.mark.parametrize(
    ("following", "cause"),
    [
        ("http://other.example/customers?page=2", "another host, 'other.example'"),
        ("//other.example/customers", "another host"),
        ("http://mu:pw@127.0.0.1/customers", "has a user and password in it"),
        ("https://127.0.0.1/customers", "another host"),
        ("/customers", "was read before"),
        ("", "was read before"),
        ("http://[::1/", "no address"),
        (True, "neither an address nor a number"),
    ],
)
def test_a_next_page_that_leads_astray_is_an_error(
    answering: Serve, following: object, cause: str
) -> None:
    base = answering({"/customers": page(1, following=following)})

    with pytest.raises(CrmPageError, match=cause):
        list(crm_at(base).pages())


def test_pages_without_end_stop_at_the_limit(answering: Serve) -> None:
    answers: Answers = {f"/customers?page={n}": page(n, following=n + 1) for n in range(2, 9)}
    base = answering({"/customers": page(1, following=2), **answers})

    with pytest.raises(CrmPageError, match=r"Page 4 .*LANDFALL_CRM_MAX_PAGES"):
        list(crm_at(base, crm_max_pages=4).pages())


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"<html>maintenance</html>", "it is no JSON"),
        (b'{"items": []}', "no list `data`"),
        (b'{"data": []}', "no `next_page`"),
    ],
)
def test_what_is_no_page_names_the_page(answering: Serve, content: bytes, cause: str) -> None:
    base = answering({"/customers": page(1, following=2), "/customers?page=2": content})

    with pytest.raises(CrmPageError, match=f"Page 2 of the CRM .*{cause}"):
        list(crm_at(base).pages())


def test_a_page_beyond_all_measure_is_refused(
    answering: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.crm.MAX_PAGE_BYTES", 100)
    base = answering({"/customers": page(*range(100))})

    with pytest.raises(CrmPageError, match="more than 100 bytes"):
        list(crm_at(base).pages())


def test_a_page_that_drips_for_ever_is_given_up(
    answering: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.crm.MAX_PAGE_SECONDS", -1.0)
    base = answering({"/customers": page(1)})

    with pytest.raises(CrmUnreachableError, match="was not complete"):
        list(crm_at(base).pages())


def test_a_page_that_breaks_off_is_asked_for_again_and_then_told() -> None:
    cutting = Answering({"/customers": page(1)}, cut=5)

    with serving(cutting) as url, pytest.raises(CrmUnreachableError, match="RemoteProtocolError"):
        list(crm_at(url).pages())

    assert cutting.urls == ["/customers"] * 3


@pytest.mark.parametrize("token", ["", "  ", "two words", "line\nbreak", "tökén"])
def test_a_token_that_no_header_takes_is_told_and_not_shown(token: str) -> None:
    with pytest.raises(ConfigurationError, match="LANDFALL_CRM_TOKEN") as told:
        list(crm_at("http://127.0.0.1:1", crm_token=SecretStr(token)).pages())
    assert not token.strip() or token not in str(told.value)


@pytest.mark.parametrize("fault", [None, 401, 404, 500])
def test_the_token_is_in_no_repr_log_or_error(
    server: CrmServer,
    url: str,
    fault: int | None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LANDFALL_CRM_TOKEN", SECRET)
    monkeypatch.setenv("LANDFALL_CRM_MAX_WAIT_SECONDS", "0")
    settings = load_settings().model_copy(update={"crm_url": url})
    crm = Crm(settings, backoff_seconds=0.0)
    server.faults.extend([] if fault is None else [Fault(fault)] * 9)
    caught: LandfallError | None = None

    with caplog.at_level(logging.DEBUG):
        try:
            list(crm.pages())
        except LandfallError as error:
            caught = error

    assert (caught is None) == (fault is None)
    seen = (repr(settings), str(settings), repr(crm), repr(caught), str(caught), caplog.text)
    assert not [text for text in seen if SECRET in text]
