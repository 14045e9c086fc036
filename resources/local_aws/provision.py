"""What Landfall needs of AWS, made at the local AWS or another emulator.

Real accounts are provisioned by the template in ``deploy/``; both describe the same things.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from pipeline_assets.errors import ConfigurationError, LocalAwsError
from resources.aws import Aws, aws_errors, error_code
from resources.dynamodb_tables import index_name
from resources.settings import Environment

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.literals import ScalarAttributeTypeType
    from mypy_boto3_dynamodb.type_defs import (
        AttributeDefinitionTypeDef,
        GlobalSecondaryIndexTypeDef,
        KeySchemaElementTypeDef,
        WaiterConfigTypeDef,
    )
    from mypy_boto3_s3.literals import BucketLocationConstraintType, EventType

VISIBILITY_SECONDS = 60
MAX_RECEIVES = 10
# "Amazon SQS message quotas": messages are kept for 14 days at most.
MAX_RETENTION_SECONDS = 14 * 24 * 60 * 60
# "CreateBucket" (Amazon S3 API Reference): us-east-1 is the default and must not be named.
DEFAULT_BUCKET_REGION = "us-east-1"
TTL_ATTRIBUTE = "expires_at"
LANDING_EVENTS: tuple["EventType", ...] = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
TEST_EVENT = "s3:TestEvent"
# "ReceiveMessage" (Amazon SQS API Reference): ten messages at most.
MAX_MESSAGES_PER_RECEIVE = 10
TABLE_WAIT: "WaiterConfigTypeDef" = {"Delay": 1, "MaxAttempts": 60}


class _Indexes(TypedDict, total=False):
    GlobalSecondaryIndexes: "list[GlobalSecondaryIndexTypeDef]"


@dataclass(frozen=True)
class TableKeys:
    """A DynamoDB table of the serving layer; its keys, and those of its indexes, are strings."""

    name: str
    partition_key: str
    sort_key: str | None = None
    indexed: tuple[str, ...] = ()


def provision(aws: Aws, serving_tables: Sequence[TableKeys]) -> None:
    """Make what is missing and set what differs; safe to repeat and to run twice at once.

    Raises:
        ConfigurationError: the settings name a real account.
        AwsUnreachableError: no server answers.
        LocalAwsError: a table of that name exists with other keys.
    """
    if aws.settings.env is Environment.AWS:
        raise ConfigurationError(
            "LANDFALL_ENV=aws names a real account, which `landfall up` never touches: create what "
            'README\'s "Against AWS" lists, or unset LANDFALL_ENV to use the local AWS.'
        )
    settings = aws.settings
    _refuse_real_accounts(aws)
    with aws_errors(aws):
        for bucket in (settings.landing_bucket, settings.lake_bucket):
            _bucket(aws, bucket)
        if settings.landing_queue:
            queue_url, queue_arn = _queues(aws)
            _notifications(aws, queue_url, queue_arn)
        else:
            _no_notifications(aws)
        _table(aws, TableKeys(settings.ledger_table, "pk", "sk"))
        _expire(aws, settings.ledger_table)
        for table in serving_tables:
            _table(aws, table)
        _dead_letter_queue(aws, settings.dead_letter_queue)
        if not settings.alerts_topic.startswith("arn:"):
            aws.sns.create_topic(Name=settings.alerts_topic)


def _refuse_real_accounts(aws: Aws) -> None:
    for client in (aws.s3, aws.sqs, aws.dynamodb, aws.sns):
        endpoint = client.meta.endpoint_url
        if (urlsplit(endpoint).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn")):
            raise ConfigurationError(
                f"{endpoint} is a real account, which `landfall up` never touches: check the "
                "AWS_ENDPOINT_URL* variables."
            )


def _bucket(aws: Aws, name: str) -> None:
    _create_bucket(aws, name)
    aws.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    aws.s3.put_public_access_block(
        Bucket=name,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    aws.s3.put_bucket_encryption(
        Bucket=name,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )


def _create_bucket(aws: Aws, name: str) -> None:
    region = aws.s3.meta.region_name
    try:
        if region == DEFAULT_BUCKET_REGION:
            aws.s3.create_bucket(Bucket=name)
        else:
            place: BucketLocationConstraintType = region  # type: ignore[assignment]  # any region
            aws.s3.create_bucket(
                Bucket=name, CreateBucketConfiguration={"LocationConstraint": place}
            )
    except ClientError as error:
        if error_code(error) != "BucketAlreadyOwnedByYou":
            raise


def _queues(aws: Aws) -> tuple[str, str]:
    """URL and ARN of the landing queue, with its dead-letter queue behind it."""
    settings = aws.settings
    _, dead_letter_arn = _dead_letter_queue(aws, settings.landing_dead_letter_queue)
    url, arn = _queue(aws, settings.landing_queue)
    redrive = {"deadLetterTargetArn": dead_letter_arn, "maxReceiveCount": str(MAX_RECEIVES)}
    aws.sqs.set_queue_attributes(
        QueueUrl=url,
        Attributes={
            "VisibilityTimeout": str(VISIBILITY_SECONDS),
            "RedrivePolicy": json.dumps(redrive),
            "Policy": json.dumps(_queue_policy(arn, settings.landing_bucket)),
        },
    )
    return url, arn


def _dead_letter_queue(aws: Aws, name: str) -> tuple[str, str]:
    """URL and ARN of a queue that keeps its messages as long as SQS can."""
    url, arn = _queue(aws, name)
    aws.sqs.set_queue_attributes(
        QueueUrl=url, Attributes={"MessageRetentionPeriod": str(MAX_RETENTION_SECONDS)}
    )
    return url, arn


def _queue(aws: Aws, name: str) -> tuple[str, str]:
    # Created without attributes: CreateQueue refuses a name whose attributes differ, so that a
    # changed policy could never be set.
    try:
        url = aws.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    except aws.sqs.exceptions.QueueDoesNotExist:
        url = aws.sqs.create_queue(QueueName=name)["QueueUrl"]
    answer = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, answer["Attributes"]["QueueArn"]


def _queue_policy(queue_arn: str, bucket: str) -> dict[str, object]:
    bucket_arn = f"arn:{queue_arn.split(':')[1]}:s3:::{bucket}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "LandingBucketSends",
                "Effect": "Allow",
                "Principal": {"Service": "s3.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {
                    "ArnEquals": {"aws:SourceArn": bucket_arn},
                    "StringEquals": {"aws:SourceAccount": queue_arn.split(":")[4]},
                },
            }
        ],
    }


def _notifications(aws: Aws, queue_url: str, queue_arn: str) -> None:
    bucket = aws.settings.landing_bucket
    current = aws.s3.get_bucket_notification_configuration(Bucket=bucket)
    # Every put sends a test event: one is made only when something differs.
    if [
        (entry["QueueArn"], sorted(entry["Events"]))
        for entry in current.get("QueueConfigurations", [])
    ] == [(queue_arn, sorted(LANDING_EVENTS))]:
        return
    aws.s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "QueueConfigurations": [
                {"Id": "landing", "QueueArn": queue_arn, "Events": list(LANDING_EVENTS)}
            ]
        },
    )
    _drop_test_event(aws, queue_url)


def _no_notifications(aws: Aws) -> None:
    """Let the bucket tell nobody: a queue that nobody reads would only grow."""
    bucket = aws.settings.landing_bucket
    current = aws.s3.get_bucket_notification_configuration(Bucket=bucket)
    if current.get("QueueConfigurations"):
        aws.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})


def _drop_test_event(aws: Aws, queue_url: str) -> None:
    """Delete S3's test events among the first messages; the others stay visible."""
    answer = aws.sqs.receive_message(
        QueueUrl=queue_url, MaxNumberOfMessages=MAX_MESSAGES_PER_RECEIVE
    )
    for message in answer.get("Messages", []):
        handle = message["ReceiptHandle"]
        if TEST_EVENT in message["Body"] and '"Records"' not in message["Body"]:
            aws.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=handle)
        else:
            aws.sqs.change_message_visibility(
                QueueUrl=queue_url, ReceiptHandle=handle, VisibilityTimeout=0
            )


