"""Unconditional writes into one DynamoDB table: in parallel, and at the rate that it takes.

The number of calls under way follows TCP's way with a network of unknown room ("TCP Congestion
Control", RFC 5681): it grows by one after as many calls as there are, and a refusal halves it.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Condition
from typing import TYPE_CHECKING, cast

from pipeline_assets.errors import AwsBusyError, ServingThrottledError
from resources.aws import Aws, aws_errors
from resources.parallel import in_parallel

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import WriteRequestTypeDef

MAX_BATCH_WRITES = 25
"""Requests of one BatchWriteItem. Source: "Constraints in Amazon DynamoDB"."""

CALLS_PER_THREAD = 2
"""Batches are small and nearly all of a call is waiting, unlike what `io_threads` is made for."""

BACKOFF_SECONDS = 0.05
BACKOFF_MAX_SECONDS = 5.0


class Lanes:
    """How many calls may be under way at once. Safe to share between threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = float(most)
        self._taken = 0
        self._turn = Condition()

    @property
    def open(self) -> int:
        """Calls that may be under way now, at least one."""
        return int(self._open)

    @contextmanager
    def lane(self) -> Iterator[None]:
        """Wait for a lane and hold it."""
        with self._turn:
            self._turn.wait_for(lambda: self._taken < self.open)
            self._taken += 1
        try:
            yield
        finally:
            with self._turn:
                self._taken -= 1
                self._turn.notify_all()

    def was_taken(self) -> None:
        """A call did all that it asked for: after a round of such, one lane more."""
        with self._turn:
            self._open = min(float(self._most), self._open + 1 / self._open)
            self._turn.notify_all()

    def was_refused(self) -> None:
        """A call was refused, or part of it: half the lanes."""
        with self._turn:
            self._open = max(1.0, self._open / 2)


class BatchWriter:
    """Writes into one table, from any number of threads. What is refused is sent again."""

    def __init__(
        self, aws: Aws, table: str, *, max_attempts: int, sleep: Callable[[float], None]
    ) -> None:
        self._aws = aws
        self._table = table
        self._max_attempts = max_attempts
        self._sleep = sleep
        self._calls = CALLS_PER_THREAD * aws.settings.io_threads
        self.lanes = Lanes(self._calls)

    def write(self, requests: Sequence["WriteRequestTypeDef"]) -> None:
        """Write everything, in no order.

        Raises:
            ServingThrottledError: DynamoDB left writes undone for too long.
            NotProvisionedError: the table does not exist.
        """
        starts = range(0, len(requests), MAX_BATCH_WRITES)
        batches = [requests[start : start + MAX_BATCH_WRITES] for start in starts]
        in_parallel(self._write_batch, batches, threads=self._calls)

    def _write_batch(self, left: Sequence["WriteRequestTypeDef"]) -> None:
        for attempt in range(self._max_attempts):
            with self.lanes.lane():
                left = self._write_once(left)
            if not left:
                self.lanes.was_taken()
                return
            self.lanes.was_refused()
            if attempt + 1 < self._max_attempts:
                longest = min(BACKOFF_MAX_SECONDS, BACKOFF_SECONDS * 2**attempt)
                self._sleep(random.uniform(0, longest))  # noqa: S311 - jitter, no secret
        raise ServingThrottledError(self._table, left=len(left), attempts=self._max_attempts)

    def _write_once(
        self, requests: Sequence["WriteRequestTypeDef"]
    ) -> Sequence["WriteRequestTypeDef"]:
        try:
            with aws_errors(self._aws):
                answer = self._aws.dynamodb.batch_write_item(RequestItems={self._table: requests})
        except AwsBusyError:
            return requests
        left = answer.get("UnprocessedItems", {}).get(self._table, [])
        return cast("Sequence[WriteRequestTypeDef]", left)
