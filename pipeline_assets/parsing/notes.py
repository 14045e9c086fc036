"""What a reader noticed in a file besides its records."""

from dataclasses import dataclass, field

EXAMPLE_CHARACTERS = 200
UNKNOWN_KEPT = 1_000
"""Names of unknown fields that are counted; files whose names are data have millions."""
NAME_CHARACTERS = 200
"""A name may be as long as a record; longer ones that begin alike count as one."""


@dataclass(slots=True)
class UnknownField:
    """A field that the contract does not name: in how many records, and its first value."""

    records: int
    example: str


@dataclass(slots=True)
class Notes:
    """Facts about one file; complete once its batches were read to the end.

    Attributes:
        facts: what was found out about how the file is written, and counts of what is no fault of
            a record: ``delimiter``, ``encoding``, ``compression``, ``blank_lines``,
            ``repeated_keys``.
        unknown: fields in ``_rescued``, by name, cut at ``NAME_CHARACTERS``; at most
            ``UNKNOWN_KEPT``.
    """

    facts: dict[str, str | int] = field(default_factory=dict)
    unknown: dict[str, UnknownField] = field(default_factory=dict)

    def count(self, fact: str, number: int = 1) -> None:
        """Add to a count; one that stays 0 is no fact."""
        if number:
            self.facts[fact] = int(self.facts.get(fact, 0)) + number

    def knows(self, name: str) -> bool:
        """Whether a field was noted before."""
        return name[:NAME_CHARACTERS] in self.unknown

    def rescued(self, name: str, records: int, example: str) -> None:
        """Note that so many more records have a field; the first example is kept."""
        if not records:
            return
        name = name[:NAME_CHARACTERS]
        known = self.unknown.get(name)
        if known is not None:
            known.records += records
        elif len(self.unknown) < UNKNOWN_KEPT:
            self.unknown[name] = UnknownField(records, example[:EXAMPLE_CHARACTERS])
