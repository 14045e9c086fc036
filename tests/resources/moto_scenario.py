"""The same calls to moto as it is and as the local AWS has it, in this process."""

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeAlias

import boto3
from botocore.exceptions import ClientError
from moto import mock_aws

from resources.local_aws import moto_indexes, moto_speed
from resources.local_aws.moto_replacement import Replacement, install

REGION = "eu-west-1"
TABLE, BUCKET, QUEUE = "table", "bucket", "queue"
# Of time or chance, and so different each time.
UNEQUAL = {"ResponseMetadata", "LastModified", "VersionId", "MessageId", "ReceiptHandle"}

Attribute: TypeAlias = dict[str, Any]
Call: TypeAlias = tuple[str, dict[str, Any]]
"""Operation and arguments of a client's call."""


@dataclass(frozen=True)
class Clients:
    """Clients of moto in this process."""

    s3: Any
    sqs: Any
    dynamodb: Any


@contextmanager
def hastened(replacements: Iterable[Replacement] = moto_speed.REPLACEMENTS) -> Iterator[None]:
    """moto as the local AWS has it, until the block ends."""
    former = [(each.owner, each.name, each.original) for each in replacements]
    install(replacements)
    try:
        yield
    finally:
        for owner, name, original in former:
            setattr(owner, name, original)
        moto_indexes.forget()


@contextmanager
def served() -> Iterator[Clients]:
    """An empty moto."""
    with mock_aws():
        yield _clients()


@functools.cache
def _clients() -> Clients:
    session = boto3.Session("testing", "testing", region_name=REGION)
    return Clients(session.client("s3"), session.client("sqs"), session.client("dynamodb"))


def equal_answers(ask: Callable[[Clients], list[Any]]) -> list[Any]:
    """What moto answers, which the local AWS must answer as well."""
    with served() as clients:
        expected = ask(clients)
    with hastened(), served() as clients:
        found = ask(clients)
    assert found == expected
    return expected


def answer(client: Any, call: Call) -> Any:
    """What a call is answered, or why it is refused."""
    operation, arguments = call
    try:
        return stable(getattr(client, operation)(**arguments))
    except ClientError as error:
        return stable(error.response)


def pages(client: Any, call: Call, *tokens: str) -> list[Any]:
    """The pages of a call: by the names of a page's token in the answer and in the next call."""
    operation, arguments = call
    found, (given, wanted) = [answer(client, call)], tokens
    while given in found[-1]:
        assert len(found) < 100, "it goes round in circles"
        found.append(answer(client, (operation, arguments | {wanted: found[-1][given]})))
    return found


def stable(value: Any) -> Any:
    """An answer without what differs each time."""
    if isinstance(value, dict):
        return {name: stable(each) for name, each in value.items() if name not in UNEQUAL}
    return [stable(each) for each in value] if isinstance(value, list) else value


def create_table(clients: Clients, sort_type: str | None) -> None:
    """A table with or without a sort key, and indexes with and without one."""
    sort_key = [{"AttributeName": "sk", "KeyType": "RANGE"}] if sort_type else []
    types = {"pk": "S", "g": "S", "n": "N"} | ({"sk": sort_type} if sort_type else {})
    own = [{"AttributeName": "pk", "KeyType": "HASH"}]
    by_g = [{"AttributeName": "g", "KeyType": "HASH"}]
    by_n = [{"AttributeName": "n", "KeyType": "RANGE"}]
    local = {"LocalSecondaryIndexes": [_index("local", own + by_n)]} if sort_type else {}
    clients.dynamodb.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": kind} for name, kind in types.items()
        ],
        KeySchema=own + sort_key,
        GlobalSecondaryIndexes=[_index("by_g", by_g), _index("by_g_n", by_g + by_n)],
        **local,
    )


def _index(name: str, schema: list[Attribute]) -> Attribute:
    return {"IndexName": name, "KeySchema": schema, "Projection": {"ProjectionType": "ALL"}}


def calls_of_python(ask: Callable[[], object]) -> int:
    """Functions called, of Python and of C, when it is asked for the second time."""
    ask()
    count = 0

    def called(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    former = sys.getprofile()
    sys.setprofile(called)
    try:
        ask()
    finally:
        sys.setprofile(former)
    return count
