"""What the local AWS makes faster than moto has it: the answers are the same."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from moto_scenario import (
    BUCKET,
    TABLE,
    Attribute,
    Call,
    Clients,
    answer,
    create_table,
    equal_answers,
    pages,
)

SORT_KEYS = {"S": ["a", "ab", "abc", "b", "ba"], "N": ["1", "1.0", "2", "10", "-3"]}
GROUPS, NUMBERS = ["g", "h"], ["1", "2", "10"]
CONDITIONS = ["attribute_not_exists(pk)", "attribute_exists(pk)", "attribute_exists(g)"]
# Each is tried twice, with some dozens of calls.
EXAMPLES = settings(max_examples=20)

NAMES = ["b", "a/b", "a/a", "ab", "a", "a/"]

text = st.sampled_from(["p", "q", "r"])


def keys(sort_type: str | None) -> st.SearchStrategy[Attribute]:
    named = {"pk": text.map(lambda value: {"S": value})}
    if sort_type:
        values = st.sampled_from(SORT_KEYS[sort_type])
        named["sk"] = values.map(lambda value: {sort_type: value})
    return st.fixed_dictionaries(named)


def items(sort_type: str | None) -> st.SearchStrategy[Attribute]:
    others = st.fixed_dictionaries(
        {},
        optional={
            "g": st.sampled_from(GROUPS).map(lambda value: {"S": value}),
            "n": st.sampled_from(NUMBERS).map(lambda value: {"N": value}),
            "m": st.just({"M": {"l": {"L": [{"NULL": True}, {"B": b"\x00"}, {"BOOL": False}]}}}),
            "s": st.just({"SS": ["x", "y"]}),
        },
    )
    return st.builds(lambda key, more: key | more, keys(sort_type), others)


def actions(sort_type: str | None) -> st.SearchStrategy[Attribute]:
    """Of a transaction; what they need for the condition is in them."""
    put = items(sort_type).map(lambda item: ("Put", {"Item": item}))
    kept = keys(sort_type).map(lambda key: ("Delete", {"Key": key}))
    updated = keys(sort_type).map(lambda key: ("Update", {"Key": key} | update("h")))
    wrong = st.just(("Put", {"Item": {"pk": {"N": "1"}, "sk": {"S": "a"}}}))
    condition = st.sampled_from([*CONDITIONS, None])
    made = st.one_of(put, kept, updated, put, wrong)
    return st.builds(
        lambda action, given: {action[0]: conditional(action[1], given)}, made, condition
    )


def conditional(arguments: Attribute, condition: str | None) -> Attribute:
    named = {"TableName": TABLE} | arguments
    return named | {"ConditionExpression": condition} if condition else named


def update(group: str) -> Attribute:
    return {
        "UpdateExpression": "SET g = :g ADD n :one",
        "ExpressionAttributeValues": {":g": {"S": group}, ":one": {"N": "1"}},
    }


def writes(sort_type: str | None) -> st.SearchStrategy[Call]:
    condition = st.sampled_from([*CONDITIONS, None, None])
    put = items(sort_type).map(lambda item: ("put_item", {"Item": item}))
    delete = keys(sort_type).map(lambda key: ("delete_item", {"Key": key}))
    change = st.builds(
        lambda key, group: ("update_item", {"Key": key} | update(group)),
        keys(sort_type),
        st.sampled_from([*GROUPS, ""]),  # the index refuses the empty one
    )
    single = st.builds(
        lambda call, given: (call[0], conditional(call[1], given)),
        st.one_of(put, put, delete, change),
        condition,
    )
    many = st.lists(actions(sort_type), min_size=1, max_size=4).map(
        lambda found: ("transact_write_items", {"TransactItems": found})
    )
    return st.one_of(single, single, many)


def queries(sort_type: str | None) -> st.SearchStrategy[Call]:
    values = {":p": {"S": "p"}, ":g": {"S": "g"}, ":s": {sort_type or "S": "1"}, ":n": {"N": "2"}}
    asked = [("pk = :p", None), ("g = :g", "by_g"), ("g = :g", "by_g_n")]
    asked += [("g = :g AND n >= :n", "by_g_n"), ("g = :g", "none")]
    if sort_type:
        asked += [("pk = :p AND sk > :s", None), ("pk = :p AND n < :n", "local")]
    if sort_type == "S":
        values[":s"] = {"S": "a"}
        asked += [("pk = :p AND begins_with(sk, :s)", None)]
    return st.builds(
        lambda found, limit, forward, rest: query(
            values, found[0], found[1], forward, limit | rest
        ),
        st.sampled_from(asked),
        st.sampled_from([{}, {"Limit": 1}, {"Limit": 2}]),
        st.booleans(),
        st.sampled_from([{}, {"FilterExpression": "attribute_exists(m)"}, {"Select": "COUNT"}]),
    )


def query(
    values: Attribute,
    condition: str,
    index: str | None,
    forward: bool,  # noqa: FBT001 - drawn with the others
    others: Attribute,
) -> Call:
    used = {name: value for name, value in values.items() if name in condition}
    named = {"IndexName": index} if index else {}
    arguments = {"TableName": TABLE, "KeyConditionExpression": condition} | named | others
    return "query", arguments | {"ExpressionAttributeValues": used, "ScanIndexForward": forward}


def ask(client: Any, call: Call) -> list[Any]:
    return pages(client, call, "LastEvaluatedKey", "ExclusiveStartKey")


@pytest.mark.parametrize("sort_type", ["S", "N", None])
@given(data=st.data())
@EXAMPLES
def test_tables_answer_as_those_of_moto(sort_type: str | None, data: st.DataObject) -> None:
    calls = data.draw(
        st.lists(st.one_of(writes(sort_type), writes(sort_type), queries(sort_type)), max_size=25)
    )
    calls += data.draw(st.lists(queries(sort_type), min_size=2, max_size=4))

    def all_of_them(clients: Clients) -> list[Any]:
        create_table(clients, sort_type)
        answers = [ask(clients.dynamodb, call) for call in calls]
        return [*answers, ask(clients.dynamodb, ("scan", {"TableName": TABLE, "Limit": 3}))]

    equal_answers(all_of_them)


def item(number: int, sort_key: str = "a", **others: Attribute) -> Attribute:
    group = {"g": {"S": f"g{number // 3}"}, "n": {"N": str(number)}}
    return {"pk": {"S": f"p{number:04}"}, "sk": {"S": sort_key}} | group | others


def put(number: int, condition: str | None = None) -> Attribute:
    return {"Put": conditional({"Item": item(number, m={"S": "new"})}, condition)}


def change(number: int) -> Attribute:
    key = {name: item(number)[name] for name in ("pk", "sk")}
    return {"Update": conditional({"Key": key} | update("h"), None)}


@pytest.mark.parametrize(
    "second",
    [
        put(2, "attribute_exists(pk)"),
        put(1),
        {"Update": conditional({"Key": {"pk": {"S": "p0009"}}} | update("h"), None)},
        {"Put": {"TableName": "none", "Item": item(4)}},
    ],
    ids=["its condition does not hold", "the same item", "half a key", "no such table"],
)
def test_a_refused_transaction_changes_nothing(second: Attribute) -> None:
    def transact(clients: Clients) -> list[Any]:
        create_table(clients, "S")
        clients.dynamodb.put_item(TableName=TABLE, Item=item(1))
        by_g = query({":g": {"S": "g0"}}, "g = :g", "by_g", True, {})
        before = ask(clients.dynamodb, by_g)
        call = "transact_write_items", {"TransactItems": [change(1), second]}
        refused = answer(clients.dynamodb, call)
        assert ask(clients.dynamodb, by_g) == before
        return [refused, clients.dynamodb.scan(TableName=TABLE)["Items"]]

    assert equal_answers(transact)[1] == [item(1)]


def test_an_index_follows_a_transaction() -> None:
    def transact(clients: Clients) -> list[Any]:
        create_table(clients, "S")
        for number in range(3):
            clients.dynamodb.put_item(TableName=TABLE, Item=item(number))
        asked = [query({":g": {"S": each}}, "g = :g", "by_g", True, {}) for each in ("g0", "h")]
        before = [ask(clients.dynamodb, call) for call in asked]
        gone = {name: item(1)[name] for name in ("pk", "sk")}
        actions = [change(0), {"Delete": {"TableName": TABLE, "Key": gone}}, put(2)]
        clients.dynamodb.transact_write_items(TransactItems=actions)
        scanned = ask(clients.dynamodb, ("scan", {"TableName": TABLE}))
        return [before, [ask(clients.dynamodb, call) for call in asked], scanned]

    _, ((kept,), (moved,)), (scanned,) = equal_answers(transact)
    assert [kept["Count"], moved["Count"], scanned["Count"]] == [1, 1, 2]


def test_an_index_knows_a_number_however_it_is_written() -> None:
    def deleted(clients: Clients) -> list[Any]:
        create_table(clients, "N")
        key = {"pk": {"S": "p"}, "sk": {"N": "1"}}
        clients.dynamodb.put_item(TableName=TABLE, Item=key | {"g": {"S": "g"}})
        by_g = query({":g": {"S": "g"}}, "g = :g", "by_g", True, {})
        before = ask(clients.dynamodb, by_g)
        clients.dynamodb.delete_item(TableName=TABLE, Key=key | {"sk": {"N": "1.0"}})
        return [before, ask(clients.dynamodb, by_g)]

    assert [answers[0]["Count"] for answers in equal_answers(deleted)] == [1, 0]


def test_an_item_that_is_too_large_is_refused() -> None:
    def written(clients: Clients) -> list[Any]:
        create_table(clients, "S")
        sizes = (200_000, 202_000, 203_000)
        calls = [item(1, a={"S": "x" * size}, b={"S": "x" * size}) for size in sizes]
        return [
            answer(clients.dynamodb, ("put_item", {"TableName": TABLE, "Item": each}))
            for each in calls
        ]

    assert ["Error" in found for found in equal_answers(written)] == [False, False, True]


@given(
    names=st.lists(st.text("ab/ü", min_size=1, max_size=4), max_size=15),
    deleted=st.lists(st.integers(0, 14), max_size=5),
    asked=st.fixed_dictionaries(
        {"MaxKeys": st.integers(0, 4)},
        optional={
            "Prefix": st.text("ab/", max_size=2),
            "StartAfter": st.text("ab/", max_size=2),
            "Delimiter": st.just("/"),
        },
    ),
    versioned=st.booleans(),
)
@example(names=NAMES, deleted=[4], asked={"MaxKeys": 2}, versioned=True)
@example(names=NAMES, deleted=[4], asked={"MaxKeys": 1, "Delimiter": "/"}, versioned=False)
@EXAMPLES
def test_buckets_list_as_those_of_moto(
    names: list[str], deleted: list[int], asked: Attribute, *, versioned: bool
) -> None:
    def listed(clients: Clients) -> list[Any]:
        create_bucket(clients, versioned=versioned)
        found = []
        for number, name in enumerate(names):
            clients.s3.put_object(Bucket=BUCKET, Key=name, Body=b"x")
            if number in deleted:
                clients.s3.delete_object(Bucket=BUCKET, Key=names[number // 2])
            found += pages(
                clients.s3,
                ("list_objects_v2", {"Bucket": BUCKET} | asked),
                "NextContinuationToken",
                "ContinuationToken",
            )
        return found

    equal_answers(listed)


def create_bucket(clients: Clients, *, versioned: bool) -> None:
    clients.s3.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    if versioned:
        clients.s3.put_bucket_versioning(
            Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"}
        )


def test_a_name_in_the_place_of_another_is_listed() -> None:
    def replaced(clients: Clients) -> list[Any]:
        create_bucket(clients, versioned=False)
        call = "list_objects_v2", {"Bucket": BUCKET}
        clients.s3.put_object(Bucket=BUCKET, Key="a", Body=b"x")
        before = answer(clients.s3, call)
        clients.s3.delete_object(Bucket=BUCKET, Key="a")
        clients.s3.put_object(Bucket=BUCKET, Key="b", Body=b"x")
        return [before, answer(clients.s3, call)]

    found = equal_answers(replaced)
    assert [each["Key"] for page in found for each in page["Contents"]] == ["a", "b"]
