"""Stands in for DynamoDB where the local AWS is too slow.

Its arguments are the names of the tables, whose keys are ``event_date`` and ``item``, both texts.

It knows BatchWriteItem and Query, refuses what DynamoDB refuses of them as far as a table of items
can tell (25 requests, unknown tables, two requests for one item, keys and values of no type), keeps
the items, and answers in pages of 1 MB.
"""

import asyncio
import json
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.tables.child_server import child_server, message, serve

PARTITION_KEY, SORT_KEY = "event_date", "item"
MOST_REQUESTS = 25
PAGE_BYTES = 1_000_000
KINDS = frozenset({"S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS"})

Item = dict[str, dict[str, Any]]
Call = dict[str, Any]


@contextmanager
def item_server(*tables: str) -> Iterator[int]:
    """The port of a server with empty tables; it ends with the block, and forgets them."""
    with child_server("bench.tables.item_server", *tables) as port:
        yield port


class RefusedError(Exception):
    """A call that DynamoDB would refuse as well."""


class Tables:
    """Items by table, partition and sort key."""

    def __init__(self, names: list[str]) -> None:
        self._tables: dict[str, dict[str, dict[str, Item]]] = {
            name: defaultdict(dict) for name in names
        }

    def answer(self, operation: str, call: Call) -> Call:
        """What an operation answers.

        Raises:
            RefusedError: it cannot be done.
        """
        match operation:
            case "BatchWriteItem":
                return self._write(call["RequestItems"])
            case "Query":
                return self._query(call)
        raise RefusedError(f"no operation {operation}")

    def _write(self, requests: dict[str, list[Call]]) -> Call:
        if not 1 <= sum(map(len, requests.values())) <= MOST_REQUESTS:
            raise RefusedError(f"not 1 to {MOST_REQUESTS} requests")
        for name, writes in requests.items():
            keys = [_key(_target(write)) for write in writes]
            if len(set(keys)) < len(keys):
                raise RefusedError("two requests for one item")
            table = self._table(name)
            for (partition, item), write in zip(keys, writes, strict=True):
                if "PutRequest" in write:
                    table[partition][item] = write["PutRequest"]["Item"]
                else:
                    table[partition].pop(item, None)
        return {"UnprocessedItems": {}}

    def _query(self, call: Call) -> Call:
        (partition,) = call["ExpressionAttributeValues"].values()
        stored = self._table(call["TableName"]).get(partition["S"], {})
        after = call.get("ExclusiveStartKey")
        behind = after[SORT_KEY]["S"] if after else ""
        found: list[Item] = []
        size = 0
        for item in sorted(key for key in stored if key > behind):
            found.append(stored[item])
            size += sum(len(name) + len(str(value)) for name, value in stored[item].items())
            if size > PAGE_BYTES:
                last = {name: stored[item][name] for name in (PARTITION_KEY, SORT_KEY)}
                return {"Items": found, "Count": len(found), "LastEvaluatedKey": last}
        return {"Items": found, "Count": len(found)}

    def _table(self, name: str) -> dict[str, dict[str, Item]]:
        if name not in self._tables:
            raise RefusedError(f"no table {name}")
        return self._tables[name]


def _target(write: Call) -> Item:
    """The item that a request puts, or the key of the one that it deletes."""
    if len(write) != 1:
        raise RefusedError("a request is one put or one delete")
    item: Item = (
        write["PutRequest"]["Item"] if "PutRequest" in write else write["DeleteRequest"]["Key"]
    )
    for name, value in item.items():
        if len(value) != 1 or not KINDS.issuperset(value):
            raise RefusedError(f"{name} has no type")
    return item


def _key(item: Item) -> tuple[str, str]:
    try:
        return item[PARTITION_KEY]["S"], item[SORT_KEY]["S"]
    except KeyError as error:
        raise RefusedError(f"no text for the key {error}") from None


def main() -> None:
    """Serve the tables of the command line until the process is ended."""
    tables = Tables(sys.argv[1:])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await message(reader)
            writer.write(_answer(tables, head, body))

    serve(answer)


def _answer(tables: Tables, head: bytes, body: bytes) -> bytes:
    target = next(
        (line for line in head.split(b"\r\n") if line.lower().startswith(b"x-amz-target:")), b""
    )
    operation = target.decode().strip().rpartition(".")[2]
    try:
        status, said = "200 OK", tables.answer(operation, json.loads(body))
    except RefusedError as error:
        status = "400 Bad Request"
        said = {
            "__type": "com.amazonaws.dynamodb.v20120810#ValidationException",
            "message": str(error),
        }
    content = json.dumps(said, separators=(",", ":")).encode()
    lines = (
        f"HTTP/1.1 {status}",
        "Content-Type: application/x-amz-json-1.0",
        f"x-amz-crc32: {zlib.crc32(content)}",
        f"Content-Length: {len(content)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + content


if __name__ == "__main__":
    main()
