"""The local AWS as a process: what it keeps, whose it is, what it refuses."""

import http.server
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from pipeline_assets.errors import ConfigurationError, LocalAwsError, PortInUseError
from resources.aws import Aws, error_code
from resources.local_aws import control
from resources.local_aws.application import Application
from resources.local_aws.control import LocalAwsStatus
from resources.local_aws.provision import TableKeys, provision
from resources.local_aws.record import DATA_FILE, LOG_FILE, RECORD_FILE, ServerRecord
from resources.settings import Environment, Settings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from mypy_boto3_dynamodb.type_defs import UniversalAttributeValueTypeDef

KEY = "events/a b+ü%2F.json"


@pytest.fixture
def own(tmp_path: Path, clean_environment: None, new_port: Callable[[], int]) -> Iterator[Settings]:  # noqa: ARG001
    """A home and port of the test's own; whatever runs there is ended."""
    made = Settings.model_construct(home=tmp_path / "own", local_port=new_port())
    yield made
    control.down(made)


@pytest.fixture
def own_aws(own: Settings) -> Aws:
    control.up(own)
    made = Aws(own)
    provision(made, ())
    return made


def again(settings: Settings) -> Aws:
    """Down, up, and new clients."""
    assert control.down(settings)
    control.up(settings)
    return Aws(settings)


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.02)


def queue_url(aws: Aws) -> str:
    return aws.sqs.get_queue_url(QueueName=aws.settings.landing_queue)["QueueUrl"]


def receive(aws: Aws, seconds: int = 0) -> list[str]:
    answer = aws.sqs.receive_message(
        QueueUrl=queue_url(aws), MaxNumberOfMessages=10, WaitTimeSeconds=seconds
    )
    return [message["Body"] for message in answer.get("Messages", [])]


def depth(aws: Aws) -> tuple[int, int]:
    """Messages that are visible, and in flight."""
    found = aws.sqs.get_queue_attributes(QueueUrl=queue_url(aws), AttributeNames=["All"])
    attributes = found["Attributes"]
    return (
        int(attributes["ApproximateNumberOfMessages"]),
        int(attributes["ApproximateNumberOfMessagesNotVisible"]),
    )


def serve(settings: Settings, *more: str) -> subprocess.Popen[bytes]:
    """The server in the foreground, as a child that a test may kill."""
    command = [sys.executable, "-m", "resources.local_aws.server", *more]
    command += ["--port", str(settings.local_port), "--home", str(settings.home.resolve())]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603  # our own module


def test_objects_keep_bytes_etags_metadata_and_versions_over_down_and_up(own_aws: Aws) -> None:
    bucket = own_aws.settings.lake_bucket
    first = own_aws.s3.put_object(Bucket=bucket, Key=KEY, Body=b"one")
    own_aws.s3.put_object(
        Bucket=bucket, Key=KEY, Body=b"two", Metadata={"rows": "2", "source_file": "x"}
    )
    before = own_aws.s3.head_object(Bucket=bucket, Key=KEY)

    after = again(own_aws.settings)

    found = after.s3.get_object(Bucket=bucket, Key=KEY)
    assert found["Body"].read() == b"two"
    assert found["Metadata"] == {"rows": "2", "source_file": "x"}
    assert (found["ETag"], found["LastModified"], found["VersionId"]) == (
        before["ETag"],
        before["LastModified"],
        before["VersionId"],
    )
    old = after.s3.get_object(Bucket=bucket, Key=KEY, VersionId=first["VersionId"])
    assert old["Body"].read() == b"one"


def test_an_object_larger_than_a_part_survives(own_aws: Aws) -> None:
    body = os.urandom(6 * 1024 * 1024)
    own_aws.s3.put_object(Bucket=own_aws.settings.lake_bucket, Key="big", Body=body)
    after = again(own_aws.settings)
    found = after.s3.get_object(Bucket=own_aws.settings.lake_bucket, Key="big")
    assert found["Body"].read() == body


