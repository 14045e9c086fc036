"""The CRM's REST API: all pages of its customers, asked for with patience.

The token stands in one header and nowhere else: no message, log line or ``repr`` shows it, and no
page leads to another host.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from ipaddress import ip_address

import httpx
import stamina

from pipeline_assets.errors import (
    ConfigurationError,
    CrmBusyError,
    CrmPageError,
    CrmRefusedError,
    CrmUnreachableError,
)
from resources.crm_page import PageBody, decoded, read_page
from resources.settings import Settings

DEFAULT_PATH = "/customers"
PAGE_PARAMETER = "page"
TOKEN = re.compile(r"[\x21-\x7e]+")
"""What may stand in a header without being cut or refused by a library that would show it."""
BACKOFF_SECONDS = 0.5
MAX_PAGE_BYTES = 64 * 1024**2
MAX_PAGE_SECONDS = 300.0
"""A page that drips for longer is given up, though each wait is shorter than the timeout."""
PATIENT = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
MENDS = {
    HTTPStatus.UNAUTHORIZED: "set LANDFALL_CRM_TOKEN to a token that the CRM knows",
    HTTPStatus.FORBIDDEN: "let the token of LANDFALL_CRM_TOKEN read customers, or set another",
    HTTPStatus.NOT_FOUND: "set LANDFALL_CRM_URL to the address of its customers",
}
REDIRECTED = "it leads elsewhere; set LANDFALL_CRM_URL to the address itself"
OTHERWISE = "check LANDFALL_CRM_URL, or ask whoever runs the CRM"


@dataclass(frozen=True)
class CrmPage:
    """Records of one page, each a JSON text on one line; pages are numbered from 1."""

    number: int
    records: tuple[str, ...]


@dataclass(frozen=True)
class _Place:
    """A page: its number and address."""

    number: int
    url: httpx.URL

    @property
    def shown(self) -> str:
        """The address without its query, which may hold what is nobody's business."""
        return str(self.url.copy_with(query=None, fragment=None))


class Crm:
    """Reads the customers of the CRM that the settings name."""

    def __init__(self, settings: Settings, *, backoff_seconds: float = BACKOFF_SECONDS) -> None:
        self._settings = settings
        self._backoff_seconds = backoff_seconds

    def pages(self) -> Iterator[CrmPage]:
        """Every page, from the first to the last. A fault in between raises.

        Raises:
            ConfigurationError: address or token are missing or not usable.
            CrmUnreachableError: a page did not come, however often it was asked for.
            CrmBusyError: the CRM answered 429 or failed (5xx) at every attempt.
            CrmRefusedError: the CRM refuses a page (401, 403, 404 and other answers).
            CrmPageError: a page is not what was agreed on, or leads where it must not.
        """
        place = _Place(1, first_url(self._settings.crm_url))
        seen: set[httpx.URL] = set()
        with self._client(place.url) as client:
            while True:
                seen.add(place.url)
                page = self._page(client, place)
                yield CrmPage(place.number, page.records)
                if page.next_page is None:
                    return
                place = self._next(place, page.next_page, seen)

    @contextmanager
    def _client(self, url: httpx.URL) -> Iterator[httpx.Client]:
        token = self._settings.crm_token.get_secret_value().strip()
        if not TOKEN.fullmatch(token):
            raise ConfigurationError(
                "LANDFALL_CRM_TOKEN is empty, or has characters that no token has: set it to the "
                "bearer token for the CRM."
            )
        with httpx.Client(
            headers={
                "Authorization": f"Bearer {token}",
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
            },
            timeout=self._settings.crm_timeout_seconds,
            follow_redirects=False,
            # A proxy of the environment is for the world outside, never for this machine.
            trust_env=not _is_loopback(url.host),
        ) as client:
            yield client

    def _page(self, client: httpx.Client, place: _Place) -> PageBody:
        body = self._patiently(client, place)
        try:
            return read_page(body)
        except ValueError as error:
            raise CrmPageError(place.number, place.shown, str(error)) from None

    def _patiently(self, client: httpx.Client, place: _Place) -> bytes:
        body, ordinary = b"", 0.0

        def wait(error: Exception) -> bool | float:
            return self._wait(error, ordinary)

        for attempt in stamina.retry_context(
            on=wait,
            attempts=self._settings.crm_attempts,
            timeout=None,
            wait_initial=self._backoff_seconds,
            wait_max=self._settings.crm_max_wait_seconds,
            wait_jitter=self._backoff_seconds,
        ):
            ordinary = attempt.next_wait
            with attempt:
                body = _get(client, place)
        return body

    def _wait(self, error: Exception, ordinary: float) -> bool | float:
        """Whether to ask again; seconds where the CRM asks for more than the ordinary wait.

        One that asks for more than the longest wait is not asked before: this pull is over.
        """
        asked = error.wait_seconds if isinstance(error, CrmBusyError) else None
        if asked is not None and asked > ordinary:
            return asked if asked <= self._settings.crm_max_wait_seconds else False
        return isinstance(error, CrmBusyError | CrmUnreachableError)

    def _next(self, place: _Place, next_page: int | str, seen: set[httpx.URL]) -> _Place:
        url = next_url(place.url, next_page)
        cause = None
        if url is None:
            cause = "its `next_page` is no address"
        elif url.userinfo:
            cause = "its `next_page` has a user and password in it"
        elif _origin(url) != _origin(place.url):
            cause = f"its `next_page` leads to another host, {url.host!r}"
        elif url in seen:
            cause = "its `next_page` leads back to a page that was read before"
        elif len(seen) >= self._settings.crm_max_pages:
            cause = (
                f"it is not the last, and {self._settings.crm_max_pages} pages are allowed; raise "
                "LANDFALL_CRM_MAX_PAGES if the CRM has more"
            )
        if url is None or cause is not None:
            raise CrmPageError(place.number, place.shown, str(cause))
        return _Place(place.number + 1, url)