def _table(aws: Aws, table: TableKeys) -> None:
    keys = [table.partition_key, *([table.sort_key] if table.sort_key else [])]
    string: ScalarAttributeTypeType = "S"
    attributes: list[AttributeDefinitionTypeDef] = [
        {"AttributeName": key, "AttributeType": string} for key in (*keys, *table.indexed)
    ]
    schema: list[KeySchemaElementTypeDef] = [{"AttributeName": keys[0], "KeyType": "HASH"}]
    schema += [{"AttributeName": key, "KeyType": "RANGE"} for key in keys[1:]]
    with suppress(aws.dynamodb.exceptions.ResourceInUseException):
        aws.dynamodb.create_table(
            TableName=table.name,
            AttributeDefinitions=attributes,
            KeySchema=schema,
            BillingMode="PAY_PER_REQUEST",
            **_indexes(table),
        )
    aws.dynamodb.get_waiter("table_exists").wait(TableName=table.name, WaiterConfig=TABLE_WAIT)
    described = aws.dynamodb.describe_table(TableName=table.name)["Table"]
    found = described.get("KeySchema", [])
    indexes = {index.get("IndexName") for index in described.get("GlobalSecondaryIndexes", [])}
    missing = [name for name in map(index_name, table.indexed) if name not in indexes]
    if missing:
        raise LocalAwsError(
            f"The table {table.name!r} lacks the indexes {missing}: forget the local data with "
            "`landfall reset`, or choose another name."
        )
    if found != schema:
        raise LocalAwsError(
            f"The table {table.name!r} has the keys {[key['AttributeName'] for key in found]}, "
            f"but {keys} are needed: forget the local data with `landfall reset`, or choose "
            "another name."
        )


def _indexes(table: TableKeys) -> "_Indexes":
    """The argument of CreateTable for a table's indexes; it takes no empty list of them."""
    indexes: list[GlobalSecondaryIndexTypeDef] = [
        {
            "IndexName": index_name(column),
            "KeySchema": [{"AttributeName": column, "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
        for column in table.indexed
    ]
    return {"GlobalSecondaryIndexes": indexes} if indexes else {}


def _expire(aws: Aws, table: str) -> None:
    aws.dynamodb.update_continuous_backups(
        TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    described = aws.dynamodb.describe_time_to_live(TableName=table)
    # UpdateTimeToLive refuses to enable what is enabled already.
    if described["TimeToLiveDescription"].get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}:
        return
    try:
        aws.dynamodb.update_time_to_live(
            TableName=table,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": TTL_ATTRIBUTE},
        )
    except ClientError as error:
        # Another provisioning was faster.
        if error_code(error) != "ValidationException":
            raise
