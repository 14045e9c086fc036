"""What the pipeline made of the samples, beside what the generator says it must be."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date
from typing import Final

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline_assets.datasets.events import DATASET
from pipeline_assets.demo.samples import Account, Activity, Samples
from pipeline_assets.serving import serving_table
from resources.lake import TableName
from resources.landfall import Landfall
from resources.ledger.model import DateHead, FileState

SUMMARY: Final = DATASET.serving[0]
ACTIVITY: Final[Mapping[str, pl.DataType]] = {
    "event_date": pl.Date(),
    "event_type": pl.String(),
    "event_count": pl.Int64(),
    "unique_users": pl.Int64(),
}
SHOWN_ITEMS: Final = 4
NEXT: Final = (
    ("make dev", "the same in Dagster's UI, with its sensors on"),
    (".venv/bin/landfall explain {key}", "one file's whole story"),
    (".venv/bin/landfall status", "files by state, backlog, dirty and held dates"),
    (".venv/bin/landfall land FILE --dataset events", "land a file of your own, and then"),
    (".venv/bin/landfall work --until-idle", "bring it to gold and DynamoDB"),
)


@dataclass(frozen=True)
class Outcome:
    """What stands in the ledger, the lake and DynamoDB.

    Attributes:
        states: state of each of the dataset's files by its key below the dataset.
        accounts: the ledger's account of each event date that it knows.
        gold: rows of the daily summary in the lake, in its order.
        items: rows of the daily summary in DynamoDB, in its order.
    """

    states: Mapping[str, FileState]
    accounts: Mapping[date, Account]
    gold: tuple[Activity, ...]
    items: tuple[Activity, ...]


def read_outcome(landfall: Landfall, days: Sequence[date]) -> Outcome:
    """Read what stands for these event dates.

    Raises:
        AwsUnreachableError: the environment's AWS does not answer.
    """
    heads = landfall.ledger.dates.heads(DATASET.name, (day.isoformat() for day in days))
    files = (head for head in landfall.ledger.files.all() if head.dataset == DATASET.name)
    return Outcome(
        states={head.key.removeprefix(f"{DATASET.name}/"): head.state for head in files},
        accounts={date.fromisoformat(day): _account(head) for day, head in heads.items()},
        gold=tuple(row for day in days for row in _gold(landfall, day)),
        items=tuple(row for day in days for row in _items(landfall, day)),
    )


def _account(head: DateHead) -> Account:
    counts = head.counts
    return Account(
        landed=counts.bronze,
        silver=counts.silver,
        quarantined=counts.quarantined,
        duplicates=counts.duplicates,
    )


def _gold(landfall: Landfall, day: date) -> Iterator[Activity]:
    key = landfall.lake.key(TableName("gold", SUMMARY.gold), day.isoformat())
    stored = landfall.lake.read_key(key)
    for row in stored.to_pylist() if stored is not None else ():
        yield Activity(**row)


def _items(landfall: Landfall, day: date) -> Iterator[Activity]:
    items = landfall.serving.load(serving_table(SUMMARY), day.isoformat(), schema=ACTIVITY)
    for row in items.iter_rows(named=True):
        yield Activity(**row)


def disagreements(samples: Samples, outcome: Outcome) -> tuple[str, ...]:
    """Where the pipeline and the generator differ, one sentence each; none when all is well."""
    return (
        *_unloaded(samples, outcome),
        *_other_accounts(samples, outcome),
        *_other_rows("gold/daily_event_summary", samples.activity, outcome.gold),
        *_other_rows("DynamoDB", samples.activity, outcome.items),
    )


def _unloaded(samples: Samples, outcome: Outcome) -> Iterator[str]:
    for file in samples.files:
        state = outcome.states.get(file.key)
        if state is not FileState.LOADED:
            yield f"{file.key} is {state or 'unknown to the ledger'}, not {FileState.LOADED}."


def _other_accounts(samples: Samples, outcome: Outcome) -> Iterator[str]:
    for day, expected in samples.accounts.items():
        found = outcome.accounts.get(day)
        if found != expected:
            yield f"{day}: the generator wrote {expected}, the ledger counts {found}."


def _other_rows(
    where: str, expected: Sequence[Activity], found: Sequence[Activity]
) -> Iterator[str]:
    missing, unexpected = set(expected) - set(found), set(found) - set(expected)
    yield from (f"{where} lacks {row}." for row in sorted(missing))
    yield from (f"{where} has {row}, which is not so." for row in sorted(unexpected))
    if not (missing or unexpected) and tuple(expected) != tuple(found):
        yield f"{where} has the right rows in a wrong order, or some of them twice."


def show_outcome(console: Console, samples: Samples, outcome: Outcome) -> None:
    """Print the outcome beside the generator's account, and what to try next."""
    counts = Counter(outcome.states.values())
    console.print(_table("Files by state", ("state", "files"), sorted(counts.items())))
    console.print(_account_table(samples, outcome))
    columns = ("event date", "event type", "events", "users")
    console.print(_table("gold/daily_event_summary", columns, map(astuple, outcome.gold)))
    title = f"{len(outcome.items)} items in DynamoDB, such as"
    console.print(_table(title, columns, map(astuple, outcome.items[:SHOWN_ITEMS])))


def _account_table(samples: Samples, outcome: Outcome) -> Table:
    columns = ("event date", "landed", "silver", "quarantined", "duplicates", "adds up", "expected")
    rows = []
    for day, expected in samples.accounts.items():
        found = outcome.accounts.get(day, Account(0, 0, 0, 0))
        rows.append((day, *astuple(found), _mark(found.adds_up), _mark(found == expected)))
    return _table("landed = silver + quarantined + duplicates", columns, rows)


def _mark(good: bool) -> str:  # noqa: FBT001  # the one thing it is about
    return "[green]✓[/]" if good else "[red]✗[/]"


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row)
        table.add_row(*cells)
    return table


def show_next(console: Console, samples: Samples) -> None:
    """Print what to try next."""
    key = f"{DATASET.name}/{samples.files[0].key}"
    console.print("[bold]Try next:[/]")
    for command, effect in NEXT:
        console.print(f"  {escape(command.format(key=key))}\n      [dim]{effect}[/]")