def first_url(setting: str) -> httpx.URL:
    """Address of the first page.

    Raises:
        ConfigurationError: the setting is empty or no address, or has a password in it.
    """
    if not setting:
        raise ConfigurationError(
            "LANDFALL_CRM_URL is not set: set it to the address of the CRM's customers."
        )
    url = _address(httpx.URL(), setting.strip()) or httpx.URL("")
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo:
        raise ConfigurationError(
            "LANDFALL_CRM_URL is not usable: give an address like https://crm.example/customers, "
            "without user and password."
        )
    return url.copy_with(path=DEFAULT_PATH) if url.path in {"", "/"} else url


def next_url(url: httpx.URL, next_page: int | str) -> httpx.URL | None:
    """Address of the page after one: of that number, or at that address or path; or None."""
    if isinstance(next_page, int):
        return url.copy_set_param(PAGE_PARAMETER, next_page)
    return _address(url, next_page)


def _address(base: httpx.URL, text: str) -> httpx.URL | None:
    """The address that a text is, seen from another one; or None."""
    try:
        url = base.join(text).copy_with(fragment=None)
        url.host.encode("idna")  # which fails for what no name server can be asked for
    except (httpx.InvalidURL, UnicodeError):  # half a surrogate pair is no letter
        return None
    return url


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After asks for: a number of them, or a date. RFC 9110, 10.2.3.

    Returns:
        None where there is none, or none that can be read.
    """
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        at = parsedate_to_datetime(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        return max(0.0, (at - now).total_seconds())
    except (ValueError, OverflowError):  # a year or a zone may be beyond all calendars
        return None


def _get(client: httpx.Client, place: _Place) -> bytes:
    try:
        with client.stream("GET", place.url) as response:
            _refuse(place, response)
            return _body(place, response)
    except httpx.RequestError as error:
        detail = type(error).__name__ + (f", {error}" if str(error) else "")
        raise CrmUnreachableError(place.number, place.shown, detail) from error


def _refuse(place: _Place, response: httpx.Response) -> None:
    status = response.status_code
    if status == HTTPStatus.OK:
        return
    if status in PATIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        wait = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
        raise CrmBusyError(place.number, place.shown, status, wait)
    otherwise = REDIRECTED if response.is_redirect else OTHERWISE
    mend = next((mend for known, mend in MENDS.items() if known == status), otherwise)
    raise CrmRefusedError(place.number, place.shown, status, mend)


def _body(place: _Place, response: httpx.Response) -> bytes:
    # httpx would unpack a chunk whole, in as many layers as the CRM names: a few KB fill memory.
    encoding = response.headers.get("Content-Encoding", "")
    try:
        return decoded(_in_time(place, response), encoding, limit=MAX_PAGE_BYTES)
    except ValueError as error:
        raise CrmPageError(place.number, place.shown, str(error)) from None
    except EOFError as error:
        raise CrmUnreachableError(place.number, place.shown, str(error)) from None


def _in_time(place: _Place, response: httpx.Response) -> Iterator[bytes]:
    deadline = time.monotonic() + MAX_PAGE_SECONDS
    for chunk in response.iter_raw():
        yield chunk
        if time.monotonic() > deadline:
            late = f"it was not complete after {MAX_PAGE_SECONDS:.0f} seconds"
            raise CrmUnreachableError(place.number, place.shown, late)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    default = {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host, url.port or default


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
