"""Many calls at once, as many as the settings allow."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(call: Callable[[T], R], values: Iterable[T], *, threads: int) -> list[R]:
    """Call for every value; what is returned stands in the order of the values.

    Args:
        call: one value's work. The first error that it raises is raised here, after all have ended.
        values: a single one is left to the caller's own thread.
        threads: calls at once at most, from the setting ``io_threads``.
    """
    todo = list(values)
    if len(todo) <= 1:
        return [call(value) for value in todo]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(call, todo))
