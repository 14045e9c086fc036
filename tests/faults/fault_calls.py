"""What names an AWS call from one recording to the next: operation, key, and ordinal of that pair.

Parallel calls have no stable order, so a call's index names nothing. Ids that differ from run to
run (run ids, receipt handles) are left out of the key. Standard library only: worker processes
import this before anything else.
"""

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
READS = ("Get", "Head", "List", "Query", "Scan", "BatchGet", "Receive", "Describe")
S3_OPERATIONS = {
    "GET": "GetObject",
    "HEAD": "HeadObject",
    "PUT": "PutObject",
    "DELETE": "DeleteObject",
    "POST": "PostObject",
}
DIGITS = 12


@dataclass(frozen=True)
class Call:
    """An operation on a key; the ordinal counts from 1 in each process."""

    operation: str
    key: str
    ordinal: int = 1

    @property
    def writes(self) -> bool:
        """Whether it can change anything."""
        return not self.operation.startswith(READS)

    def __str__(self) -> str:
        return f"{self.operation} {self.key} #{self.ordinal}"


class Counts:
    """Gives each call of a process its ordinal; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: Counter[tuple[str, str]] = Counter()

    def number(self, operation: str, key: str) -> Call:
        """The next call of that pair."""
        with self._lock:
            self._seen[operation, key] += 1
            return Call(operation, key, self._seen[operation, key])


def is_write(call: str) -> bool:
    """Whether a recorded call can change anything."""
    return not call.startswith(READS)


def name(method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
    """Operation and key of a request, as it is on the wire."""
    target = headers.get("X-Amz-Target", "")
    if target:
        operation = target.rpartition(".")[2]
        return operation, _plain(_json_key(operation, json.loads(body or b"{}")))
    parts = urlsplit(url)
    if "x-www-form-urlencoded" in headers.get("Content-Type", ""):
        fields = parse_qs(body.decode())
        (named,) = fields.get("TopicArn") or fields.get("Name") or ["?"]
        return fields.get("Action", ["?"])[0], _plain(named.rpartition(":")[2])
    path = unquote(parts.path).strip("/")
    listing = method == "GET" and "/" not in path
    return "ListObjects" if listing else S3_OPERATIONS.get(method, method), _plain(path)


def _plain(key: str) -> str:
    return UUID.sub("RUN", key)


def _json_key(operation: str, asked: Mapping[str, Any]) -> str:
    if "QueueUrl" in asked:
        return str(asked["QueueUrl"]).rpartition("/")[2]
    if "QueueName" in asked:
        return str(asked["QueueName"])
    if "RequestItems" in asked or "TransactItems" in asked:
        keys = sorted(_plain(key) for key in _batch_keys(asked))
        return f"{len(keys)} items {_digest(keys)}"
    if operation == "Query":
        values = asked.get("ExpressionAttributeValues", {})
        return " ".join(str(_scalar(values[each])) for each in sorted(values))
    return _item_key(asked.get("Key") or asked.get("Item") or {"pk": {"S": "?"}})


def _batch_keys(asked: Mapping[str, Any]) -> Iterator[str]:
    for action in asked.get("TransactItems", ()):
        (verb, what), *_ = action.items()
        yield f"{verb} {_item_key(what.get('Key') or what.get('Item'))}"
    for table, requests in asked.get("RequestItems", {}).items():
        if isinstance(requests, dict):
            yield from (f"Get {table} {_item_key(each)}" for each in requests["Keys"])
            continue
        for request in requests:
            (verb, what), *_ = request.items()
            yield f"{verb} {table} {_item_key(what.get('Key') or what.get('Item'))}"


def _item_key(item: Mapping[str, Any]) -> str:
    if "pk" in item:
        return "/".join(str(_scalar(item[part])) for part in ("pk", "sk") if part in item)
    return _digest([json.dumps(item, sort_keys=True)])


def _scalar(value: Mapping[str, Any]) -> object:
    return next(iter(value.values()))


def _digest(keys: list[str]) -> str:
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:DIGITS]
