"""Where moto takes long, all in one list; `moto_corrections` is where it is wrong.

What is replaced are moto's internals, which may change with any release: a test knows each of them
(`tests/resources/test_moto_internals.py`) and says what to do then.
"""

from collections.abc import Callable, Iterable

from moto import backends

from resources.local_aws import moto_listings, moto_lookups, moto_queues, moto_values
from resources.local_aws.moto_replacement import Replacement, install


def _modules(original: Callable[[], Iterable[str]]) -> Callable[[], Iterable[str]]:
    """The names of moto's services: it lists the folder where it is installed with each request."""
    found = tuple(original())
    return lambda: found


REPLACEMENTS = (
    *moto_lookups.REPLACEMENTS,
    *moto_values.REPLACEMENTS,
    *moto_listings.REPLACEMENTS,
    *moto_queues.REPLACEMENTS,
    Replacement(backends, "list_of_moto_modules", _modules),
)


def hasten() -> None:
    """Make moto fast with many items, objects and messages, from now on and in this process."""
    install(REPLACEMENTS)
