"""boto3 clients, made once each, and the one place where botocore's faults become ours."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from pipeline_assets.errors import (
    AwsBusyError,
    AwsRefusedError,
    AwsUnreachableError,
    ConfigurationError,
    CredentialsMissingError,
    EnvironmentFaultError,
    NotAwsError,
    NotProvisionedError,
)
from resources.aws_session import session
from resources.settings import Environment, Settings, load_settings

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

LOCAL_CREDENTIALS = "landfall-local"
LOCAL_REGION = "us-east-1"
SERVICES = ("s3", "sqs", "dynamodb", "sns")
CREDENTIAL_CODES = frozenset(
    {
        "InvalidSignatureException",
        "InvalidToken",
        "RequestExpired",
        "MissingAuthenticationToken",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "ExpiredToken",
        "ExpiredTokenException",
    }
)
DENIED_CODES = frozenset({"AccessDenied", "AccessDeniedException", "403", "Forbidden"})
BUSY_CODES = frozenset(
    {
        "SlowDown",
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ServiceUnavailable",
        "InternalError",
    }
)
SERVER_FAULT = 500
NOT_IMPLEMENTED = 501
CREDENTIAL_ERRORS = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
MISSING_CODES = {
    "NoSuchBucket": "bucket",
    "ResourceNotFoundException": "table",
    "AWS.SimpleQueueService.NonExistentQueue": "queue",
    "QueueDoesNotExist": "queue",
}


@dataclass(frozen=True)
class Patience:
    """How long one call may take: seconds to connect and to be answered, and how many tries."""

    connect: float
    read: float
    tries: int


PATIENCE = Patience(connect=5, read=60, tries=5)
SHORT = Patience(connect=3, read=5, tries=2)
PATIENCES = {"sqs": Patience(connect=5, read=10, tries=3), "sns": SHORT, "sts": SHORT}
"""Dagster ends a tick after 60 s, so what it calls besides S3 and the ledger must answer soon."""


class Aws:
    """Typed clients for one endpoint, safe to share between threads.

    An endpoint comes from ``AWS_ENDPOINT_URL`` or its per-service forms; without one, and without
    ``LANDFALL_ENV=aws``, every client talks to the local AWS with credentials of its own.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or load_settings()
        self._lock = threading.Lock()

    @property
    def is_local(self) -> bool:
        """Whether any client talks to the local AWS of these settings."""
        return any(self._uses_local(service) for service in SERVICES)

    def _uses_local(self, service: str) -> bool:
        endpoint = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}")
        endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL")
        return self.settings.env is Environment.LOCAL and not endpoint

    @cached_property
    def _local_session(self) -> "boto3.Session":
        with self._profiles():
            return session(
                aws_access_key_id=LOCAL_CREDENTIALS,
                aws_secret_access_key=LOCAL_CREDENTIALS,
                region_name=_region() or LOCAL_REGION,
            )

    @cached_property
    def _session(self) -> "boto3.Session":
        with self._profiles():
            return session(region_name=_region())

    @contextmanager
    def _making(self) -> Iterator[None]:
        """Make one client at a time; what boto3 cannot make of the environment is told in one."""
        try:
            with self._lock, aws_errors(self):
                yield
        except (BotoCoreError, ValueError) as error:
            raise ConfigurationError(
                f"AWS's own settings are not usable ({error}): check AWS_ENDPOINT_URL, AWS_REGION, "
                "AWS_PROFILE and the AWS configuration files."
            ) from error

    @contextmanager
    def _profiles(self) -> Iterator[None]:
        try:
            yield
        except ProfileNotFound as error:
            raise CredentialsMissingError(str(error)) from None

    def _session_for(self, service: str) -> "boto3.Session":
        return self._local_session if self._uses_local(service) else self._session

    def _arguments(self, service: str) -> dict[str, Any]:
        local = self._uses_local(service)
        patience = PATIENCES.get(service, PATIENCE)
        config = Config(
            max_pool_connections=2 * self.settings.io_threads + 2,
            retries={"mode": "standard", "total_max_attempts": 2 if local else patience.tries},
            connect_timeout=patience.connect,
            read_timeout=patience.read,
            s3={"addressing_style": "path"} if self.settings.env is Environment.LOCAL else None,
            # A third of a write's time. Items are checked where they are made (dynamodb_items), and
            # the service checks all the same.
            parameter_validation=service != "dynamodb",
            # A proxy of the environment is for the world outside, never for this machine.
            proxies={} if local else None,
        )
        return {"endpoint_url": self.settings.local_endpoint if local else None, "config": config}

    @cached_property
    def s3(self) -> "S3Client":
        """S3."""
        with self._making():
            return self._session_for("s3").client("s3", **self._arguments("s3"))

    @cached_property
    def sqs(self) -> "SQSClient":
        """SQS."""
        with self._making():
            return self._session_for("sqs").client("sqs", **self._arguments("sqs"))

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """DynamoDB, low level: items are typed attribute values."""
        with self._making():
            return self._session_for("dynamodb").client("dynamodb", **self._arguments("dynamodb"))

    @cached_property
    def sns(self) -> "SNSClient":
        """SNS."""
        with self._making():
            return self._session_for("sns").client("sns", **self._arguments("sns"))

    @cached_property
    def sts(self) -> Any:  # noqa: ANN401 - its stubs are none of the dependencies
        """STS, for GetCallerIdentity alone: it needs no permission."""
        with self._making():
            return self._session_for("sts").client("sts", **self._arguments("sts"))


