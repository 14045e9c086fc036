"""A subscriber of the alerts' topic: an SQS queue that SNS delivers to."""

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resources.landfall import Landfall

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True)
class Received:
    """An alert as a subscriber gets it."""

    subject: str
    text: str
    attributes: dict[str, str]


class Inbox:
    """Everything that is published from now on."""

    def __init__(self, landfall: Landfall) -> None:
        self._sqs = landfall.aws.sqs
        self._url = self._sqs.create_queue(QueueName=f"inbox-{uuid.uuid4().hex}")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        landfall.aws.sns.subscribe(
            TopicArn=landfall.alerts.topic_arn,
            Protocol="sqs",
            Endpoint=arn["Attributes"]["QueueArn"],
        )

    def read(self) -> list[Received]:
        """What came since it was read last, in no particular order."""
        return [_received(json.loads(body)) for body in bodies(self._sqs, self._url)]


def _received(notice: dict[str, object]) -> Received:
    attributes = notice.get("MessageAttributes", {})
    assert isinstance(attributes, dict)
    values = {name: str(each["Value"]) for name, each in attributes.items()}
    return Received(str(notice["Subject"]), str(notice["Message"]), values)


def letters(landfall: Landfall) -> list[dict[str, object]]:
    """The dead letters that wait, received and deleted."""
    sqs = landfall.aws.sqs
    url = sqs.get_queue_url(QueueName=landfall.settings.dead_letter_queue)["QueueUrl"]
    return [json.loads(body) for body in bodies(sqs, url)]


def bodies(sqs: "SQSClient", url: str) -> list[str]:
    """Every message of a queue, received and deleted."""
    found: list[str] = []
    while True:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        messages = answer.get("Messages", [])
        if not messages:
            return found
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found.append(message["Body"])
