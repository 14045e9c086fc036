"""Writers that come late to a silver partition: what another one wrote meanwhile stands."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import polars as pl
import pytest
from scenario import DAYS, LAYERS, Pipeline, events, json_lines, open_pipeline

from pipeline_assets.errors import StaleWriteError
from resources.aws import Aws
from resources.lake import UNREAD, Lake, TableName

SILVER = TableName("silver", "events")
DAY = DAYS[0]

pytestmark = [pytest.mark.usefixtures("local_aws"), pytest.mark.timeout(300)]


@contextmanager
def just_before(aws: Aws, operation: str, act: Callable[[], object]) -> Iterator[None]:
    """Let another process act just before the next S3 call of a kind."""
    events, name = aws.s3.meta.events, f"before-call.s3.{operation}"

    def once(**_: object) -> None:
        events.unregister(name, once)
        act()

    events.register(name, once)
    try:
        yield
    finally:
        events.unregister(name, once)


def table(number: int) -> object:
    return pl.DataFrame({"number": [number]}).to_arrow()


def test_a_writer_that_slept_over_two_replacements_is_refused_though_equal_bytes_stand_there(
    aws: Aws,
) -> None:
    lake, rival = Lake(aws), Lake(Aws(aws.settings))
    read = lake.replace(SILVER, DAY, table(1), version=1, expected=None).stored.etag

    def there_and_back() -> None:
        rival.replace(SILVER, DAY, table(2), version=2, expected=UNREAD)
        rival.replace(SILVER, DAY, table(1), version=3, expected=UNREAD)

    with just_before(aws, "PutObject", there_and_back), pytest.raises(StaleWriteError):
        lake.replace(SILVER, DAY, table(9), version=2, expected=read)

    stored = rival.stat(SILVER, DAY)
    assert stored is not None
    assert stored.version == 3
    assert rival.read(SILVER, DAY) == table(1)


def test_a_refresh_that_another_one_overtook_after_it_had_read_replaces_nothing() -> None:
    with open_pipeline() as pipeline:
        pipeline.land(f"events/dt={DAY}/a.jsonl", json_lines(events(DAY, range(5))))
        pipeline.work()
        before, version = pipeline.content(), pipeline.date(DAY).version
        rival = Lake(Aws(pipeline.landfall.settings))

        def overtake() -> None:
            rows = rival.read(SILVER, DAY)
            rival.replace(SILVER, DAY, rows.slice(0, 2), version=version, expected=UNREAD)

        with just_before(pipeline.landfall.aws, "GetObject", overtake):
            ran = pipeline.materialize([LAYERS[1], ("quarantine", "events")], DAY)

        assert not ran.success
        assert len(pipeline.silver(DAY)) == 2, "what the other wrote stands"
        assert_repaired(pipeline)
        assert pipeline.content() == before


def assert_repaired(pipeline: Pipeline) -> None:
    """The date was left dirty, and is refreshed by the next ticks."""
    assert list(pipeline.dirty()) == [DAY]
    pipeline.work()
    assert not pipeline.dirty()
