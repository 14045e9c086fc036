"""Frames through real materializations into the lake and back, by annotation."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import dagster as dg
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from pipeline_assets.errors import (
    ConfigurationError,
    PartitionMissingError,
    PartitionsNotGivenError,
    StaleWriteError,
    TableMissingError,
    UnexpectedPartitionError,
    UnsupportedFrameError,
)
from resources import lake as lake_module
from resources.aws import Aws
from resources.frames import FrameKind, from_arrow, to_arrow
from resources.lake import Lake, TableName
from resources.parquet import TableWriter, canonical, encode
from resources.s3_parquet import Replacement, S3ParquetIOManager

pytestmark = pytest.mark.filterwarnings(
    "ignore:Parameter `backfill_policy` .* is currently in beta"
)

DATES = dg.DailyPartitionsDefinition("2025-01-01", end_date="2025-01-11")
EVENTS = dg.AssetKey(["silver", "events"])
EVENTS_TABLE = TableName("silver", "events")
FIRST, SECOND, THIRD = "2025-01-01", "2025-01-02", "2025-01-03"
FRAMES = (pl.DataFrame, pl.LazyFrame, pd.DataFrame, pa.Table)
MOMENT = datetime(2025, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
ROWS = pl.DataFrame(
    {
        "name": ["ann", None, "böb"],
        "clicks": pl.Series([1, 2**60 + 1, None], dtype=pl.Int64),
        "small": pl.Series([1, 2, 3], dtype=pl.Int32),
        "share": [0.1, None, 2.0],
        "good": [True, False, None],
        "at": [MOMENT, None, MOMENT],
        "day": [date(2025, 1, 2), None, date(2025, 1, 3)],
        "price": [Decimal("1.50"), None, Decimal("2.25")],
        "tags": [["a"], [], None],
        "counts": [[2**60 + 1, None], [], None],
        "place": [{"x": 2**60 + 1, "y": "a"}, None, {"x": 2, "y": None}],
        "raw": [b"1", None, b"\xff"],
    }
)


def dates_of(lake: Lake) -> list[str]:
    """Of the dates that a test may write, those that are stored."""
    return [day for day in (FIRST, SECOND, THIRD) if lake.stat(EVENTS_TABLE, day)]


def digest_of(table: pa.Table) -> str:
    encoded = encode(table)
    with encoded.body:
        return encoded.digest


@pytest.fixture
def lake(aws: Aws) -> Lake:
    return Lake(aws)


def producer(value: object, *, key: dg.AssetKey = EVENTS) -> dg.AssetsDefinition:
    @dg.asset(
        key=key,
        partitions_def=DATES,
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_key="tables",
    )
    def events() -> Any:
        return value

    return events


def consumer(annotation: object, seen: list[Any]) -> dg.AssetsDefinition:
    def summary(events: Any) -> None:
        seen.append(events)

    summary.__annotations__["events"] = annotation
    return dg.asset(
        key=["gold", "summary"],
        ins={"events": dg.AssetIn(EVENTS)},
        partitions_def=DATES,
        backfill_policy=dg.BackfillPolicy.single_run(),
        io_manager_key="tables",
    )(summary)


def run(
    lake: Lake, assets: list[dg.AssetsDefinition], *, dates: tuple[str, str] | None = (FIRST, FIRST)
) -> dg.ExecuteInProcessResult:
    """Materialize the last asset; its upstream ones are only there to be loaded."""
    tags = {}
    if dates:
        tags = {
            "dagster/asset_partition_range_start": dates[0],
            "dagster/asset_partition_range_end": dates[1],
        }
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            assets,
            selection=[assets[-1]],
            instance=instance,
            resources={"tables": S3ParquetIOManager(lambda: lake)},
            partition_key=dates[0] if dates and dates[0] == dates[1] else None,
            tags=tags if dates and dates[0] != dates[1] else None,
        )


def load(lake: Lake, annotation: object, *, dates: tuple[str, str] = (FIRST, FIRST)) -> Any:
    seen: list[Any] = []
    run(lake, [producer(None), consumer(annotation, seen)], dates=dates)
    return seen[0]


def facts(result: dg.ExecuteInProcessResult) -> dict[str | None, dict[str, Any]]:
    """Metadata of each partition's materialization."""
    events = [event.materialization for event in result.get_asset_materialization_events()]
    return {m.partition: {k: v.value for k, v in m.metadata.items()} for m in events}


def write(lake: Lake, value: object, *, dates: tuple[str, str] = (FIRST, FIRST)) -> dict[Any, Any]:
    return facts(run(lake, [producer(value)], dates=dates))


