"""What the local AWS costs with much in it: counted in calls of functions, not in seconds."""

from pathlib import Path

import pytest
from moto_scenario import (
    BUCKET,
    QUEUE,
    TABLE,
    Clients,
    calls_of_python,
    create_table,
    hastened,
    served,
)

from resources.local_aws import moto_listings, snapshot

FEW, MANY = 20, 520


def item(number: int) -> dict[str, dict[str, str]]:
    keys = {"pk": {"S": f"p{number}"}, "sk": {"S": "a"}}
    return keys | {"g": {"S": f"g{number // 3}"}, "n": {"N": str(number)}}


def fill(clients: Clients, size: int) -> str:
    """So many items, objects and messages; gives the queue's URL."""
    create_table(clients, "S")
    clients.s3.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    url = str(clients.sqs.create_queue(QueueName=QUEUE)["QueueUrl"])
    for first in range(0, size, 10):
        puts = [{"PutRequest": {"Item": item(number)}} for number in range(first, first + 10)]
        clients.dynamodb.batch_write_item(RequestItems={TABLE: puts})
        entries = [{"Id": str(number), "MessageBody": "x"} for number in range(10)]
        clients.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    for number in range(size):
        clients.s3.put_object(Bucket=BUCKET, Key=f"k{number:04}", Body=b"x")
    return url


def query(clients: Clients) -> None:
    found = clients.dynamodb.query(
        TableName=TABLE,
        KeyConditionExpression="pk = :p",
        ExpressionAttributeValues={":p": {"S": "p4"}},
    )
    assert found["Items"] == [item(4)]


def query_index_after_a_write(clients: Clients) -> None:
    clients.dynamodb.put_item(TableName=TABLE, Item=item(4))
    found = clients.dynamodb.query(
        TableName=TABLE,
        IndexName="by_g",
        KeyConditionExpression="g = :g",
        ExpressionAttributeValues={":g": {"S": "g1"}},
    )
    assert found["Items"] == [item(3), item(4), item(5)]


def transact(clients: Clients) -> None:
    actions = [{"Put": {"TableName": TABLE, "Item": item(number)}} for number in (1, 2)]
    clients.dynamodb.transact_write_items(TransactItems=actions)


def list_page(clients: Clients) -> None:
    found = clients.s3.list_objects_v2(Bucket=BUCKET, StartAfter="k0003", MaxKeys=3)
    assert [each["Key"] for each in found["Contents"]] == ["k0004", "k0005", "k0006"]


def put_and_list(clients: Clients) -> None:
    clients.s3.put_object(Bucket=BUCKET, Key="k0004", Body=b"y")
    list_page(clients)


TASKS = (query, query_index_after_a_write, transact, list_page, put_and_list)


def cost(task: object, size: int) -> int:
    with hastened(), served() as clients:
        fill(clients, size)
        assert callable(task)
        return calls_of_python(lambda: task(clients))


@pytest.mark.parametrize("task", TASKS)
def test_what_is_asked_of_a_few_does_not_touch_the_others(task: object) -> None:
    # Chance has a part in it: moto draws request ids.
    assert cost(task, MANY) - cost(task, FEW) < (MANY - FEW) // 2


def test_a_bucket_that_is_listed_is_not_sorted_again_when_objects_come_and_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sorted_names: list[int] = []

    def counted(store: dict[str, object]) -> list[str]:
        sorted_names.append(len(store))
        return sorted(store)

    monkeypatch.setattr(moto_listings, "sorted", counted, raising=False)
    with hastened(), served() as clients:
        fill(clients, FEW)
        for _ in range(3):
            list_page(clients)
            clients.s3.put_object(Bucket=BUCKET, Key="k0005-new", Body=b"x")
            found = clients.s3.list_objects_v2(Bucket=BUCKET, StartAfter="k0004", MaxKeys=2)
            assert [each["Key"] for each in found["Contents"]] == ["k0005", "k0005-new"]
            clients.s3.delete_object(Bucket=BUCKET, Key="k0005-new")

    assert sorted_names == [FEW]


def test_messages_cost_the_same_in_a_long_queue() -> None:
    def consumed(size: int) -> int:
        with hastened(), served() as clients:
            url = fill(clients, size)

            def turn() -> None:
                clients.sqs.send_message(QueueUrl=url, MessageBody="x")
                taken = clients.sqs.receive_message(QueueUrl=url)["Messages"][0]
                clients.sqs.delete_message(QueueUrl=url, ReceiptHandle=taken["ReceiptHandle"])

            return calls_of_python(turn)

    assert consumed(MANY) - consumed(FEW) < (MANY - FEW) // 2


def test_snapshots_hold_moto_alone_and_serve_as_before(tmp_path: Path) -> None:
    file = tmp_path / "data"
    with hastened():
        with served() as clients:
            fill(clients, FEW)
            for task in TASKS:
                task(clients)
            snapshot.save(file)
        with served() as clients:
            snapshot.load(file)
            for task in TASKS:
                task(clients)
    assert b"resources.local_aws" not in file.read_bytes()
