"""Calls at once: in order, and not too far ahead."""

import threading

import pytest

from resources.parallel import one_after_another


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
