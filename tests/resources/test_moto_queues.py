"""Queues as the local AWS makes them faster than moto has them: the answers are the same."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from moto_scenario import QUEUE, Clients, answer, equal_answers

STEPS = ["send", "send", "take", "peek", "dead", "return", "delete", "delete"]


class Consumer:
    """Sends, receives and deletes, and tells what it saw."""

    def __init__(self, clients: Clients) -> None:
        self._sqs = clients.sqs
        self._dead = self._sqs.create_queue(QueueName="dead")["QueueUrl"]
        arn = self._attributes(self._dead)["QueueArn"]
        policy = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": 2}}'
        made = self._sqs.create_queue(QueueName=QUEUE, Attributes={"RedrivePolicy": policy})
        self._url = made["QueueUrl"]
        self._handles: list[str] = []

    def do(self, step: str, number: int) -> Any:
        arguments = {"QueueUrl": self._dead if step == "dead" else self._url}
        if step == "send":
            delay = 100 if number % 5 == 4 else 0
            sent = {"MessageBody": str(number), "DelaySeconds": delay}
            return answer(self._sqs, ("send_message", arguments | sent))
        if step in {"take", "peek", "dead"}:
            how = {"MaxNumberOfMessages": 3, "VisibilityTimeout": 0 if step == "peek" else 100}
            found = self._sqs.receive_message(**arguments, **how).get("Messages", [])
            self._handles += [message["ReceiptHandle"] for message in found]
            return [message["Body"] for message in found]
        handle = self._handles[number % len(self._handles)] if self._handles else "none"
        arguments["ReceiptHandle"] = handle
        if step == "return":
            return answer(
                self._sqs, ("change_message_visibility", arguments | {"VisibilityTimeout": 0})
            )
        refused = answer(self._sqs, ("delete_message", arguments))
        return refused.get("Error", {}).get("Code")

    def counts(self) -> list[list[str]]:
        found = [self._attributes(url) for url in (self._url, self._dead)]
        names = sorted(name for name in found[0] if name.startswith("Approximate"))
        some = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names[:2])
        assert [some["Attributes"][name] for name in names[:2]] == [found[0][n] for n in names[:2]]
        return [[each[name] for name in names] for each in found]

    def _attributes(self, url: str) -> dict[str, str]:
        found = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        return dict(found["Attributes"])


@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 9)), max_size=25))
# A message is deleted by the handle of its first receipt.
@example(steps=[("send", 0), ("peek", 0), ("take", 0), ("delete", 0)])
@settings(max_examples=20)
def test_queues_answer_as_those_of_moto(steps: list[tuple[str, int]]) -> None:
    def consumed(clients: Clients) -> list[Any]:
        consumer = Consumer(clients)
        return [(consumer.do(step, number), consumer.counts()) for step, number in steps]

    equal_answers(consumed)
