"""What stands in the end: tables with their rows in order, items, fragments, ledger, dead letters.

``Content`` is read from outside; ``compare`` says what a trial lost, doubled or left unfinished
against the content of an undisturbed run.
"""

import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow.parquet as pq
from botocore.exceptions import ClientError

from pipeline_assets.registry import datasets
from pipeline_assets.report import status
from pipeline_assets.serving import serving_table
from pipeline_assets.work import backlog
from resources.dead_letters import letter_id
from resources.landfall import Landfall
from resources.ledger.model import FileHead, FileState

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DERIVED = ("silver/", "quarantine/", "gold/")
LANDED_AT = "_landed_at"
"""Of a fragment: differs when the same bytes land again, and reaches no table."""

Rows: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """One object of the lake: its rows in order, as JSON, and the digest of its content."""

    digest: str
    rows: Rows


@dataclass(frozen=True)
class File:
    """A landed file as the ledger has it in the end.

    ``loaded_etag`` is of the rows that count, ``letter_due`` the id of its dead letter if it died.
    """

    state: str
    etag: str
    records: int
    loaded_etag: str
    letter_due: str = ""


@dataclass(frozen=True)
class Content:
    """Everything that a trial must leave as an undisturbed run does."""

    tables: dict[str, Table]
    items: dict[str, Rows]
    fragments: dict[str, Rows]
    files: dict[str, File]
    accounts: dict[str, str]
    letters: frozenset[str]
    """Ids of the dead letters that were sent, however often."""
    unfinished: tuple[str, ...]

    @property
    def letters_due(self) -> frozenset[str]:
        """Ids of the letters of the files that are dead."""
        return frozenset(file.letter_due for file in self.files.values() if file.letter_due)

    @property
    def records(self) -> int:
        """Records of the loaded files."""
        return sum(file.records for file in self.files.values())


@dataclass(frozen=True)
class Verdict:
    """What is wrong in the end; ``notes`` name it."""

    lost: int = 0
    doubled: int = 0
    stuck: int = 0
    differences: int = 0
    notes: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.stuck or self.differences)


def read_content(landfall: Landfall) -> Content:
    """Read everything; costs as much as there is."""
    fragments, loaded, accounts = _dates(landfall)
    return Content(
        tables=_tables(landfall),
        items=_items(landfall),
        fragments=fragments,
        files={
            head.key: _file(head, loaded.get(head.file_id, ""))
            for head in landfall.ledger.files.all()
        },
        accounts=accounts,
        letters=_letters(landfall),
        unfinished=tuple(_unfinished(landfall)),
    )


def _file(head: FileHead, loaded_etag: str) -> File:
    due = letter_id(head.file_id, head.epoch) if head.state is FileState.DEAD else ""
    return File(head.state.value, head.etag, head.records, loaded_etag, due)


def _letters(landfall: Landfall) -> frozenset[str]:
    """Ids of all dead letters; each can be received again afterwards."""
    sqs, name = landfall.aws.sqs, landfall.settings.dead_letter_queue
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    ids: set[str] = set()
    handles: list[str] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        ids |= {json.loads(message["Body"])["id"] for message in messages}
        handles += [message["ReceiptHandle"] for message in messages]
    for handle in handles:
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    return frozenset(ids)


def _tables(landfall: Landfall) -> dict[str, Table]:
    s3, bucket = landfall.aws.s3, landfall.settings.lake_bucket
    return {
        key: _table(s3, bucket, key)
        for prefix in DERIVED
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for key in (each["Key"] for each in page.get("Contents", []))
    }


def _table(s3: "S3Client", bucket: str, key: str) -> Table:
    answer = s3.get_object(Bucket=bucket, Key=key)
    digest = next(
        (value for name, value in answer["Metadata"].items() if "digest" in name.lower()), ""
    )
    return Table(digest, _parquet_rows(answer["Body"].read()))


@lru_cache(maxsize=2048)
def _parquet_rows(content: bytes) -> Rows:
    columns = pq.read_table(io.BytesIO(content))
    if LANDED_AT in columns.column_names:
        columns = columns.drop_columns([LANDED_AT])
    return tuple(json.dumps(row, default=str, sort_keys=True) for row in columns.to_pylist())


def _items(landfall: Landfall) -> dict[str, Rows]:
    found = {}
    for view in (serving_table(view) for dataset in datasets() for view in dataset.serving):
        name = landfall.serving.table_name(view)
        pages = landfall.aws.dynamodb.get_paginator("scan").paginate(TableName=name)
        every = [json.dumps(item, sort_keys=True) for page in pages for item in page["Items"]]
        found[view.name] = tuple(sorted(every))
    return found


