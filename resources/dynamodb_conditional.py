"""Single items read and written under conditions, in parallel and with patience."""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from pipeline_assets.errors import AwsBusyError, ServingThrottledError
from resources.aws import Aws, aws_errors, error_code
from resources.dynamodb_items import Item
from resources.dynamodb_newest import EVENT_DATE, MARK
from resources.dynamodb_tables import LatestTable

BACKOFF_SECONDS = 0.05
BACKOFF_MAX_SECONDS = 5.0
REFUSED = "ConditionalCheckFailedException"

IF_NEWER = (
    "attribute_not_exists(#key) OR (attribute_not_exists(#mark) AND "
    "(#newest < :newest OR (#newest = :newest AND #date <= :date)))"
)
IF_AS_READ = "#newest = :newest AND #date = :date AND attribute_not_exists(#mark)"
IF_MARKED = "#mark = :mark"
SET_MARK = "SET #mark = :mine"

T = TypeVar("T")
R = TypeVar("R")


class ConditionalItems:
    """The items of one table. A write says whether its condition held. Safe between threads."""

    def __init__(
        self, aws: Aws, table: LatestTable, *, max_attempts: int, sleep: Callable[[float], None]
    ) -> None:
        self._aws = aws
        self._table = table
        self._max_attempts = max_attempts
        self._sleep = sleep
        self.name = f"{aws.settings.serving_prefix}{table.name}"
        self._names = {
            "#key": table.key,
            "#newest": table.newest,
            "#date": EVENT_DATE,
            "#mark": MARK,
        }

    def scan(self) -> Iterator[Item]:
        """Every item, with all writes that were done before."""
        start: dict[str, Any] = {}
        while True:
            read = partial(
                self._aws.dynamodb.scan, TableName=self.name, ConsistentRead=True, **start
            )
            page: Mapping[str, Any] = self._patiently(read)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def get(self, key: str) -> Item | None:
        """One item, with all writes that were done before; ``None`` when there is none."""
        answer: Mapping[str, Any] = self._patiently(
            lambda: self._aws.dynamodb.get_item(
                TableName=self.name, Key={self._table.key: {"S": key}}, ConsistentRead=True
            )
        )
        return answer.get("Item")

    def put_newer(self, item: Item) -> bool:
        """Put an item unless one stands there that is newer, or that a run is about to settle."""
        return self._write("put_item", IF_NEWER, self._version(item), Item=item)

    def mark(self, item: Item, mark: str) -> bool:
        """Mark an item that is still as it was read."""
        mine: Item = {":mine": {"S": mark}}
        key = {self._table.key: item[self._table.key]}
        if MARK in item:
            values = {":mark": item[MARK]} | mine
            return self._write("update_item", IF_MARKED, values, Key=key, UpdateExpression=SET_MARK)
        values = self._version(item) | mine
        return self._write("update_item", IF_AS_READ, values, Key=key, UpdateExpression=SET_MARK)

    def replace(self, item: Item, newest: Item | None, mark: str) -> bool:
        """Put another in a marked item's place, or delete the item where there is none."""
        values: Item = {":mark": {"S": mark}}
        if newest is not None:
            return self._write("put_item", IF_MARKED, values, Item=newest)
        key = {self._table.key: item[self._table.key]}
        return self._write("delete_item", IF_MARKED, values, Key=key)

    def each(self, act: Callable[[T], R], subjects: Sequence[T]) -> list[R]:
        """Do something for each, in parallel; the results are in order."""
        with ThreadPoolExecutor(self._aws.settings.io_threads) as pool:
            return list(pool.map(act, subjects))

    def pause(self, attempt: int) -> None:
        """Wait before another attempt: exponential, the whole of it drawn by lot."""
        longest = min(BACKOFF_MAX_SECONDS, BACKOFF_SECONDS * 2**attempt)
        self._sleep(random.uniform(0, longest))  # noqa: S311 - jitter, no secret

    def _version(self, item: Item) -> Item:
        return {":newest": item[self._table.newest], ":date": item[EVENT_DATE]}

    def _write(self, operation: str, condition: str, values: Item, **arguments: object) -> bool:
        text = f"{condition} {arguments.get('UpdateExpression', '')}"
        call = getattr(self._aws.dynamodb, operation)
        try:
            self._patiently(
                lambda: call(
                    TableName=self.name,
                    ConditionExpression=condition,
                    # DynamoDB takes no name that an expression does not use.
                    ExpressionAttributeNames={
                        name: self._names[name] for name in set(re.findall(r"#\w+", text))
                    },
                    ExpressionAttributeValues=values,
                    **arguments,
                )
            )
        except ClientError as error:
            if error_code(error) == REFUSED:
                return False
            raise
        return True

    def _patiently(self, call: Callable[[], T]) -> T:
        for attempt in range(self._max_attempts):
            if attempt:
                self.pause(attempt)
            try:
                with aws_errors(self._aws):
                    return call()
            except AwsBusyError:
                continue
        raise ServingThrottledError(self.name, left=1, attempts=self._max_attempts)