def _region() -> str | None:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None


def error_code(error: ClientError) -> str:
    """AWS's code of a refused call, such as ``ConditionalCheckFailedException``."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def aws_errors(aws: Aws, *, queue: str = "") -> Iterator[None]:
    """Turn what a user can mend or must wait for into one sentence; let the rest pass as it is.

    ``queue`` is the one that is asked, where it is not the landing queue: AWS does not name it.

    Raises:
        AwsUnreachableError: no server answers at the endpoint.
        CredentialsMissingError: there are no credentials, or AWS refuses them.
        NotProvisionedError: a bucket, queue or table does not exist.
        AwsRefusedError: the credentials do not allow the operation.
        AwsBusyError: AWS throttles or fails on its own side, and kept doing so.
        ConfigurationError: no region is set.
    """
    try:
        yield
    except CREDENTIAL_ERRORS as error:
        raise CredentialsMissingError(str(error)) from error
    except NoRegionError as error:
        raise ConfigurationError("No AWS region is set: set AWS_REGION.") from error
    except (BotoConnectionError, HTTPClientError) as error:
        endpoint = _endpoint_of(aws, error)
        local = endpoint.startswith(aws.settings.local_endpoint)
        raise AwsUnreachableError(endpoint, local=local) from error
    except ClientError as error:
        known = _translated(aws, error, queue)
        if known is None:
            raise
        raise known from error


def _translated(aws: Aws, error: ClientError, queue: str) -> EnvironmentFaultError | None:
    code = error_code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in CREDENTIAL_CODES:
        return CredentialsMissingError(code)
    if code in DENIED_CODES:
        return AwsRefusedError(error.operation_name, code)
    if code in MISSING_CODES:
        return NotProvisionedError(MISSING_CODES[code], _missing_name(aws, error, queue))
    if status == NOT_IMPLEMENTED:
        return NotAwsError(error.operation_name, status)
    if code in BUSY_CODES or status >= SERVER_FAULT:
        return AwsBusyError(error.operation_name, code or str(status))
    return None


def _missing_name(aws: Aws, error: ClientError, queue: str) -> str:
    settings = aws.settings
    names = {
        "bucket": str(error.response.get("Error", {}).get("BucketName", settings.landing_bucket)),
        "table": f"{settings.ledger_table}, or one of {settings.serving_prefix}*",
        "queue": queue or settings.landing_queue,
    }
    return names[MISSING_CODES[error_code(error)]]


def _endpoint_of(aws: Aws, error: BotoCoreError) -> str:
    endpoint = error.kwargs.get("endpoint_url") if hasattr(error, "kwargs") else None
    return str(endpoint or aws.settings.local_endpoint)
