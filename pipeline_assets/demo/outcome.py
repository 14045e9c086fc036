"""What the pipeline made of the samples, and where that is not what their generators say."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, cast

import polars as pl

from pipeline_assets.dataset import View
from pipeline_assets.demo.expectation import Account, DatasetSamples, ExpectedTable, Layer, Row
from pipeline_assets.registry import dataset as find_dataset
from pipeline_assets.serving import serving_table
from resources.aws import aws_errors
from resources.dynamodb_items import Item, to_frame
from resources.dynamodb_tables import index_name
from resources.lake import TableName
from resources.landfall import Landfall
from resources.ledger.model import DateHead, FileState

EXAMPLES: Final = 3
"""So many differing rows of a table are told; the others are counted."""


@dataclass(frozen=True)
class Outcome:
    """What stands in the ledger, the lake and DynamoDB for a dataset's samples.

    Attributes:
        states: state of each of the dataset's files by its key below the dataset.
        accounts: the ledger's account of each event date that it knows.
        tables: rows of each expected table by its title, in the order of the dates.
    """

    states: Mapping[str, FileState]
    accounts: Mapping[date, Account]
    tables: Mapping[str, tuple[Row, ...]]


def read_outcome(landfall: Landfall, samples: DatasetSamples) -> Outcome:
    """Read what stands for the event dates of a dataset's samples.

    Raises:
        AwsUnreachableError: the environment's AWS does not answer.
    """
    name, days = samples.dataset, [day.isoformat() for day in samples.accounts]
    heads = landfall.ledger.dates.heads(name, days)
    files = (head for head in landfall.ledger.files.all() if head.dataset == name)
    return Outcome(
        states={head.key.removeprefix(f"{name}/"): head.state for head in files},
        accounts={date.fromisoformat(day): _account(head) for day, head in heads.items()},
        tables={
            table.title: _rows(table, _frames(landfall, name, table, days))
            for table in samples.tables
        },
    )


def _account(head: DateHead) -> Account:
    counts = head.counts
    return Account(
        landed=counts.bronze,
        silver=counts.silver,
        quarantined=counts.quarantined,
        duplicates=counts.duplicates,
    )


def _rows(table: ExpectedTable, frames: Sequence[pl.DataFrame]) -> tuple[Row, ...]:
    return tuple(row for frame in frames for row in frame.select(table.columns).iter_rows())


def _frames(
    landfall: Landfall, dataset: str, table: ExpectedTable, days: Sequence[str]
) -> list[pl.DataFrame]:
    if table.layer is Layer.GOLD:
        return _gold(landfall, table.name, days)
    (view,) = (each for each in find_dataset(dataset).serving if each.name == table.name)
    gold = _gold(landfall, view.gold, days)
    # Items have no types of their own: they are read as the gold that they are made of.
    schema = gold[0].schema if gold else {}
    if not schema:
        return []
    if table.lookup:
        items = _found(landfall, view, table.lookup.column, table.lookup.value)
        return [to_frame(items, first=(), schema=schema)]
    return [landfall.serving.load(serving_table(view), day, schema) for day in days]


def _gold(landfall: Landfall, name: str, days: Sequence[str]) -> list[pl.DataFrame]:
    keys = (landfall.lake.key(TableName("gold", name), day) for day in days)
    stored = (landfall.lake.read_key(key) for key in keys)
    return [pl.DataFrame(each) for each in stored if each is not None]


def _found(landfall: Landfall, view: View, column: str, value: str) -> list[Item]:
    """Items by an index, as an application asks for them."""
    with aws_errors(landfall.aws):
        answer = landfall.aws.dynamodb.query(
            TableName=landfall.serving.table_name(serving_table(view)),
            IndexName=index_name(column),
            KeyConditionExpression="#column = :value",
            ExpressionAttributeNames={"#column": column},
            ExpressionAttributeValues={":value": {"S": value}},
        )
    return [cast("Item", item) for item in answer["Items"]]


def disagreements(samples: DatasetSamples, outcome: Outcome) -> tuple[str, ...]:
    """Where the pipeline and the generator differ, in sentences; none when all is well."""
    differing = (
        sentence
        for table in samples.tables
        for sentence in _other_rows(table, outcome.tables.get(table.title, ()))
    )
    return (*_unloaded(samples, outcome), *_other_accounts(samples, outcome), *differing)


def _unloaded(samples: DatasetSamples, outcome: Outcome) -> Iterator[str]:
    for key in samples.keys:
        state = outcome.states.get(key)
        if state is not FileState.LOADED:
            known = state or "unknown to the ledger"
            yield f"{samples.dataset}/{key} is {known}, not {FileState.LOADED}."


def _other_accounts(samples: DatasetSamples, outcome: Outcome) -> Iterator[str]:
    for day, expected in samples.accounts.items():
        found = outcome.accounts.get(day)
        if found != expected:
            yield (
                f"{samples.dataset} of {day}: the generator wrote {expected}, "
                f"the ledger counts {found}."
            )


def _other_rows(table: ExpectedTable, found: Sequence[Row]) -> Iterator[str]:
    missing = _without(table.rows, found)
    unexpected = _without(found, table.rows)
    for row in missing[:EXAMPLES]:
        yield f"{table.title} lacks {_told(table, row)}."
    for row in unexpected[:EXAMPLES]:
        yield f"{table.title} has {_told(table, row)}, which is not so."
    untold = len(missing[EXAMPLES:]) + len(unexpected[EXAMPLES:])
    if untold:
        yield f"{table.title} differs in {untold:,} rows more."
    if not (missing or unexpected) and table.rows != tuple(found):
        yield f"{table.title} has the right rows in a wrong order, or some of them twice."


def _without(rows: Sequence[Row], others: Sequence[Row]) -> list[Row]:
    known = set(others)
    return [row for row in rows if row not in known]


def _told(table: ExpectedTable, row: Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(table.columns, row, strict=True))
