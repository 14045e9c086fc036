"""What a step by hand touches: files, the rows that they have now, dates and their tables."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline_assets.layers import Layer, layer_keys
from pipeline_assets.registry import datasets
from pipeline_assets.report import Carried, carried_by, state_of
from resources.landfall import Landfall
from resources.ledger.model import FileHead, FileState, Fragment
from resources.parallel import in_parallel


@dataclass(frozen=True)
class AffectedFile:
    """A file as it stands before; ``rows`` are those that count now."""

    key: str
    file_id: str
    dataset: str
    state: FileState
    rows: int


@dataclass(frozen=True)
class Affected:
    """Files and what follows from them.

    Attributes:
        files: in the order of their keys.
        dates: event dates by dataset. A file that was never loaded has none yet.
        partitions: the same dates by asset key, for every table made of the files' rows.
    """

    files: tuple[AffectedFile, ...]
    dates: Mapping[str, tuple[str, ...]]
    partitions: Mapping[str, tuple[str, ...]]

    @property
    def rows(self) -> int:
        """Rows of the files that count now."""
        return sum(each.rows for each in self.files)

    @property
    def days(self) -> tuple[str, ...]:
        """Every event date, whatever its dataset."""
        return tuple(sorted({day for days in self.dates.values() for day in days}))


def affected(landfall: Landfall, heads: Collection[FileHead]) -> Affected:
    """What loading files again, or taking their rows away, would touch."""
    carried = _carried(landfall, {head.dataset for head in heads})
    rows = _rows(landfall, heads)
    days: dict[str, set[str]] = defaultdict(set)
    for head in heads:
        days[head.dataset] |= {*head.dates, *head.former_dates}
    dates = {name: tuple(sorted(found)) for name, found in sorted(days.items()) if found}
    return Affected(
        files=tuple(
            AffectedFile(
                head.key,
                head.file_id,
                head.dataset,
                state_of(head, carried),
                rows[head.file_id],
            )
            for head in sorted(heads, key=lambda head: head.key)
        ),
        dates=dates,
        partitions=dict(_partitions(dates)),
    )


def _carried(landfall: Landfall, names: Collection[str]) -> Carried:
    requests = landfall.ledger.requests
    return carried_by([each for name in names for each in requests.open(name).requests])


def _rows(landfall: Landfall, heads: Collection[FileHead]) -> Counter[str]:
    """Rows that count now, by file id."""
    loaded = {head.file_id: head.loaded_epoch for head in heads if head.loaded_epoch}
    rows: Counter[str] = Counter()
    for entry in _entries(landfall, [head for head in heads if head.loaded_epoch]):
        if loaded.get(entry.file_id) == entry.epoch:
            rows[entry.file_id] += entry.rows
    return rows


def _entries(landfall: Landfall, heads: Sequence[FileHead]) -> Iterator[Fragment]:
    """Manifest entries: a query per date, as a file by itself need not read those of others."""
    ledger = landfall.ledger.dates
    days = sorted({(head.dataset, day) for head in heads for day in head.dates})
    alone = heads[0].file_id if len(heads) == 1 else None

    def read(date: tuple[str, str]) -> Sequence[Fragment]:
        return ledger.manifest(*date) if alone is None else ledger.entries_of(*date, alone)

    for entries in in_parallel(read, days, threads=landfall.settings.io_threads):
        yield from entries


def _partitions(dates: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for dataset in datasets():
        keys = layer_keys(dataset)
        for layer in (Layer.SILVER, Layer.GOLD, Layer.SERVING):
            for key in sorted(keys[layer]):
                if dataset.name in dates:
                    yield key.to_user_string(), dates[dataset.name]
