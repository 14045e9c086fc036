"""Partitions of the lake: what is written, what is refused, what the digest follows."""

import gc
import io
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from urllib3 import HTTPResponse

from pipeline_assets.errors import (
    ForeignObjectError,
    FragmentMissingError,
    NotProvisionedError,
    PartitionMissingError,
    PartitionTooLargeError,
    StaleWriteError,
    TableMissingError,
)
from resources import lake as lake_module
from resources.aws import Aws
from resources.lake import UNREAD, Lake, TableName
from resources.parquet import encode

EVENTS = TableName("silver", "events")
DATE = "2025-01-02"
ROWS = pa.table({"user": ["ann", None, "bob"], "clicks": [1, 2, None]})
OTHER_ROWS = pa.table({"user": ["eve"], "clicks": [9]})


@pytest.fixture
def lake(aws: Aws) -> Lake:
    return Lake(aws, sleep=lambda _: None)


@contextmanager
def before_each(aws: Aws, operation: str, act: Callable[..., AWSResponse | None]) -> Iterator[None]:
    """Run ``act`` instead of sending a request; ``None`` sends it after all."""
    event = f"before-send.s3.{operation}"
    aws.s3.meta.events.register(event, act)  # type: ignore[arg-type]  # stubs: no answers
    try:
        yield
    finally:
        aws.s3.meta.events.unregister(event, act)  # type: ignore[arg-type]  # stubs: no answers


def answer(status: int, code: str) -> AWSResponse:
    body = f"<Error><Code>{code}</Code><Message>said the test</Message></Error>".encode()
    raw = HTTPResponse(io.BytesIO(body), preload_content=False)
    return AWSResponse("http://s3", status, HTTPHeaders(), raw)


def body_of(lake: Lake, key: str) -> bytes:
    stored = lake.aws.s3.get_object(Bucket=lake.aws.settings.lake_bucket, Key=key)
    return stored["Body"].read()


def test_a_partition_that_was_never_written_has_no_stat(lake: Lake) -> None:
    assert lake.stat(EVENTS, DATE) is None


def test_a_partition_reads_back_as_it_was_written(lake: Lake) -> None:
    done = lake.replace(EVENTS, DATE, ROWS, version=1, expected=None)
    assert done.written
    assert lake.read(EVENTS, DATE).to_pylist() == ROWS.to_pylist()
    assert lake.stat(EVENTS, DATE) == done.stored
    assert (done.stored.version, done.stored.rows) == (1, 3)
    assert done.stored.key == "silver/events/event_date=2025-01-02/part-0.parquet"


def test_version_and_digest_stand_in_the_footer(lake: Lake) -> None:
    stored = lake.replace(EVENTS, DATE, ROWS, version=7, expected=None).stored
    metadata = pq.ParquetFile(pa.BufferReader(body_of(lake, stored.key))).metadata.metadata
    assert metadata[b"landfall-version"] == b"7"
    assert metadata[b"landfall-digest"] == stored.digest.encode()


def test_the_same_content_at_the_same_version_is_not_written_again(lake: Lake) -> None:
    first = lake.replace(EVENTS, DATE, ROWS, version=1, expected=UNREAD)
    puts: list[object] = []
    with before_each(lake.aws, "PutObject", lambda **_: puts.append(1)):
        again = lake.replace(EVENTS, DATE, ROWS, version=1, expected=first.stored.etag)
    assert not again.written
    assert again.stored == first.stored
    assert puts == []


def test_the_same_rows_at_a_later_version_are_other_bytes_with_one_digest(lake: Lake) -> None:
    first = lake.replace(EVENTS, DATE, ROWS, version=1, expected=None).stored
    second = lake.replace(EVENTS, DATE, ROWS, version=2, expected=first.etag)
    assert second.written
    assert second.stored.digest == first.digest
    assert second.stored.etag != first.etag


def test_an_earlier_version_never_replaces_a_later_one(lake: Lake) -> None:
    lake.replace(EVENTS, DATE, ROWS, version=5, expected=None)
    with pytest.raises(StaleWriteError, match="silver/events/event_date=2025-01-02"):
        lake.replace(EVENTS, DATE, OTHER_ROWS, version=4, expected=UNREAD)
    assert lake.read(EVENTS, DATE).num_rows == 3


@pytest.mark.parametrize("expected", [None, '"0123456789abcdef0123456789abcdef"'])
def test_a_writer_that_read_something_else_is_refused(lake: Lake, expected: str | None) -> None:
    lake.replace(EVENTS, DATE, ROWS, version=1, expected=None)
    with pytest.raises(StaleWriteError):
        lake.replace(EVENTS, DATE, OTHER_ROWS, version=2, expected=expected)
    assert lake.read(EVENTS, DATE).num_rows == 3


@pytest.mark.parametrize("stands", [True, False])
def test_a_writer_that_comes_between_reading_and_writing_wins(lake: Lake, *, stands: bool) -> None:
    if stands:
        lake.replace(EVENTS, DATE, ROWS, version=1, expected=None)
    rival = Lake(Aws(lake.aws.settings))

    def overtake(**_: object) -> None:
        rival.replace(EVENTS, DATE, OTHER_ROWS, version=2, expected=UNREAD)

    with before_each(lake.aws, "PutObject", overtake), pytest.raises(StaleWriteError):
        lake.replace(EVENTS, DATE, ROWS, version=3, expected=UNREAD)
    assert lake.read(EVENTS, DATE).to_pylist() == OTHER_ROWS.to_pylist()


