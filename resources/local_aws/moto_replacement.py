"""How the local AWS puts functions of its own in the place of moto's, which has no hooks for it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Replacement:
    """A function, method or property of moto, and what stands in its place.

    Attributes:
        owner: moto's class or module.
        name: of the function in it.
        make: gives what replaces it, from what moto has there.
    """

    owner: type | Any
    name: str
    make: Callable[[Any], Any]

    @property
    def original(self) -> Any:  # noqa: ANN401 - a function or a property
        """What stands there now: moto's own, before `install`."""
        return vars(self.owner)[self.name]


def install(replacements: Iterable[Replacement]) -> None:
    """Replace them, from now on and in this process; once."""
    for each in replacements:
        setattr(each.owner, each.name, each.make(each.original))
