"""Calls at once: in order, and not too far ahead."""

import threading
from collections.abc import Iterator

import pytest

from resources.parallel import one_after_another, read_ahead


def test_results_come_in_the_order_of_the_values_and_so_many_at_a_time() -> None:
    called: list[int] = []
    gate = threading.Barrier(3, timeout=30)

    def call(value: int) -> int:
        called.append(value)
        if value < 3:
            gate.wait()  # passes only once three are under way
        return -value

    results = one_after_another(call, range(20), threads=3)

    assert next(results) == 0
    assert sorted(called) == [0, 1, 2]
    assert list(results) == [-value for value in range(1, 20)]
    assert sorted(called) == list(range(20))


def test_an_error_is_raised_where_its_result_is_due_and_ends_the_rest() -> None:
    called: list[int] = []

    def call(value: int) -> int:
        called.append(value)
        if value == 2:
            raise ValueError(value)
        return value

    results = one_after_another(call, range(100), threads=4)

    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="2"):
        next(results)
    assert max(called) < 10


def test_nothing_gives_nothing() -> None:
    assert list(one_after_another(str, [], threads=2)) == []


def test_one_value_is_made_ahead_and_no_more() -> None:
    made: list[int] = []
    ahead = threading.Event()

    def values() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            if number:
                ahead.set()
            yield number

    numbers = read_ahead(values())

    assert next(numbers) == 0
    assert ahead.wait(30)
    assert made == [0, 1]
    assert list(numbers) == list(range(1, 10))
    assert list(read_ahead([0, None, ""])) == [0, None, ""]


def test_an_error_made_ahead_is_raised_where_its_value_is_due() -> None:
    def values() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    numbers = read_ahead(values())

    assert next(numbers) == 1
    with pytest.raises(ValueError, match="the second"):
        next(numbers)


def test_whoever_stops_early_closes_what_is_read_ahead() -> None:
    closed: list[bool] = []

    def values() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            closed.append(True)

    numbers = read_ahead(values())
    next(numbers)
    numbers.close()

    assert closed == [True]
