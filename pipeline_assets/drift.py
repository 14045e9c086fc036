"""Schema drift: what files hold that the contract does not name, and how they are written."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import dagster as dg

from pipeline_assets.checks import NO_NEW_FIELDS, Verdict
from pipeline_assets.parsing.notes import EXAMPLE_CHARACTERS, Notes

FIELDS_SHOWN = 100


@dataclass(frozen=True)
class ReadRecords:
    """What was noticed in a file, and how many records it has."""

    records: int
    notes: Notes


@dataclass(frozen=True)
class DriftedField:
    """A field that the contract does not name.

    Attributes:
        name: as the files have it.
        records: records that have it.
        share: of all records, 0 to 1.
        example: its first value, cut short.
    """

    name: str
    records: int
    share: float
    example: str

    def __str__(self) -> str:
        return f"{self.name} ({self.share:.1%} of the records, e.g. {self.example})"


def drifted_fields(files: Iterable[ReadRecords]) -> list[DriftedField]:
    """The unknown fields of files together, those of most records first."""
    total = 0
    records: dict[str, int] = defaultdict(int)
    examples: dict[str, str] = {}
    for file in files:
        total += file.records
        for name, found in file.notes.unknown.items():
            records[name] += found.records
            examples.setdefault(name, found.example)
    fields = [
        DriftedField(name, count, count / total if total else 0.0, examples[name])
        for name, count in records.items()
    ]
    return sorted(fields, key=lambda field: (-field.records, field.name))


def drift_verdict(day: str, fields: Sequence[DriftedField], unseen: Collection[str]) -> Verdict:
    """Whether a file date brought fields that were never seen before; a warning if so."""
    new = [field for field in fields if field.name in unseen]
    return Verdict(
        NO_NEW_FIELDS,
        day,
        passed=not new,
        facts={"new_fields": len(new), "fields": [str(field) for field in new[:FIELDS_SHOWN]]},
        severity=dg.AssetCheckSeverity.WARN,
    )


def drift_metadata(fields: Sequence[DriftedField]) -> dict[str, dg.MetadataValue]:
    """The unknown fields as a table; nothing where there are none."""
    if not fields:
        return {}
    rows = [
        dg.TableRecord(
            {
                "field": field.name,
                "records": field.records,
                "share": round(field.share, 6),
                "example": field.example[:EXAMPLE_CHARACTERS],
            }
        )
        for field in fields[:FIELDS_SHOWN]
    ]
    return {"unknown_fields": dg.MetadataValue.table(rows)}


def writing_metadata(files: Iterable[ReadRecords]) -> dict[str, dg.MetadataValue]:
    """How files are written: counts summed up, and the kinds of each fact that were met."""
    sums: dict[str, int] = defaultdict(int)
    kinds: dict[str, set[str]] = defaultdict(set)
    for file in files:
        for name, fact in file.notes.facts.items():
            if isinstance(fact, int):
                sums[name] += fact
            else:
                kinds[name].add(fact)
    said = {name: ", ".join(sorted(map(_visible, found))) for name, found in kinds.items()}
    return {
        **{name: dg.MetadataValue.int(count) for name, count in sums.items()},
        **{name: dg.MetadataValue.text(text) for name, text in said.items()},
    }


def _visible(fact: str) -> str:
    return "tab" if fact == "\t" else fact
