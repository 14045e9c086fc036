"""Typed access to the ledger's DynamoDB table: consistent reads, conditional writes.

Conditions and updates are written with ``#name`` for every attribute and ``:name`` for every
value; names are declared here, so reserved words never matter.
"""

import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from botocore.exceptions import ClientError

from pipeline_assets.errors import LedgerBusyError
from resources.aws import Aws, aws_errors, error_code
from resources.ledger.codec import Item, Value, decode, encode
from resources.parallel import in_parallel

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

T = TypeVar("T")
R = TypeVar("R")

BATCH_GET_LIMIT = 100
"""Items of one BatchGetItem (DynamoDB API reference, "BatchGetItem")."""
BATCH_WRITE_LIMIT = 25
"""Requests of one BatchWriteItem (DynamoDB API reference, "BatchWriteItem")."""
TRANSACT_LIMIT = 100
"""Actions of one TransactWriteItems (DynamoDB API reference, "TransactWriteItems")."""
UNPROCESSED_TRIES = 10
RACE_REASONS = frozenset({"None", "ConditionalCheckFailed", "TransactionConflict"})


class ConditionFailedError(Exception):
    """A conditional write found another state than the one it was to leave."""

    def __init__(self, found: Item | None = None) -> None:
        super().__init__("condition failed")
        self.found = found


@dataclass(frozen=True)
class Condition:
    """A named condition of a write, with its values."""

    expression: str
    values: Mapping[str, Value] = field(default_factory=dict)


