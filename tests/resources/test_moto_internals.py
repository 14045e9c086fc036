"""moto's internals as they were when functions of ours were put in their place.

Which is to notice when a new moto changes them. Then, for each function that is named:

1. read what changed in it, between the two versions of moto;
2. see whether what stands in its place (`resources/local_aws/moto_*.py`) is still right, or still
   needed: a moto that is fast enough itself is left alone;
3. put the new digest here once the other tests of `tests/resources/test_moto_*.py` pass.
"""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from moto.dynamodb.models.dynamo_type import LimitedSizeDict
from moto.dynamodb.models.table import Table
from moto.s3.models import S3Backend
from moto.s3.utils import _VersionedKeyStore
from moto.sqs.models import Queue, SQSBackend

from resources.local_aws.moto_speed import REPLACEMENTS

# Not replaced, but what is replaced relies on how they work.
RELIED_ON: dict[str, Callable[..., Any] | property | type] = {
    "LimitedSizeDict": LimitedSizeDict,
    "Table.all_items": Table.all_items,
    "S3Backend.list_objects": S3Backend.list_objects,
    "_VersionedKeyStore": _VersionedKeyStore,
    "Queue.attributes": vars(Queue)["attributes"],
    "SQSBackend.receive_message": SQSBackend.receive_message,
}
INTERNALS = RELIED_ON | {
    f"{each.owner.__name__}.{each.name}": each.original for each in REPLACEMENTS
}
DIGESTS = {
    "LimitedSizeDict": "c956079ac9554f8b",
    "Table.all_items": "c80d2ee3c896acd0",
    "S3Backend.list_objects": "9409ba5af314a9d7",
    "_VersionedKeyStore": "6592286b65e1d849",
    "Queue.attributes": "40cb990b121628d5",
    "SQSBackend.receive_message": "065f3e5e7d214408",
    "Table.query": "002b4d00be6df07c",
    "Table.put_item": "de23933013ef8426",
    "Table.delete_item": "1594f7b07616c8cb",
    "DynamoDBBackend.update_item": "218984588dd689a5",
    "DynamoDBBackend.transact_write_items": "81db2cb7d94e39c9",
    "BaseJSONParser._parse_structure": "2de165721ba4b69e",
    "BaseJSONSerializer._serialize_type_structure": "36873909cd0aeb4d",
    "Item.__init__": "d9c12b62cb921831",
    "_VersionedKeyStore.__setitem__": "72ca2d3b969cfe8d",
    "_VersionedKeyStore.setlist": "f34cb76811ccce34",
    "_VersionedKeyStore.pop": "92736e3c4102461e",
    "S3Backend.list_objects_v2": "f5600333ebab1dc8",
    "Queue.messages": "03a531dbcbcf9aee",
    "Queue.approximate_number_of_messages_delayed": "c3c1dadb0c42ed5f",
    "Queue.approximate_number_of_messages_not_visible": "5dbecc4dda174358",
    "Queue.delete_message": "fa6fd5b9bd2cafb4",
    "Message.had_receipt_handle": "31a347382a7315b7",
    "SQSBackend.send_message": "bf161af09a9e6b86",
    "SQSBackend.get_queue_attributes": "58417223da457b5a",
    "moto.sqs.models.camelcase_to_underscores": "084cdc5bab92db95",
    "moto.backends.list_of_moto_modules": "4f741a10b06500e8",
}


def digest(internal: Any) -> str:
    code: Any = internal.fget if isinstance(internal, property) else internal
    return hashlib.sha256(inspect.getsource(code).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", INTERNALS)
def test_moto_has_it_as_it_was_when_it_was_replaced(name: str) -> None:
    found = digest(INTERNALS[name])
    assert found == DIGESTS.get(name), (
        f"moto's {name} is another one now (digest {found}): read what changed in it and whether "
        "what replaces it is still right; what to do is told at the top of this file."
    )