@pytest.mark.parametrize("kind", FRAMES)
def test_every_frame_type_stores_the_same_content(lake: Lake, kind: type) -> None:
    write(lake, from_arrow(to_arrow("it", ROWS), FrameKind(kind)))
    stored = lake.stat(EVENTS_TABLE, FIRST)
    assert stored is not None
    assert stored.digest == digest_of(ROWS.to_arrow())
    assert lake.read(EVENTS_TABLE, FIRST).to_pylist() == ROWS.to_arrow().to_pylist()


@pytest.mark.parametrize("kind", FRAMES)
def test_an_annotation_gets_its_frame_with_nothing_lost(lake: Lake, kind: type) -> None:
    write(lake, ROWS)
    frame = load(lake, kind)
    assert type(frame) is kind
    assert digest_of(to_arrow("it", frame)) == digest_of(ROWS.to_arrow())


def test_an_asset_without_annotation_gets_a_polars_frame(lake: Lake) -> None:
    write(lake, ROWS)
    assert load(lake, Any).equals(ROWS)


def test_a_lazy_frame_does_not_read_what_the_query_leaves_out(lake: Lake) -> None:
    write(lake, ROWS)
    query = load(lake, pl.LazyFrame).filter(pl.col("small") > 1).select("small")
    assert "PROJECT 1/12 COLUMNS" in query.explain()
    assert query.collect()["small"].to_list() == [2, 3]


@pytest.mark.parametrize("most_in_memory", [0, 1 << 20])
def test_a_lazy_frame_is_of_the_version_that_stood_when_it_was_loaded(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, most_in_memory: int
) -> None:
    monkeypatch.setattr(lake_module, "SPOOLED_BYTES", most_in_memory)
    write(lake, ROWS)
    query = load(lake, pl.LazyFrame)
    write(lake, ROWS.head(1))

    assert digest_of(to_arrow("it", query)) == digest_of(ROWS.to_arrow())
    assert query.select("small").collect(engine="streaming")["small"].to_list() == [1, 2, 3]


def test_a_table_that_comes_encoded_is_stored_as_it_is(lake: Lake) -> None:
    table = canonical(ROWS.to_arrow())
    writer = TableWriter(table.schema)
    for row in range(table.num_rows):  # whoever encodes it anew makes one row group of them
        writer.write(table.slice(row, 1))
    encoded = writer.finish(version=4)
    given = encoded.body.read()
    said = write(lake, Replacement(encoded, version=4, expected=None))[FIRST]
    stored = lake.stat(EVENTS_TABLE, FIRST)
    assert stored is not None
    body = lake.aws.s3.get_object(Bucket=lake.aws.settings.lake_bucket, Key=stored.key)["Body"]
    assert body.read() == given
    assert (said["rows"], said["version"], said["digest"]) == (3, 4, encoded.digest)
    assert encoded.body.closed


def test_a_materialization_says_what_was_stored(lake: Lake) -> None:
    said = write(lake, Replacement(ROWS, version=4, expected=None))[FIRST]
    stored = lake.stat(EVENTS_TABLE, FIRST)
    assert stored is not None
    assert said == {
        "event_date": FIRST,
        "rows": 3,
        "version": 4,
        "digest": stored.digest,
        "uri": f"s3://{lake.aws.settings.lake_bucket}/{stored.key}",
        "written": True,
    }
    again = write(lake, Replacement(ROWS, version=4, expected=stored.etag))[FIRST]
    assert again == said | {"written": False}


def test_a_replacement_of_something_else_than_was_read_fails(lake: Lake) -> None:
    write(lake, ROWS)
    with pytest.raises(StaleWriteError, match="silver/events"):
        write(lake, Replacement(ROWS.head(1), version=2, expected=None))
    assert lake.read(EVENTS_TABLE, FIRST).num_rows == 3


def test_a_range_stores_one_frame_for_each_date_with_its_own_facts(lake: Lake) -> None:
    frames = {SECOND: Replacement(ROWS.head(2), version=8), FIRST: ROWS.head(1), THIRD: None}
    said = write(lake, frames, dates=(FIRST, THIRD))
    assert dates_of(lake) == [FIRST, SECOND]
    assert said[FIRST]["rows"] == 1
    assert (said[SECOND]["rows"], said[SECOND]["version"]) == (2, 8)
    assert "rows" not in said[THIRD]


def test_one_frame_for_a_range_is_refused_with_the_mend(lake: Lake) -> None:
    with pytest.raises(PartitionsNotGivenError, match=r"3 partitions .* return a mapping"):
        write(lake, ROWS, dates=(FIRST, THIRD))
    assert dates_of(lake) == []


