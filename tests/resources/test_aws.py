"""Where each client finds AWS, and how AWS's faults are told."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import boto3
import pytest

from pipeline_assets.errors import (
    AwsUnreachableError,
    ConfigurationError,
    CredentialsMissingError,
    NotAwsError,
    NotProvisionedError,
)
from resources.aws import Aws, aws_errors
from resources.aws_session import read_models
from resources.local_aws.provision import provision
from resources.settings import Environment, Settings

ELSEWHERE = "http://127.0.0.1:9"
"""The discard port: nothing listens there."""


@pytest.fixture
def own_credentials(
    settings: Settings,  # noqa: ARG001  # it clears the environment first
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "own")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")


def ask(settings: Settings) -> None:
    aws = Aws(settings)
    with aws_errors(aws):
        aws.dynamodb.describe_table(TableName=settings.ledger_table)


@pytest.mark.usefixtures("own_credentials")
def test_an_endpoint_for_one_service_leaves_the_others_on_the_local_aws(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", ELSEWHERE)
    aws = Aws(settings)

    assert aws.s3.meta.endpoint_url == ELSEWHERE
    url = aws.s3.generate_presigned_url("list_buckets")
    assert "AWSAccessKeyId=own" in url or "Credential=own" in url
    for client in (aws.sqs, aws.dynamodb, aws.sns):
        assert client.meta.endpoint_url == settings.local_endpoint


def test_without_any_setting_every_client_uses_the_local_aws(aws: Aws) -> None:
    endpoints = {each.meta.endpoint_url for each in (aws.s3, aws.sqs, aws.dynamodb, aws.sns)}
    assert endpoints == {aws.settings.local_endpoint}


def test_a_process_reads_once_what_botocore_knows_of_a_service(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object, path: str) -> None:
        raise AssertionError(f"{path} was read again")

    read_models()
    monkeypatch.setattr("botocore.loaders.JSONFileLoader.load_file", refused)
    aws = Aws(settings)

    assert aws.s3.meta.service_model.service_name == "s3"
    assert aws.dynamodb.meta.service_model.service_name == "dynamodb"
    with pytest.raises(AssertionError, match="was read again"):
        boto3.Session(region_name="us-east-1").client("s3")


@pytest.mark.usefixtures("own_credentials")
def test_an_endpoint_of_a_real_account_is_never_provisioned(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "https://sqs.eu-west-1.amazonaws.com")
    with pytest.raises(ConfigurationError, match="never touches"):
        provision(Aws(settings), ())


@pytest.mark.usefixtures("own_credentials")
def test_an_endpoint_where_nothing_answers_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", ELSEWHERE)
    with pytest.raises(AwsUnreachableError, match=f"{ELSEWHERE}.*AWS_ENDPOINT_URL"):
        ask(settings)


def test_an_endpoint_without_credentials_asks_for_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", ELSEWHERE)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with pytest.raises(CredentialsMissingError, match="AWS_ACCESS_KEY_ID"):
        ask(settings)


@pytest.mark.usefixtures("own_credentials")
@pytest.mark.parametrize(
    ("name", "value"), [("AWS_ENDPOINT_URL", "nonsense"), ("AWS_REGION", "no region")]
)
def test_a_variable_that_boto3_cannot_use_is_told_in_a_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", ELSEWHERE)
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match="not usable"):
        ask(settings)


def test_a_table_that_does_not_exist_is_named(settings: Settings) -> None:
    with pytest.raises(NotProvisionedError, match=settings.ledger_table):
        ask(settings)


@pytest.mark.usefixtures("own_credentials")
@pytest.mark.parametrize("service", ["sqs", "sns", "sts"])
def test_what_a_tick_calls_besides_the_ledger_ends_well_before_dagster_ends_the_tick(
    settings: Settings, service: str
) -> None:
    aws = Aws(settings.model_copy(update={"env": Environment.AWS}))
    config = getattr(aws, service).meta.config

    tries = config.retries["total_max_attempts"]
    assert tries > 1
    assert tries * max(config.connect_timeout, config.read_timeout) <= 30


class Refusing(BaseHTTPRequestHandler):
    """A web server that knows no POST, as most do not."""

    def log_message(self, *_: object) -> None:
        return


@pytest.mark.usefixtures("own_credentials")
def test_a_server_that_is_not_aws_is_told_as_such(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    try:
        with pytest.raises(NotAwsError, match="is not AWS"):
            ask(settings)
    finally:
        server.shutdown()
        server.server_close()
