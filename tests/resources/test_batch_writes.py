"""Writes into one table: how many are under way at once, and what a refusal does to that."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from resources.batch_writes import Lanes

PATIENCE_SECONDS = 20.0


def test_a_refusal_halves_the_lanes_and_one_is_always_left() -> None:
    lanes = Lanes(16)
    opened = []
    for _ in range(6):
        lanes.was_refused()
        opened.append(lanes.open)

    assert opened == [8, 4, 2, 1, 1, 1]


def test_a_round_of_calls_that_went_well_opens_one_lane_up_to_the_most() -> None:
    lanes = Lanes(8)
    lanes.was_refused()
    for _ in range(5):
        lanes.was_taken()
    after_a_round = lanes.open
    for _ in range(1000):
        lanes.was_taken()

    assert (after_a_round, lanes.open) == (5, 8)


@pytest.mark.parametrize("refusals", [0, 1, 3])
def test_no_more_calls_are_under_way_than_lanes_are_open(refusals: int) -> None:
    lanes = Lanes(8)
    for _ in range(refusals):
        lanes.was_refused()
    lock, under_way, most = threading.Lock(), 0, 0

    def call(_: int) -> None:
        nonlocal under_way, most
        with lanes.lane():
            with lock:
                under_way += 1
                most = max(most, under_way)
            time.sleep(0.002)  # long enough for the others to come
            with lock:
                under_way -= 1

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(call, range(200)))

    assert most == lanes.open == 8 // 2**refusals


def test_whoever_waits_goes_on_when_a_lane_opens() -> None:
    lanes = Lanes(2)
    lanes.was_refused()
    with lanes.lane():
        waiting = threading.Thread(target=lambda: lanes.lane().__enter__(), daemon=True)
        waiting.start()
        lanes.was_taken()
        waiting.join(PATIENCE_SECONDS)

    assert not waiting.is_alive()