def test_a_date_outside_the_run_is_refused_before_anything_is_written(lake: Lake) -> None:
    with pytest.raises(UnexpectedPartitionError, match=f"{THIRD}, but this run covers {FIRST}"):
        write(lake, {FIRST: ROWS, THIRD: ROWS}, dates=(FIRST, SECOND))
    assert dates_of(lake) == []


def test_one_stale_date_does_not_keep_its_neighbours_from_being_written(lake: Lake) -> None:
    lake.replace(EVENTS_TABLE, FIRST, ROWS.to_arrow(), version=9, expected=None)
    frames = {FIRST: Replacement(ROWS.head(1), version=8), SECOND: Replacement(ROWS, version=8)}
    with pytest.raises(StaleWriteError):
        write(lake, frames, dates=(FIRST, SECOND))
    assert lake.read(EVENTS_TABLE, FIRST).num_rows == 3
    assert lake.read(EVENTS_TABLE, SECOND).num_rows == 3


@pytest.mark.parametrize("kind", FRAMES)
def test_a_mapping_annotation_gets_one_frame_for_each_stored_date(lake: Lake, kind: type) -> None:
    write(lake, {FIRST: ROWS, THIRD: ROWS.head(1)}, dates=(FIRST, THIRD))
    for annotation in (dict[str, kind], Mapping[str, kind]):  # type: ignore[valid-type]
        frames = load(lake, annotation, dates=(FIRST, THIRD))
        assert list(frames) == [FIRST, THIRD]
        assert {type(frame) for frame in frames.values()} == {kind}
        assert to_arrow("it", frames[THIRD]).num_rows == 1


@pytest.mark.parametrize("kind", FRAMES)
def test_a_frame_annotation_gets_a_range_in_date_order(lake: Lake, kind: type) -> None:
    days = (FIRST, SECOND, THIRD)
    frames = {day: pl.DataFrame({"day": [day], "n": [2**60 + 1]}) for day in reversed(days)}
    # A column that came later is null in the dates before it.
    frames[SECOND] = frames[SECOND].with_columns(late=pl.lit("x"))
    write(lake, frames, dates=(FIRST, THIRD))
    table = to_arrow("it", load(lake, kind, dates=(FIRST, THIRD)))
    assert table["day"].to_pylist() == list(days)
    assert table["n"].to_pylist() == [2**60 + 1] * 3
    assert table["late"].to_pylist() == [None, "x", None]


@pytest.mark.parametrize("kind", FRAMES)
def test_a_missing_date_is_named(lake: Lake, kind: type) -> None:
    with pytest.raises(PartitionMissingError, match=f"silver/events has no partition {FIRST}"):
        load(lake, kind)
    assert load(lake, dict[str, kind]) == {}  # type: ignore[valid-type]
    assert load(lake, kind | None) is None


def test_something_that_is_no_frame_is_refused(lake: Lake) -> None:
    with pytest.raises(UnsupportedFrameError, match=r"silver/events .* Python objects in odd"):
        write(lake, pl.DataFrame({"odd": [object()]}))
    with pytest.raises(UnsupportedFrameError, match="silver/events returned a list"):
        write(lake, [1, 2])


def test_an_asset_key_that_is_no_layer_and_table_is_refused(lake: Lake) -> None:
    with pytest.raises(ConfigurationError, match=r"events .* two parts"):
        run(lake, [producer(ROWS, key=dg.AssetKey("events"))])


def test_an_unpartitioned_asset_has_one_object(lake: Lake) -> None:
    @dg.asset(key=EVENTS, io_manager_key="tables")
    def events() -> pl.DataFrame:
        return ROWS

    seen: list[pa.Table] = []

    @dg.asset(key=["gold", "all"], ins={"events": dg.AssetIn(EVENTS)}, io_manager_key="tables")
    def everything(events: pa.Table) -> None:
        seen.append(events)

    with pytest.raises(TableMissingError, match="silver/events was never written"):
        run(lake, [events, everything], dates=None)
    said = facts(run(lake, [events], dates=None))[None]
    run(lake, [events, everything], dates=None)
    assert said["uri"].endswith("/silver/events/part-0.parquet")
    assert seen[0].to_pylist() == ROWS.to_arrow().to_pylist()


def test_the_io_manager_opens_nothing_when_it_is_made() -> None:
    def fail() -> Lake:
        raise AssertionError

    assert S3ParquetIOManager(fail)
