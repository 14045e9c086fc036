"""What a dead letter tells, and how letters go into messages and calls."""

import json
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resources.aws import Aws
from resources.dead_letters import CALL_BYTES, DeadLetter, DeadLetterQueue
from resources.ledger.model import Fault, FileHead, FileState, Step

RUN = "run-1"


def dead_head(text: str = "x", event: str | None = None) -> FileHead:
    fault = Fault("CorruptFileError", text[:4000], "2025-03-01T00:00:00.000Z", "bronze", text)
    step = Step("2025-03-01T00:00:00.000Z", "FAILED", 2, 1, RUN, text[:500])
    return FileHead(
        file_id="0123456789abcdef",
        bucket="landing",
        key="events/" + text[:1000],
        dataset="events",
        etag="etag",
        size=7,
        landed_at="2025-03-01T00:00:00.000Z",
        file_date="2025-03-01",
        epoch=2,
        attempts=3,
        state=FileState.DEAD,
        due_at="2025-03-01T00:00:00.000Z",
        error=fault,
        event=event,
        history=(replace(step, epoch=1), *[step] * 49),
    )


@example("1", 6000)
@given(st.text(min_size=1, max_size=3), st.sampled_from([1, 600, 6000]))
def test_a_letter_fits_into_a_message_whatever_it_tells(letters: str, size: int) -> None:
    text = (letters * size)[:6000]

    body = DeadLetter.of(dead_head(text, event=text)).body

    assert len(body) <= CALL_BYTES
    assert body.isascii()
    assert json.loads(body)["message"] == text[:4000]


@pytest.mark.parametrize("event", ['{"cut": ', "1" * 6000, "[" * 6000])
def test_an_event_that_cannot_be_read_is_told_as_it_is(event: str) -> None:
    assert json.loads(DeadLetter.of(dead_head(event=event)).body)["event"] == event


def test_of_a_letter_that_is_too_long_the_stack_goes_first_then_the_event() -> None:
    wide, event = "\U0001d11e" * 6000, json.dumps({"key": "\U0001d11e" * 600})
    whole = json.loads(DeadLetter.of(dead_head("a" * 6000, event)).body)
    assert (len(whole["stack"]), whole["event"] is None) == (6000, False)
    quiet = replace(dead_head(wide), history=())

    without_stack = json.loads(DeadLetter.of(replace(quiet, event="a" * 150_000)).body)

    assert without_stack["stack"] is None
    assert without_stack["event"] is not None
    least = json.loads(DeadLetter.of(dead_head(wide, event=wide)).body)
    assert (least["stack"], least["event"]) == (None, None)
    assert len(least["attempts"]) == 49


def test_only_attempts_at_the_bytes_that_died_are_told() -> None:
    assert {each.attempt for each in DeadLetter.of(dead_head()).attempts} == {1}
    assert len(DeadLetter.of(dead_head()).attempts) == 49


def test_a_file_without_a_notification_was_found_by_listing() -> None:
    letter = DeadLetter.of(dead_head())

    assert (letter.event, letter.event_source) == (None, "found by listing")


def test_a_call_takes_ten_letters_or_as_many_as_fit(aws: Aws) -> None:
    queue = DeadLetterQueue(aws)
    small = DeadLetter.of(dead_head("a"))
    large = DeadLetter.of(dead_head("a" * 6000, event="b" * 100_000))

    assert [len(each) for each in queue.batches([small] * 25)] == [10, 10, 5]
    assert [len(each) for each in queue.batches([large] * 4)] == [1] * 4
    for batch in queue.batches([large] * 4):
        assert queue.send(batch) == {}
