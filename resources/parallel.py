"""Many calls at once, as many as the settings allow."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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


def one_after_another(call: Callable[[T], R], values: Iterable[T], *, threads: int) -> Generator[R]:
    """What a call returns for each value, in their order, while the next ones are under way.

    No more than ``threads`` results wait. The first error is raised where its result is due.
    Whoever takes no more closes the generator, which waits for the calls that are under way.
    """
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[Future[R]] = deque()
        for value in values:
            ahead.append(pool.submit(call, value))
            if len(ahead) == threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def read_ahead(values: Iterable[T]) -> Generator[T]:
    """The same values, each made by another thread while the one before it is used.

    An error is raised where its value is due. Whoever takes no more closes the generator, which
    waits for the value under way and closes ``values`` if that is a generator.
    """
    upcoming = iter(values)
    with ThreadPoolExecutor(1) as pool:
        try:
            waiting = pool.submit(_next, upcoming)
            while value := waiting.result():
                waiting = pool.submit(_next, upcoming)
                yield value[0]
        finally:
            pool.shutdown()
            if isinstance(upcoming, Generator):
                upcoming.close()


def _next(values: Iterator[T]) -> tuple[T] | None:
    for value in values:
        return (value,)
    return None
