"""What the pipeline made of the samples, printed beside what their generators say."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from datetime import datetime
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline_assets.demo.expectation import Account, DatasetSamples, ExpectedTable, Row
from pipeline_assets.demo.outcome import Outcome

ACCOUNT_COLUMNS: Final = (
    "event date",
    "landed",
    "silver",
    "quarantined",
    "duplicates",
    "adds up",
    "expected",
)
NEXT: Final = (
    ("make dev", "the same in Dagster's UI, with its sensors on"),
    (".venv/bin/landfall explain {key}", "one file's whole story"),
    (".venv/bin/landfall status", "files by state, backlog, dirty and held dates"),
    (".venv/bin/landfall land FILE --dataset events", "land a file of your own, and then"),
    (".venv/bin/landfall work --until-idle", "bring it to gold and DynamoDB"),
)


def show_account(console: Console, samples: DatasetSamples, outcome: Outcome) -> None:
    """Print a dataset's account of each event date."""
    rows = []
    for day, expected in samples.accounts.items():
        found = outcome.accounts.get(day, Account(0, 0, 0, 0))
        rows.append((day, *astuple(found), _mark(found.adds_up), _mark(found == expected)))
    counts = sorted(Counter(outcome.states.values()).items())
    states = ", ".join(f"{count} {state}" for state, count in counts)
    title = (
        f"{samples.dataset} ({states or 'no files'}): landed = silver + quarantined + duplicates"
    )
    console.print(_table(title, ACCOUNT_COLUMNS, rows), "")


def show_tables(console: Console, samples: DatasetSamples, outcome: Outcome) -> None:
    """Print the first rows of each of a dataset's business tables."""
    for table in samples.tables:
        rows = outcome.tables.get(table.title, ())
        columns = table.shown_columns or table.columns
        shown = [_chosen(table, columns, row) for row in rows[: table.shown]]
        title = f"{escape(table.title)}: {_counted(table, len(rows))}"
        heads = [column.replace("_", " ") for column in columns]
        console.print(_table(title, heads, shown), "")


def _counted(table: ExpectedTable, count: int) -> str:
    noun = "row" if count == 1 else "rows"
    such = ", such as" if count > table.shown else ""
    return f"{count:,} {noun}{such}"


def _chosen(table: ExpectedTable, columns: Sequence[str], row: Row) -> Row:
    values = dict(zip(table.columns, row, strict=True))
    return tuple(values[column] for column in columns)


def _mark(good: bool) -> str:  # noqa: FBT001  # the one thing it is about
    return "[green]✓[/]" if good else "[red]✗[/]"


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


def _cell(value: object) -> str:
    match value:
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.4g}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case _:
            return str(value)


def show_next(console: Console, samples: DatasetSamples) -> None:
    """Print what to try next."""
    key = f"{samples.dataset}/{samples.keys[0]}"
    console.print("[bold]Try next:[/]")
    for command, effect in NEXT:
        console.print(f"  {escape(command.format(key=key))}\n      [dim]{effect}[/]")