def test_bucket_settings_survive(own_aws: Aws) -> None:
    bucket = own_aws.settings.landing_bucket
    after = again(own_aws.settings).s3
    assert after.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    blocked = after.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert len(blocked) == 4
    assert all(blocked.values())
    rules = after.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0].get("ApplyServerSideEncryptionByDefault") == {"SSEAlgorithm": "AES256"}


def test_visible_and_in_flight_messages_survive(own_aws: Aws) -> None:
    for body in ("one", "two", "three"):
        own_aws.sqs.send_message(QueueUrl=queue_url(own_aws), MessageBody=body)
    taken = own_aws.sqs.receive_message(QueueUrl=queue_url(own_aws))["Messages"][0]

    after = again(own_aws.settings)

    assert depth(after) == (2, 1)
    after.sqs.delete_message(QueueUrl=queue_url(after), ReceiptHandle=taken["ReceiptHandle"])
    assert depth(after) == (2, 0)
    assert sorted([taken["Body"], *receive(after)]) == ["one", "three", "two"]


def test_items_survive_and_stay_conditional(own_aws: Aws) -> None:
    table = own_aws.settings.ledger_table
    item: dict[str, UniversalAttributeValueTypeDef] = {
        "pk": {"S": "a"},
        "sk": {"S": "b"},
        "n": {"N": "1.5"},
        "raw": {"B": b"\x00"},
    }
    own_aws.dynamodb.put_item(TableName=table, Item=item)
    after = again(own_aws.settings).dynamodb
    assert after.scan(TableName=table)["Items"] == [item]
    with pytest.raises(after.exceptions.ConditionalCheckFailedException):
        after.put_item(TableName=table, Item=item, ConditionExpression="attribute_not_exists(pk)")
    ttl = after.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}


def test_topics_survive(own_aws: Aws) -> None:
    before = own_aws.sns.list_topics()["Topics"]
    assert len(before) == 1
    assert again(own_aws.settings).sns.list_topics()["Topics"] == before


def test_notifications_still_fire_after_down_and_up(own_aws: Aws) -> None:
    after = again(own_aws.settings)
    bucket = own_aws.settings.landing_bucket
    after.s3.put_object(Bucket=bucket, Key="events/a.json", Body=b"{}")
    after.s3.delete_object(Bucket=bucket, Key="events/a.json")
    names = [json.loads(body)["Records"][0]["eventName"] for body in receive(after)]
    assert names == ["ObjectCreated:Put", "ObjectRemoved:DeleteMarkerCreated"]


def test_redrive_still_works_after_down_and_up(own_aws: Aws) -> None:
    own_aws.sqs.send_message(QueueUrl=queue_url(own_aws), MessageBody="poison")
    after = again(own_aws.settings)
    for _ in range(11):
        after.sqs.receive_message(QueueUrl=queue_url(after), VisibilityTimeout=0)
    name = own_aws.settings.landing_dead_letter_queue
    url = after.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    assert after.sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "poison"


def test_no_acknowledged_write_is_lost_when_the_server_is_stopped_meanwhile(own_aws: Aws) -> None:
    bucket, acknowledged = own_aws.settings.lake_bucket, list[str]()

    def write() -> None:
        for number in range(100_000):
            try:
                own_aws.s3.put_object(Bucket=bucket, Key=str(number), Body=b"x")
            except (BotoCoreError, ClientError):
                return
            acknowledged.append(str(number))

    writer = threading.Thread(target=write)
    writer.start()
    until(lambda: len(acknowledged) > 50)
    after = again(own_aws.settings)
    writer.join(30)
    missing = [
        key
        for key in acknowledged
        if after.s3.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"] == 0
    ]
    assert missing == []


