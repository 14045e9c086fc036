"""boto3 clients, made once each, and the one place where botocore's faults become ours."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from pipeline_assets.errors import (
    AwsUnreachableError,
    ConfigurationError,
    CredentialsMissingError,
    NotProvisionedError,
)
from resources.settings import Environment, Settings, load_settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

LOCAL_CREDENTIALS = "landfall-local"
LOCAL_REGION = "us-east-1"
CREDENTIAL_CODES = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "ExpiredToken",
        "ExpiredTokenException",
    }
)
MISSING_CODES = {
    "NoSuchBucket": "bucket",
    "ResourceNotFoundException": "table",
    "AWS.SimpleQueueService.NonExistentQueue": "queue",
    "QueueDoesNotExist": "queue",
}


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
        """Whether the clients talk to the local AWS of these settings."""
        return self.settings.env is Environment.LOCAL and not any(
            name == "AWS_ENDPOINT_URL" or name.startswith("AWS_ENDPOINT_URL_")
            for name, value in os.environ.items()
            if value
        )

    @cached_property
    def _session(self) -> boto3.Session:
        try:
            if self.is_local:
                return boto3.Session(
                    aws_access_key_id=LOCAL_CREDENTIALS,
                    aws_secret_access_key=LOCAL_CREDENTIALS,
                    region_name=_region() or LOCAL_REGION,
                )
            return boto3.Session(region_name=_region())
        except ProfileNotFound as error:
            raise CredentialsMissingError(str(error)) from None

    def _config(self) -> Config:
        pool = self.settings.io_threads + 2
        return Config(
            max_pool_connections=pool,
            retries={"mode": "standard", "total_max_attempts": 2 if self.is_local else 5},
            connect_timeout=5,
            read_timeout=60,
            s3={"addressing_style": "path"} if self.settings.env is Environment.LOCAL else None,
        )

    @property
    def _endpoint(self) -> str | None:
        return self.settings.local_endpoint if self.is_local else None

    @cached_property
    def s3(self) -> "S3Client":
        """S3."""
        with self._lock, aws_errors(self):
            return self._session.client("s3", endpoint_url=self._endpoint, config=self._config())

    @cached_property
    def sqs(self) -> "SQSClient":
        """SQS."""
        with self._lock, aws_errors(self):
            return self._session.client("sqs", endpoint_url=self._endpoint, config=self._config())

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """DynamoDB, low level: items are typed attribute values."""
        with self._lock, aws_errors(self):
            return self._session.client(
                "dynamodb", endpoint_url=self._endpoint, config=self._config()
            )

    @cached_property
    def sns(self) -> "SNSClient":
        """SNS."""
        with self._lock, aws_errors(self):
            return self._session.client("sns", endpoint_url=self._endpoint, config=self._config())

    def polars_storage_options(self) -> dict[str, str]:
        """Endpoint, region and credentials of the S3 client, as Polars' object store takes them."""
        credentials = self._session.get_credentials()
        if credentials is None:
            raise CredentialsMissingError("boto3 found none")
        frozen = credentials.get_frozen_credentials()
        options = {
            "aws_access_key_id": frozen.access_key or "",
            "aws_secret_access_key": frozen.secret_key or "",
            "aws_region": self.s3.meta.region_name,
        }
        if frozen.token:
            options["aws_session_token"] = frozen.token
        endpoint = self.s3.meta.endpoint_url
        if not (urlsplit(endpoint).hostname or "").endswith("amazonaws.com"):
            options |= {
                "aws_endpoint_url": endpoint,
                "aws_allow_http": str(endpoint.startswith("http://")).lower(),
                "aws_virtual_hosted_style_request": "false",
            }
        return options


def _region() -> str | None:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None


def error_code(error: ClientError) -> str:
    """AWS's code of a refused call, such as ``ConditionalCheckFailedException``."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def aws_errors(aws: Aws) -> Iterator[None]:
    """Turn what a user can mend into one sentence; let everything else pass as it is.

    Raises:
        AwsUnreachableError: no server answers at the endpoint.
        CredentialsMissingError: there are no credentials, or AWS refuses them.
        NotProvisionedError: a bucket, queue or table does not exist.
        ConfigurationError: no region is set.
    """
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise CredentialsMissingError(str(error)) from error
    except NoRegionError as error:
        raise ConfigurationError("No AWS region is set: set AWS_REGION.") from error
    except (BotoConnectionError, HTTPClientError) as error:
        raise AwsUnreachableError(_endpoint_of(aws, error), local=aws.is_local) from error
    except ClientError as error:
        code = error_code(error)
        if code in CREDENTIAL_CODES:
            raise CredentialsMissingError(code) from error
        if code in MISSING_CODES:
            detail = error.response.get("Error", {})
            name = str(detail.get("BucketName") or detail.get("Message") or "?")
            raise NotProvisionedError(MISSING_CODES[code], name) from error
        raise


def _endpoint_of(aws: Aws, error: BotoCoreError) -> str:
    endpoint = error.kwargs.get("endpoint_url") if hasattr(error, "kwargs") else None
    return str(endpoint or aws.settings.local_endpoint)