class LedgerTable:
    """The table. ``pk`` and ``sk`` are its keys; items are plain dictionaries."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.name = aws.settings.ledger_table

    def get(self, pk: str, sk: str) -> Item | None:
        """One item, read consistently."""
        with aws_errors(self._aws):
            answer = self._aws.dynamodb.get_item(
                TableName=self.name, Key=_key(pk, sk), ConsistentRead=True
            )
        return decode(answer["Item"]) if "Item" in answer else None

    def query(
        self, pk: str, sk_prefix: str = "", *, limit: int | None = None, behind: str | None = None
    ) -> list[Item]:
        """Items below a partition key, read consistently, in the order of their sort keys.

        All of them, or the first ``limit``: no more are read then. Those with a prefix, or those
        behind a sort key.
        """
        arguments: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": "#pk = :pk",
            "ExpressionAttributeNames": {"#pk": "pk"},
            "ExpressionAttributeValues": {":pk": {"S": pk}},
            "ConsistentRead": True,
        }
        if sk_prefix:
            arguments["KeyConditionExpression"] += " AND begins_with(#sk, :sk)"
            arguments["ExpressionAttributeNames"]["#sk"] = "sk"
            arguments["ExpressionAttributeValues"][":sk"] = {"S": sk_prefix}
        if behind is not None:
            arguments["KeyConditionExpression"] += " AND #sk > :sk"
            arguments["ExpressionAttributeNames"]["#sk"] = "sk"
            arguments["ExpressionAttributeValues"][":sk"] = {"S": behind}
        if limit is not None:
            arguments["PaginationConfig"] = {"MaxItems": limit, "PageSize": limit}
        with aws_errors(self._aws):
            pages = self._aws.dynamodb.get_paginator("query").paginate(**arguments)
            return [decode(item) for page in pages for item in page["Items"]]

    def scan(self, sk: str, pk_prefix: str) -> Iterable[Item]:
        """Every item of one kind in the whole table: for reports that a person asks for."""
        with aws_errors(self._aws):
            pages = self._aws.dynamodb.get_paginator("scan").paginate(
                TableName=self.name,
                FilterExpression="#sk = :sk AND begins_with(#pk, :pk)",
                ExpressionAttributeNames={"#pk": "pk", "#sk": "sk"},
                ExpressionAttributeValues={":sk": {"S": sk}, ":pk": {"S": pk_prefix}},
            )
            for page in pages:
                yield from (decode(item) for item in page["Items"])

    def batch_get(self, keys: Sequence[tuple[str, str]]) -> list[Item]:
        """Those of the items that exist, read consistently, in no particular order."""
        if len(keys) > BATCH_GET_LIMIT:
            parts = _batches(keys, BATCH_GET_LIMIT)
            return [item for part in parts for item in self.batch_get(part)]
        found: list[Item] = []
        wanted: list[Any] = [_key(pk, sk) for pk, sk in dict.fromkeys(keys)]
        for attempt in range(UNPROCESSED_TRIES):
            if not wanted:
                return found
            _pause(attempt)
            with aws_errors(self._aws):
                answer = self._aws.dynamodb.batch_get_item(
                    RequestItems={self.name: {"Keys": wanted, "ConsistentRead": True}}
                )
            found += [decode(item) for item in answer["Responses"].get(self.name, [])]
            left = answer.get("UnprocessedKeys", {})
            wanted = list(left[self.name]["Keys"]) if self.name in left else []
        raise LedgerBusyError(self.name)

    def batch_write(
        self, puts: Iterable[Item] = (), deletes: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Unconditional writes, 25 a call: for items that only one state of a file can write.

        BatchWriteItem refuses two requests for one item, so the last one for each is written.
        """
        requests: dict[tuple[Value, Value], Any] = {
            (item["pk"], item["sk"]): {"PutRequest": {"Item": encode(item)}} for item in puts
        }
        requests |= {(pk, sk): {"DeleteRequest": {"Key": _key(pk, sk)}} for pk, sk in deletes}
        for part in _batches(list(requests.values()), BATCH_WRITE_LIMIT):
            self._write_batch(list(part))

    def _write_batch(self, requests: list[Any]) -> None:
        for attempt in range(UNPROCESSED_TRIES):
            if not requests:
                return
            _pause(attempt)
            with aws_errors(self._aws):
                answer = self._aws.dynamodb.batch_write_item(RequestItems={self.name: requests})
            requests = list(answer.get("UnprocessedItems", {}).get(self.name, []))
        if requests:
            raise LedgerBusyError(self.name)

    def put(self, item: Item, condition: Condition | None = None) -> None:
        """Put an item.

        Raises:
            ConditionFailedError: with the item that was found instead.
        """
        arguments = _condition_arguments(condition)
        self._conditionally("put_item", Item=encode(item), **arguments)

    def delete(self, pk: str, sk: str, condition: Condition | None = None) -> None:
        """Delete an item; raises as ``put`` does."""
        self._conditionally("delete_item", Key=_key(pk, sk), **_condition_arguments(condition))

    def update(
        self,
        pk: str,
        sk: str,
        *,
        change: "Change",
        condition: Condition | None = None,
    ) -> Item:
        """Change some attributes; return the whole item as it is then. Raises as ``put`` does."""
        expression, values = change.expression()
        arguments = _condition_arguments(condition, also=expression, values=values)
        answer = self._conditionally(
            "update_item",
            Key=_key(pk, sk),
            UpdateExpression=expression,
            ReturnValues="ALL_NEW",
            **arguments,
        )
        return decode(answer["Attributes"])

    def transact(self, writes: "Sequence[TransactWriteItemTypeDef]") -> None:
        """All writes or none, 100 at most; raises as ``put`` does."""
        try:
            with aws_errors(self._aws):
                self._aws.dynamodb.transact_write_items(TransactItems=writes)
        except ClientError as error:
            if not _lost_a_race(error):
                raise
            raise ConditionFailedError from error

    def transact_put(self, item: Item, condition: Condition) -> "TransactWriteItemTypeDef":
        """A conditional put as part of a transaction."""
        arguments = {"Item": encode(item), **_condition_arguments(condition)}
        return cast("TransactWriteItemTypeDef", {"Put": {"TableName": self.name, **arguments}})

    def _conditionally(self, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - boto3's own
        call = getattr(self._aws.dynamodb, operation)
        try:
            with aws_errors(self._aws):
                return call(
                    TableName=self.name,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    **arguments,
                )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise
            found = cast("dict[str, Any]", error.response).get("Item")
            raise ConditionFailedError(decode(found) if found else None) from error

    def each(self, call: Callable[[T], R], values: Iterable[T]) -> list[R]:
        """Call for every value, in parallel, bounded by the setting ``io_threads``."""
        return in_parallel(call, values, threads=self._aws.settings.io_threads)


@dataclass(frozen=True)
class Change:
    """What an update does to an item; ``copy`` sets an attribute to what another one holds."""

    set: Mapping[str, Value] = field(default_factory=dict)
    add: Mapping[str, int] = field(default_factory=dict)
    copy: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()

    def expression(self) -> tuple[str, dict[str, Value]]:
        """DynamoDB's update expression and its values."""
        clauses = []
        assignments = [f"#{name} = :set_{name}" for name in self.set]
        assignments += [f"#{name} = #{source}" for name, source in self.copy.items()]
        if assignments:
            clauses.append("SET " + ", ".join(assignments))
        if self.add:
            clauses.append("ADD " + ", ".join(f"#{name} :add_{name}" for name in self.add))
        if self.remove:
            clauses.append("REMOVE " + ", ".join(f"#{name}" for name in self.remove))
        values: dict[str, Value] = {f"set_{name}": value for name, value in self.set.items()}
        values |= {f"add_{name}": value for name, value in self.add.items()}
        return " ".join(clauses), values


def _condition_arguments(
    condition: Condition | None, *, also: str = "", values: Mapping[str, Value] | None = None
) -> dict[str, Any]:
    expression = condition.expression if condition else ""
    bound = {**(values or {}), **(condition.values if condition else {})}
    names = set(re.findall(r"#(\w+)", f"{expression} {also}"))
    arguments: dict[str, Any] = {}
    if expression:
        arguments["ConditionExpression"] = expression
    if names:
        arguments["ExpressionAttributeNames"] = {f"#{name}": name for name in sorted(names)}
    if bound:
        arguments["ExpressionAttributeValues"] = {
            f":{name}": value for name, value in encode(bound).items()
        }
    return arguments


def _lost_a_race(error: ClientError) -> bool:
    """Whether a transaction was refused for another write's sake, not for what is in it."""
    if error_code(error) == "TransactionConflictException":
        return True
    response = cast("dict[str, Any]", error.response)
    reasons = {reason.get("Code", "None") for reason in response.get("CancellationReasons", [])}
    return error_code(error) == "TransactionCanceledException" and reasons <= RACE_REASONS


def _batches(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _key(pk: str, sk: str) -> Any:  # noqa: ANN401 - boto3's attribute values
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _pause(attempt: int) -> None:
    """Wait before a repeated batch: exponential backoff with full jitter, 5 s at most."""
    if attempt:
        time.sleep(random.uniform(0, min(5.0, 0.05 * 2**attempt)))  # noqa: S311 - no secret