def test_a_killed_server_comes_back_with_its_last_snapshot(own: Settings) -> None:
    own.home.mkdir()
    server = serve(own, "--snapshot-seconds", "0.1")
    try:
        until(lambda: control.is_up(own))
        Aws(own).s3.create_bucket(Bucket="kept")
        # Nothing was written before, so the first snapshot already has the bucket.
        until((own.home / DATA_FILE).exists)
    finally:
        server.kill()
        server.wait()
    assert not control.is_up(own)
    assert not control.down(own)
    control.up(own)
    assert [bucket["Name"] for bucket in Aws(own).s3.list_buckets()["Buckets"]] == ["kept"]


def test_reading_alone_writes_no_snapshot(own_aws: Aws) -> None:
    own = own_aws.settings
    assert control.down(own)
    server = serve(own, "--snapshot-seconds", "0.05")
    try:
        until(lambda: control.is_up(own))
        before = (own.home / DATA_FILE).stat().st_mtime_ns
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            own_aws.dynamodb.scan(TableName=own.ledger_table)
            assert receive(own_aws) == []
        assert (own.home / DATA_FILE).stat().st_mtime_ns == before
    finally:
        server.terminate()
        server.wait()


def test_a_snapshot_of_another_moto_is_refused_with_the_mend(own: Settings) -> None:
    control.up(own)
    control.down(own)
    data = own.home / DATA_FILE
    header, _, rest = data.read_bytes().partition(b"\n")
    data.write_bytes(json.dumps(json.loads(header) | {"moto": "1.0"}).encode() + b"\n" + rest)
    with pytest.raises(LocalAwsError, match=r"'moto': '1\.0'.*landfall reset"):
        control.up(own)
    assert data.exists()
    control.reset(own)
    control.up(own)


@pytest.mark.parametrize("keep", [0, 10, 60], ids=["empty", "half a header", "half a pickle"])
def test_a_broken_snapshot_is_refused_with_the_mend(own: Settings, keep: int) -> None:
    control.up(own)
    control.down(own)
    data = own.home / DATA_FILE
    data.write_bytes(data.read_bytes()[:keep])
    with pytest.raises(LocalAwsError, match="landfall reset"):
        control.up(own)


def test_up_reuses_what_runs(own: Settings) -> None:
    first, second = control.up(own), control.up(own)
    assert (first.reused, second.reused) == (False, True)
    assert (first.pid, first.home) == (second.pid, own.home.resolve())


def test_two_ups_at_once_give_one_server(own: Settings) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: control.up(own), range(4)))
    assert len({status.pid for status in found}) == 1
    assert sorted(status.reused for status in found) == [False, True, True, True]


def test_up_does_not_hold_the_pipes_of_its_caller(own: Settings) -> None:
    code = "from resources import settings; from resources.local_aws.control import up; "
    code += "up(settings.load_settings())"
    environment = os.environ | {
        "LANDFALL_HOME": str(own.home),
        "LANDFALL_LOCAL_PORT": str(own.local_port),
    }
    ended = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-c", code], env=environment, capture_output=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, b"")
    assert control.is_up(own)


def test_a_port_of_another_program_is_refused(own: Settings) -> None:
    with http.server.HTTPServer(
        ("127.0.0.1", own.local_port), http.server.BaseHTTPRequestHandler
    ) as other:
        threading.Thread(target=other.serve_forever).start()
        try:
            with pytest.raises(PortInUseError, match=f"{own.local_port} is taken by another"):
                control.up(own)
        finally:
            other.shutdown()


def test_a_port_of_another_home_is_refused_by_name(own: Settings, tmp_path: Path) -> None:
    control.up(own)
    other = own.model_copy(update={"home": tmp_path / "other"})
    with pytest.raises(PortInUseError, match=str(own.home)):
        control.up(other)
    assert not control.is_up(other)
    assert not control.down(other)
    assert control.is_up(own)


def test_one_home_is_not_served_twice(own: Settings, new_port: Callable[[], int]) -> None:
    control.up(own)
    elsewhere = own.model_copy(update={"local_port": new_port()})
    with pytest.raises(LocalAwsError, match=f"LANDFALL_LOCAL_PORT={own.local_port}"):
        control.up(elsewhere)


