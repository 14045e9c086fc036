"""Settings: what they take, and what they say of what they do not."""

import pytest

from pipeline_assets.errors import ConfigurationError
from resources.settings import LONGEST_SECONDS, Settings, load_settings

SECONDS = sorted(name for name in Settings.model_fields if name.endswith("_seconds"))
LONGEST = dict.fromkeys(SECONDS, LONGEST_SECONDS) | {"landing_wait_seconds": 8}
"""What each may be at most: a tick that waits for long is cut off."""


@pytest.mark.usefixtures("clean_environment")
@pytest.mark.parametrize("name", SECONDS)
def test_seconds_that_no_clock_can_add_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    variable = f"LANDFALL_{name.upper()}"
    far = "1000000000000"
    monkeypatch.setenv(variable, far)

    with pytest.raises(ConfigurationError, match=rf"{variable}='{far}'.*less than or equal"):
        load_settings()


@pytest.mark.usefixtures("clean_environment")
@pytest.mark.parametrize("name", SECONDS)
def test_a_year_of_seconds_is_taken(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"LANDFALL_{name.upper()}", str(LONGEST[name]))

    assert getattr(load_settings(), name) == LONGEST[name]


def test_the_last_wait_that_the_settings_allow_is_a_time_that_python_knows() -> None:
    settings = Settings(
        max_attempts=100, backoff_seconds=LONGEST_SECONDS, backoff_max_seconds=LONGEST_SECONDS
    )

    waited = settings.wait_after(settings.max_attempts).total_seconds()

    assert LONGEST_SECONDS / 2 <= waited <= LONGEST_SECONDS


@pytest.mark.usefixtures("clean_environment")
@pytest.mark.parametrize("topic", ["", "two words", "ü", "t" * 257, "queue.fifo"])
def test_a_name_that_no_topic_can_have_is_refused(
    monkeypatch: pytest.MonkeyPatch, topic: str
) -> None:
    monkeypatch.setenv("LANDFALL_ALERTS_TOPIC", topic)

    with pytest.raises(ConfigurationError, match="LANDFALL_ALERTS_TOPIC"):
        load_settings()


@pytest.mark.usefixtures("clean_environment")
@pytest.mark.parametrize("home", ["", "  "])
def test_a_blank_home_is_refused(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("LANDFALL_HOME", home)

    with pytest.raises(ConfigurationError, match=r"LANDFALL_HOME=.* name a folder"):
        load_settings()


@pytest.mark.usefixtures("clean_environment")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LANDING_QUEUE", "a b"),
        ("DEAD_LETTER_QUEUE", ""),
        ("LANDING_DEAD_LETTER_QUEUE", "q" * 81),
        ("LEDGER_TABLE", "'ledger'"),
        ("SERVING_PREFIX", " "),
    ],
)
def test_names_that_aws_would_refuse_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"LANDFALL_{name}", value)

    with pytest.raises(ConfigurationError, match=f"LANDFALL_{name}="):
        load_settings()


@pytest.mark.usefixtures("clean_environment")
def test_a_bucket_without_a_queue_has_no_name_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDFALL_LANDING_QUEUE", "")

    assert load_settings().landing_queue == ""


@pytest.mark.usefixtures("clean_environment")
@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("LANDING_BUCKET", "LAKE_BUCKET"),
        ("LANDING_QUEUE", "DEAD_LETTER_QUEUE"),
        ("LANDING_QUEUE", "LANDING_DEAD_LETTER_QUEUE"),
        ("LANDING_DEAD_LETTER_QUEUE", "DEAD_LETTER_QUEUE"),
    ],
)
def test_two_things_with_one_name_are_refused(
    monkeypatch: pytest.MonkeyPatch, one: str, two: str
) -> None:
    for name in (one, two):
        monkeypatch.setenv(f"LANDFALL_{name}", "the-same")

    with pytest.raises(ConfigurationError, match=f"LANDFALL_{one} and LANDFALL_{two} are both"):
        load_settings()
