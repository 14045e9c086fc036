"""Alerts: what people are told through the SNS topic."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from pipeline_assets.errors import AwsBusyError, AwsRefusedError, NotProvisionedError
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
        """ARN of the topic, made of its name where the settings have that only.

        At an emulator CreateTopic says it, and changes no topic that exists. In a real account it
        would make one that nobody subscribes to, so there the caller's own account is named.
        """
        topic = self._aws.settings.alerts_topic
        if topic.startswith("arn:"):
            return topic
        with aws_errors(self._aws):
            if self._aws.settings.env is Environment.AWS:
                caller = self._aws.sts.get_caller_identity()["Arn"]
                return _topic_arn(caller, self._aws.sns.meta.region_name, topic)
            try:
                return self._aws.sns.create_topic(Name=topic)["TopicArn"]
            except ClientError as error:
                raise _translated(error, topic) from error

    def publish(self, alert: Alert) -> None:
        """Send one alert to the topic.

        Raises:
            EnvironmentFaultError: the topic is missing, or AWS refuses or does not answer.
        """
        with aws_errors(self._aws):
            try:
                self._aws.sns.publish(
                    TopicArn=self.topic_arn,
                    Subject=_subject(alert.subject),
                    Message=_text(alert.text),
                    MessageAttributes=_attributes(alert),
                )
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


def _translated(error: ClientError, topic: str) -> Exception:
    """The codes that only SNS uses as errors of ours; any other as it is."""
    code = error_code(error)
    if code in MISSING_CODES:
        return NotProvisionedError("topic", topic)
    if code in DENIED_CODES:
        return AwsRefusedError(error.operation_name, code)
    if code in BUSY_CODES:
        return AwsBusyError(error.operation_name, code)
    return error