def test_down_ends_the_process_and_says_so(own: Settings) -> None:
    assert not control.down(own)
    status = control.up(own)
    assert control.down(own)
    assert not control.down(own)
    assert not (own.home / RECORD_FILE).exists()
    until(lambda: not alive(status.pid))


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


def test_data_that_cannot_be_written_is_said(own: Settings) -> None:
    control.up(own)
    (own.home / DATA_FILE).with_suffix(".writing").mkdir()
    with pytest.raises(LocalAwsError, match="without writing its data"):
        control.down(own)
    (own.home / DATA_FILE).with_suffix(".writing").rmdir()


def test_down_leaves_an_adopted_server_alone(settings: Settings, local_aws: LocalAwsStatus) -> None:
    assert control.is_up(settings)
    assert control.up(settings).pid == local_aws.pid
    assert not control.down(settings)
    control.reset(settings)
    assert control.is_up(settings)


def test_reset_forgets_data_and_dagster_and_nothing_else(own_aws: Aws) -> None:
    own = own_aws.settings
    (own.home / "dagster" / "history").mkdir(parents=True)
    (own.home / "notes.txt").write_text("mine")
    control.reset(own)
    assert not control.is_up(own)
    left = {path.name for path in own.home.iterdir()}
    assert left.isdisjoint({DATA_FILE, LOG_FILE, RECORD_FILE, "dagster"})
    assert "notes.txt" in left
    control.up(own)
    assert Aws(own).s3.list_buckets()["Buckets"] == []