def test_an_object_that_vanishes_under_the_writer_is_a_stale_write(lake: Lake) -> None:
    stored = lake.replace(EVENTS, DATE, ROWS, version=1, expected=None).stored
    rival = Aws(lake.aws.settings).s3

    def remove(**_: object) -> None:
        rival.delete_object(Bucket=lake.aws.settings.lake_bucket, Key=stored.key)

    with before_each(lake.aws, "PutObject", remove), pytest.raises(StaleWriteError):
        lake.replace(EVENTS, DATE, OTHER_ROWS, version=2, expected=stored.etag)
    assert lake.stat(EVENTS, DATE) is None


def test_of_many_writers_at_once_exactly_one_wins(lake: Lake) -> None:
    start = threading.Barrier(6)

    def write(number: int) -> bool:
        start.wait(timeout=30)
        rows = pa.table({"writer": [number]})
        try:
            return lake.replace(EVENTS, DATE, rows, version=1, expected=None).written
        except StaleWriteError:
            return False

    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(write, range(6)))
    assert won.count(True) == 1
    assert lake.read(EVENTS, DATE)["writer"].to_pylist() == [won.index(True)]


def test_a_put_whose_answer_was_lost_counts_as_written(lake: Lake) -> None:
    twin = Lake(Aws(lake.aws.settings))

    def arrive_without_answer(**_: object) -> None:
        twin.replace(EVENTS, DATE, ROWS, version=1, expected=None)

    with before_each(lake.aws, "PutObject", arrive_without_answer):
        done = lake.replace(EVENTS, DATE, ROWS, version=1, expected=None)
    assert done.stored == lake.stat(EVENTS, DATE)


def test_a_conditional_conflict_is_tried_again(lake: Lake) -> None:
    conflicts = [409, 409]

    def conflict(**_: object) -> AWSResponse | None:
        return answer(conflicts.pop(), "ConditionalRequestConflict") if conflicts else None

    with before_each(lake.aws, "PutObject", conflict):
        assert lake.replace(EVENTS, DATE, ROWS, version=1, expected=None).written
    assert lake.read(EVENTS, DATE).num_rows == 3


def test_conflicts_without_end_are_a_stale_write(aws: Aws) -> None:
    waits: list[float] = []
    lake = Lake(aws, sleep=waits.append)
    conflict = answer(409, "ConditionalRequestConflict")
    with (
        before_each(aws, "PutObject", lambda **_: conflict),
        pytest.raises(StaleWriteError),
    ):
        lake.replace(EVENTS, DATE, ROWS, version=1, expected=None)
    assert len(waits) == lake_module.CONFLICT_ATTEMPTS


def test_a_partition_over_the_limit_of_one_put_is_named(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_module, "MAX_PUT_BYTES", 100)
    with pytest.raises(PartitionTooLargeError, match=r"silver/events.*at most 100 "):
        lake.replace(EVENTS, DATE, ROWS, version=1, expected=None)
    assert lake.stat(EVENTS, DATE) is None


def test_an_object_of_another_program_is_not_taken_for_a_table(lake: Lake) -> None:
    key = lake.key(EVENTS, DATE)
    lake.aws.s3.put_object(Bucket=lake.aws.settings.lake_bucket, Key=key, Body=b"?")
    with pytest.raises(ForeignObjectError, match="silver/events"):
        lake.replace(EVENTS, DATE, ROWS, version=1, expected=UNREAD)
    with pytest.raises(ForeignObjectError, match="silver/events"):
        lake.read_stored(EVENTS, DATE)


def test_reading_what_is_missing_names_it(lake: Lake) -> None:
    with pytest.raises(PartitionMissingError, match="silver/events has no partition 2025-01-02"):
        lake.read(EVENTS, DATE)
    with pytest.raises(TableMissingError, match="silver/events was never written"):
        lake.read(EVENTS, None)
    with pytest.raises(FragmentMissingError, match=r"bronze/events/x\.parquet"):
        lake.read_fragment("bronze/events/x.parquet")
    assert lake.read_key("bronze/events/x.parquet") is None


def test_a_bucket_that_does_not_exist_is_not_taken_for_a_lost_race(aws: Aws) -> None:
    elsewhere = Aws(aws.settings.model_copy(update={"lake_bucket": "no-such-lake"}))
    with pytest.raises(NotProvisionedError, match="no-such-lake"):
        Lake(elsewhere).replace(EVENTS, DATE, ROWS, version=1, expected=UNREAD)


def test_an_emptied_partition_keeps_its_schema(lake: Lake) -> None:
    lake.replace(EVENTS, DATE, ROWS.slice(0, 0), version=1, expected=None)
    stored = lake.read(EVENTS, DATE)
    assert stored.num_rows == 0
    assert stored.column_names == ["user", "clicks"]


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_large_partition_is_written_without_leaving_a_file_open(lake: Lake) -> None:
    noise = pa.table({"noise": [os.urandom(1000) for _ in range(10_000)]})
    assert lake.replace(EVENTS, DATE, noise, version=1, expected=None).written
    assert not lake.replace(EVENTS, DATE, noise, version=1, expected=UNREAD).written
    gc.collect()
    assert lake.read(EVENTS, DATE).to_pylist() == noise.to_pylist()


def test_a_fragment_written_twice_is_the_same_bytes(lake: Lake) -> None:
    key = "bronze/events/event_date=2025-01-02/f-1.parquet"
    bodies = []
    for table in (ROWS, pa.concat_tables([ROWS.slice(0, 1), ROWS.slice(1)])):
        fragment = encode(table)
        with fragment.body:
            lake.put_fragment(key, fragment)
        bodies.append(body_of(lake, key))
    assert bodies[0] == bodies[1]
    assert lake.read_fragment(key).to_pylist() == ROWS.to_pylist()