def _dates(landfall: Landfall) -> tuple[dict[str, Rows], dict[str, str], dict[str, str]]:
    """Rows of each fragment that counts, ETags of their files' bytes, and each date's account."""
    fragments: dict[str, Rows] = {}
    loaded: dict[str, str] = {}
    accounts: dict[str, str] = {}
    for dataset in datasets():
        for head in landfall.ledger.dates.all(dataset.name):
            accounts[f"{dataset.name} {head.event_date}"] = str(head.counts)
            for entry in landfall.ledger.dates.manifest(dataset.name, head.event_date):
                fragments[f"{entry.event_date} {entry.landing_key}"] = _fragment(
                    landfall, entry.fragment_key
                )
                name = entry.fragment_key.rpartition("/")[2].removesuffix(".parquet")
                loaded[entry.file_id] = name.partition("-")[2]
    return fragments, loaded, accounts


def _fragment(landfall: Landfall, key: str) -> Rows:
    try:
        answer = landfall.aws.s3.get_object(Bucket=landfall.settings.lake_bucket, Key=key)
    except ClientError as error:
        return (f"missing: {error}",)
    return _parquet_rows(answer["Body"].read())


def _unfinished(landfall: Landfall) -> Iterable[str]:
    left = backlog(landfall)
    if not left.is_empty:
        yield f"waiting: {left}"
    now = status(landfall)
    for dead in now.dead:
        yield f"DEAD: {dead.key}"
    for dataset in now.datasets:
        yield from (f"HELD: {dataset.dataset} {day}" for day in dataset.held_dates)
    if now.dead_letter_messages:
        yield f"{now.dead_letter_messages} dead-letter messages"
    if landfall.ledger.listing.walk().is_under_way:
        yield "a walk through the landing bucket is under way"
    for registered in datasets():
        for date in landfall.ledger.dates.all(registered.name):
            if date.lease_run or date.dirty:
                yield f"{date.event_date} is dirty or leased by {date.lease_run}"


def compare(
    reference: Content, found: Content, *, expected: Iterable[str] = (), lenient: str = ""
) -> Verdict:
    """What is wrong with what was found.

    Args:
        reference: what an undisturbed run leaves.
        found: what the trial left.
        expected: unfinished things that belong there beside those of the undisturbed run.
        lenient: a key whose state in the ledger may differ, since it depends on when the object
            was deleted, or died.
    """
    notes: list[str] = []
    lost = doubled = differences = 0
    for kind in ("tables", "fragments", "items"):
        wanted, stands = _rows(getattr(reference, kind)), _rows(getattr(found, kind))
        for key in sorted({*wanted, *stands}):
            missing, more = _difference(wanted.get(key, ()), stands.get(key, ()))
            lost, doubled = lost + missing, doubled + more
            if missing or more:
                notes.append(f"{kind} {key}: {missing} missing, {more} too many")
    for letter in sorted(found.letters_due ^ found.letters):
        is_missing = letter in found.letters_due
        lost, doubled = lost + is_missing, doubled + (not is_missing)
        notes.append(f"dead letter {letter}: {'missing' if is_missing else 'of no dead file'}")
    for key, table in reference.tables.items():
        other = found.tables.get(key)
        if other and sorted(table.rows) == sorted(other.rows) and table != other:
            differences += 1
            notes.append(f"{key}: other order or digest")
    for name in ("files", "accounts"):
        wanted_facts = {**getattr(reference, name), lenient: None}
        stand_facts = {**getattr(found, name), lenient: None}
        if wanted_facts != stand_facts:
            differences += 1
            notes.append(f"{name}: {_changes(wanted_facts, stand_facts)}")
    stuck = sorted(set(found.unfinished) ^ {*reference.unfinished, *expected})
    return Verdict(lost, doubled, len(stuck), differences, (*notes, *stuck))


def _rows(tables: Mapping[str, Table | Rows]) -> dict[str, Rows]:
    return {key: value.rows if isinstance(value, Table) else value for key, value in tables.items()}


def _difference(wanted: Rows, stands: Rows) -> tuple[int, int]:
    before, after = Counter(wanted), Counter(stands)
    return (before - after).total(), (after - before).total()


def _changes(wanted: Mapping[str, Any], stands: Mapping[str, Any]) -> str:
    keys = sorted(key for key in {*wanted, *stands} if wanted.get(key) != stands.get(key))
    return "; ".join(f"{key}: {wanted.get(key)} became {stands.get(key)}" for key in keys)
