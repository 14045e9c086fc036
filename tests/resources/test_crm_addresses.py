"""What the CRM's addresses and Retry-After headers mean."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_assets.errors import (
    ConfigurationError,
    CrmBusyError,
    CrmRefusedError,
    CrmUnreachableError,
)
from resources.crm import Crm, first_url, next_url, retry_after
from resources.settings import Settings

PARTS = (
    "Mon,",
    "10",
    "Mar",
    "2025",
    "12:00:30",
    "GMT",
    "-0000",
    "9" * 30,
    "+" + "9" * 30,
    ":",
    "-",
)
NOW = datetime(2025, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "crm.example", "ftp://crm.example", "https://", "https://u:pw-hidden@crm.example"),
        *("http://xn--/", "http://xn--a/", "http://..:80/"),
    ],
)
def test_an_address_that_is_none_is_told_without_a_password(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="LANDFALL_CRM_URL") as told:
        first_url(wrong)
    assert "pw-hidden" not in str(told.value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("-5", None),
        ("soon", None),
        ("1e9", None),
        ("99999999999999999999", None),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        ("Mon, 10 Mar 2025 12:00:30 -0000", 30.0),
        ("Mon, 10 Mar 99999999999999999999 12:00:00 GMT", None),
        ("Mon, 99999999999999999999 Mar 2025 12:00:00 GMT", None),
        ("Mon, 10 Mar 2025 12:00:00 +99999999999999999999", None),
    ],
)
def test_a_wait_is_a_number_of_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    ("asked", "waited"),
    [("0", True), ("2", True), ("7", 7.0), ("20", 20.0), ("3600", False), (None, True)],
)
def test_the_crm_decides_on_the_wait_between_the_ordinary_and_the_longest(
    asked: str | None, *, waited: float | bool
) -> None:
    crm = Crm(Settings.model_construct(crm_max_wait_seconds=20.0))

    busy = CrmBusyError(1, "u", 429, retry_after(asked, NOW))

    assert crm._wait(busy, 4.0) == waited
    assert type(crm._wait(busy, 4.0)) is type(waited)
    assert crm._wait(CrmUnreachableError(1, "u", ""), 4.0) is True
    assert crm._wait(CrmRefusedError(1, "u", 401, ""), 4.0) is False
    assert crm._wait(ValueError(), 4.0) is False


@given(st.text() | st.lists(st.sampled_from(PARTS), max_size=7).map(" ".join))
def test_whatever_the_header_says_it_is_a_wait_or_none(value: str) -> None:
    seconds = retry_after(value, NOW)

    assert seconds is None or seconds >= 0


def test_half_a_surrogate_pair_is_no_address() -> None:
    assert next_url(httpx.URL("http://crm.example/"), "/\ud800") is None


@pytest.mark.parametrize("host", ["xn--", "xn--a", "..:80"])
def test_a_host_that_is_no_name_is_no_address(host: str) -> None:
    assert next_url(httpx.URL("http://crm.example/"), f"http://{host}/") is None