class Overlap:
    """A WSGI application that sees whether two requests are in it at once."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0

    def __call__(
        self, _environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> "Iterable[bytes]":
        self.inside += 1
        self.most = max(self.most, self.inside)
        # Held open, so that another request has time to come in.
        threading.Event().wait(0.01)
        self.inside -= 1
        start_response("200 OK", [])
        return [b""]


def answered(application: Application) -> str:
    seen: list[str] = []
    environ = {"PATH_INFO": "/", "REQUEST_METHOD": "PUT"}
    application(environ, lambda status, *_: seen.append(status) or bytes)  # type: ignore[func-returns-value]  # append gives None
    return seen[0]


def test_requests_never_interleave() -> None:
    inner = Overlap()
    application = Application(inner, ServerRecord("home", 1, 1, "now"))
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: answered(application), range(16)))
    assert (inner.most, set(statuses)) == (1, {"200 OK"})
    assert application.writes == 16


def test_a_closing_server_acknowledges_nothing() -> None:
    application = Application(Overlap(), ServerRecord("home", 1, 1, "now"))
    application.close()
    assert answered(application).startswith("503")
    assert application.writes == 0


def test_one_of_many_conditional_writes_wins(aws: Aws) -> None:
    def put(number: int) -> str:
        try:
            aws.s3.put_object(
                Bucket=aws.settings.lake_bucket, Key="k", Body=str(number).encode(), IfNoneMatch="*"
            )
        except ClientError as error:
            return error_code(error)
        return "won"

    def item(number: int) -> str:
        try:
            aws.dynamodb.put_item(
                TableName=aws.settings.ledger_table,
                Item={"pk": {"S": "p"}, "sk": {"S": "s"}, "n": {"N": str(number)}},
                ConditionExpression="attribute_not_exists(pk)",
            )
        except ClientError as error:
            return error_code(error)
        return "won"

    with ThreadPoolExecutor(8) as pool:
        puts, items = list(pool.map(put, range(40))), list(pool.map(item, range(40)))
    assert puts.count("won") == items.count("won") == 1
    assert set(puts) == {"won", "PreconditionFailed"}
    assert set(items) == {"won", "ConditionalCheckFailedException"}


def others_are_served(aws: Aws) -> bool:
    return bool(aws.s3.head_bucket(Bucket=aws.settings.landing_bucket))


def test_a_long_poll_waits_without_holding_up_others(aws: Aws) -> None:
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        polled = pool.submit(receive, aws, 20)
        # So long that the poll is certainly waiting when the object arrives.
        until(lambda: others_are_served(aws) and time.monotonic() > began + 1)
        aws.s3.put_object(Bucket=aws.settings.landing_bucket, Key="events/a", Body=b"x")
        assert len(polled.result(timeout=15)) == 1
    assert time.monotonic() - began < 10


def test_a_long_poll_of_an_empty_queue_takes_its_time(aws: Aws) -> None:
    began = time.monotonic()
    assert receive(aws, 1) == []
    assert time.monotonic() - began >= 0.9


def test_provisioning_is_safe_to_repeat_and_to_run_at_once(settings: Settings) -> None:
    table = TableKeys(f"{settings.serving_prefix}summary", "event_date", "event_type")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: provision(Aws(settings), [table]), range(4)))
    aws = Aws(settings)
    aws.s3.put_object(Bucket=settings.landing_bucket, Key="events/a", Body=b"x")
    provision(aws, [table])
    bodies = receive(aws)
    assert [json.loads(body)["Records"][0]["s3"]["object"]["key"] for body in bodies] == [
        "events%2Fa"
    ]
    schema = aws.dynamodb.describe_table(TableName=table.name)["Table"]["KeySchema"]
    assert [key["AttributeName"] for key in schema] == ["event_date", "event_type"]


def test_the_queues_have_their_limits_and_policy(aws: Aws) -> None:
    found = aws.sqs.get_queue_attributes(QueueUrl=queue_url(aws), AttributeNames=["All"])
    attributes = found["Attributes"]
    assert attributes["VisibilityTimeout"] == "60"
    assert int(json.loads(attributes["RedrivePolicy"])["maxReceiveCount"]) == 10
    policy = json.loads(attributes["Policy"])["Statement"][0]
    assert policy["Principal"] == {"Service": "s3.amazonaws.com"}
    assert policy["Condition"]["ArnEquals"]["aws:SourceArn"].endswith(aws.settings.landing_bucket)
    url = aws.sqs.get_queue_url(QueueName=aws.settings.landing_dead_letter_queue)["QueueUrl"]
    dead = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert dead["MessageRetentionPeriod"] == str(14 * 24 * 3600)


def test_a_table_with_other_keys_is_refused(aws: Aws) -> None:
    name = f"{aws.settings.serving_prefix}t"
    provision(aws, [TableKeys(name, "a")])
    with pytest.raises(LocalAwsError, match=f"{name}.*landfall reset"):
        provision(aws, [TableKeys(name, "b", "c")])


def test_a_real_account_is_not_provisioned_here(settings: Settings) -> None:
    real = settings.model_copy(update={"env": Environment.AWS})
    with pytest.raises(ConfigurationError, match="Against AWS"):
        provision(Aws(real), ())


def test_another_emulator_is_provisioned_as_well(
    settings: Settings, new_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = new_port()
    program = [sys.executable, "-m", "moto.server", "-p", str(port)]
    server = subprocess.Popen(  # noqa: S603  # a fixed program
        program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    try:
        until(lambda: control._port_taken(port))
        aws = Aws(settings)
        provision(aws, ())
        provision(aws, ())
        aws.s3.put_object(Bucket=settings.landing_bucket, Key="events/a", Body=b"x")
        assert len(receive(aws)) == 1
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def test_an_upload_of_no_bytes_that_expects_to_be_told_to_go_on_is_answered(aws: Aws) -> None:
    # boto3 sends `Expect: 100-continue` with every put of a file, of whatever length.
    aws.s3.put_object(Bucket=aws.settings.landing_bucket, Key="events/empty", Body=io.BytesIO())
    head = aws.s3.head_object(Bucket=aws.settings.landing_bucket, Key="events/empty")
    assert head["ContentLength"] == 0
