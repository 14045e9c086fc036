"""Alerts: what people are told through the SNS topic."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from pipeline_assets.errors import (
    AlertsTopicError,
    AwsBusyError,
    AwsRefusedError,
    EnvironmentFaultError,
    NotProvisionedError,
)
from resources.aws import Aws, aws_errors, error_code
from resources.settings import Environment

if TYPE_CHECKING:
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef

SUBJECT_LIMIT = 99
"""Characters of a subject, ASCII on one line: below 100 (Amazon SNS API reference, "Publish")."""
TEXT_LIMIT = 256 * 1024
"""Bytes of a message with its attributes (Amazon SNS API reference, "Publish")."""
ATTRIBUTES_ROOM = 4096
"""Bytes of it that are left for the attributes."""
PRINTABLE = range(32, 127)
MISSING_CODES = frozenset({"NotFound", "NotFoundException"})
DENIED_CODES = frozenset({"AuthorizationError"})
BUSY_CODES = frozenset({"Throttled", "KMSThrottling"})
"""What SNS calls these, unlike the other services (Amazon SNS API reference, "Publish")."""


class AlertKind(StrEnum):
    """What an alert is about; subscribers filter by it."""

    DEAD_FILES = "dead_files"
    NO_VALID_ROW = "no_valid_row"
    WATCH = "watch"


@dataclass(frozen=True)
class Alert:
    """Something that a person should know.

    ``facts`` become message attributes, numbers as numbers: at most nine, beside ``kind``.
    """

    kind: AlertKind
    subject: str
    text: str
    facts: Mapping[str, str | int] = field(default_factory=dict)


class Alerts:
    """The SNS topic that people and pagers subscribe to."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    @cached_property
    def topic_arn(self) -> str:
        """ARN of the topic, found by its name where the settings have that only.

        In a real account it follows from the caller's own account, without a permission. An
        emulator need not have STS, so there the topics are listed. Nothing is made here: a topic
        that nobody subscribes to would swallow every alert.

        Raises:
            EnvironmentFaultError: the topic is missing, or AWS refuses or does not answer.
        """
        topic = self._aws.settings.alerts_topic
        if topic.startswith("arn:"):
            return topic
        with self._sns_errors():
            if self._aws.settings.env is Environment.AWS:
                caller = self._aws.sts.get_caller_identity()["Arn"]
                return _topic_arn(caller, self._aws.sns.meta.region_name, topic)
            return self._listed_arn(topic)

    def _listed_arn(self, name: str) -> str:
        for page in self._aws.sns.get_paginator("list_topics").paginate():
            for topic in page["Topics"]:
                if topic["TopicArn"].endswith(f":{name}"):
                    return topic["TopicArn"]
        raise NotProvisionedError("topic", name)

    def publish(self, alert: Alert) -> None:
        """Send one alert to the topic.

        Raises:
            EnvironmentFaultError: the topic is missing, or AWS refuses or does not answer.
        """
        with self._sns_errors():
            self._aws.sns.publish(
                TopicArn=self.topic_arn,
                Subject=_subject(alert.subject),
                Message=_text(alert.text),
                MessageAttributes=_attributes(alert),
            )

    @contextmanager
    def _sns_errors(self) -> Iterator[None]:
        """What every service says becomes what it does elsewhere; the rest, SNS's own errors."""
        try:
            with aws_errors(self._aws):
                yield
        except ClientError as error:
            raise _translated(error, self._aws.settings.alerts_topic) from error


def _topic_arn(caller: str, region: str, name: str) -> str:
    """ARN of a topic in a caller's account ("Amazon Resource Names", AWS General Reference)."""
    _, partition, _, _, account, _ = caller.split(":", 5)
    return f"arn:{partition}:sns:{region}:{account}:{name}"


def _subject(text: str) -> str:
    """The subject as SNS takes it."""
    plain = "".join(letter if ord(letter) in PRINTABLE else "?" for letter in text)
    return plain if len(plain) <= SUBJECT_LIMIT else plain[: SUBJECT_LIMIT - 3] + "..."


def _text(text: str) -> str:
    return text.encode(errors="replace")[: TEXT_LIMIT - ATTRIBUTES_ROOM].decode(errors="ignore")


def _attributes(alert: Alert) -> "dict[str, MessageAttributeValueTypeDef]":
    facts: dict[str, str | int] = {"kind": alert.kind.value, **alert.facts}
    return {
        name: {
            "DataType": "Number" if isinstance(value, int) else "String",
            "StringValue": str(value),
        }
        for name, value in facts.items()
    }


def _translated(error: ClientError, topic: str) -> EnvironmentFaultError:
    """The codes that only SNS uses; any other is about the topic, the one thing that is set."""
    code = error_code(error)
    if code in MISSING_CODES:
        return NotProvisionedError("topic", topic)
    if code in DENIED_CODES:
        return AwsRefusedError(error.operation_name, code)
    if code in BUSY_CODES:
        return AwsBusyError(error.operation_name, code)
    return AlertsTopicError(topic, code, str(error.response["Error"].get("Message", "")))
