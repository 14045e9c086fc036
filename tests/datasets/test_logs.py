"""What the logs dataset makes of received text, which keys it takes, and the table it derives."""

import gzip
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.contract import validate
from pipeline_assets.datasets.logs import DATASET, LEVELS, conform
from pipeline_assets.errors import DatasetDeclarationError, UnsupportedFormatError
from pipeline_assets.parsing.content import Content
from pipeline_assets.parsing.detection import detect_format, refuse_other_suffixes
from pipeline_assets.parsing.formats import Format
from pipeline_assets.refine import RefinedDate, refine

DAY = date(2024, 5, 28)
GOLD = DATASET.gold[0]

Line = Mapping[str, str | None]
LINE: Line = {"timestamp": "2024-05-28T10:00:00.250Z", "level": "INFO", "message": "started"}


def refined(*lines: Line) -> RefinedDate:
    text = ("_raw", "_error", *DATASET.fields, "_rescued")
    rows = [{name: line.get(name) for name in text} for line in lines]
    bronze = pl.DataFrame(rows, schema=dict.fromkeys(text, pl.String)).with_columns(
        _file_id=pl.lit("file"), _row=pl.int_range(1, pl.len() + 1)
    )
    return refine(bronze, DATASET, event_date=DAY, landing_keys={"file": "logs/app.log"})


def kept(name: str, *values: str | None) -> list[object]:
    return refined(*({**LINE, name: value} for value in values)).silver[name].to_list()


def reasons(*lines: Line) -> list[str]:
    return refined(*lines).quarantine["reasons"].to_list()


@pytest.mark.parametrize(
    ("text", "level"),
    [
        (" info\t", "INFO"),
        ("Warn", "WARN"),
        ("WARNING", "WARN"),
        ("warning ", "WARN"),
        ("err", "ERROR"),
        ("Severe", "ERROR"),
        ("critical", "FATAL"),
        ("Information", "INFO"),
        ("finer", "DEBUG"),
        *((level, level) for level in LEVELS),
    ],
)
def test_levels_are_known_by_their_synonyms_in_any_case(text: str, level: str) -> None:
    assert kept("level", text) == [level]


@pytest.mark.parametrize("level", ["LOUD", "40", "INFO WARN", "W", "null"])
def test_a_line_of_an_unknown_level_is_invalid(level: str) -> None:
    assert reasons({**LINE, "level": level}) == ["level_isin"]


@pytest.mark.parametrize("name", ["timestamp", "level", "message"])
@pytest.mark.parametrize("value", [None, "", " \t"])
def test_a_line_without_a_required_field_is_invalid(name: str, value: str | None) -> None:
    assert reasons({**LINE, name: value}) == [f"{name}_required"]


def test_an_unreadable_time_is_said_to_be_one() -> None:
    assert reasons({**LINE, "timestamp": "1716890400"}) == ["timestamp_readable"]


def test_times_of_loggers_are_read_as_utc() -> None:
    times = kept("timestamp", "2024-05-28 10:00:00,250", "2024-05-28T12:00:00.25+02:00")

    assert times == [datetime(2024, 5, 28, 10, 0, 0, 250_000, tzinfo=UTC)] * 2


def test_a_message_is_kept_as_it_was_received() -> None:
    message = "  at kafka.Server(Server.scala:1)\n\tat java.Thread.run "

    assert kept("message", message) == [message]


def test_optional_fields_may_be_absent_or_blank() -> None:
    row = refined({**LINE, "service": " ", "traceId": " 4bf9 "}).silver.row(0, named=True)

    assert (row["service"], row["trace_id"], row["logger"]) == (None, "4bf9", None)


def test_lines_that_say_the_same_are_all_kept_in_the_order_of_their_file() -> None:
    early = {**LINE, "timestamp": "2024-05-28T09:00:00Z"}

    result = refined(LINE, LINE, early, LINE)

    assert result.silver["_row"].to_list() == [3, 1, 2, 4]
    assert result.duplicates == 0
    assert result.conserved


def test_a_dataset_that_keeps_every_row_has_no_identity() -> None:
    with pytest.raises(DatasetDeclarationError, match="identity would decide nothing"):
        replace(DATASET, identity=(("timestamp", "message"),))


@pytest.mark.parametrize("suffix", ["log", ".LOG", "*.log", "."])
def test_a_suffix_that_no_key_could_have_is_refused(suffix: str) -> None:
    with pytest.raises(DatasetDeclarationError, match="does not match"):
        replace(DATASET, suffixes=(suffix,))


@pytest.mark.parametrize("suffix", DATASET.suffixes)
@pytest.mark.parametrize("packed", ["", ".gz", ".zst", ".bz2", ".GZ"])
def test_keys_of_logs_may_be_compressed(suffix: str, packed: str) -> None:
    refuse_other_suffixes(f"logs/dt=2024-05-28/app{suffix}{packed}", DATASET.suffixes)
    refuse_other_suffixes(f"logs/APP{suffix.upper()}{packed}", DATASET.suffixes)


@pytest.mark.parametrize(
    ("key", "ending"),
    [
        ("logs/app.csv", "ends in '.csv'"),
        ("logs/app.log.CSV.gz", "ends in '.CSV.gz'"),
        ("logs/app.log.1", "ends in '.1'"),
        ("logs/app.log.gz.zst", "ends in '.gz.zst'"),
        ("logs/app.gz", "ends in '.gz'"),
        ("logs/applog", "has no suffix"),
        ("logs/app.log/part-0", "has no suffix"),
    ],
)
def test_other_keys_are_refused_for_good_with_the_suffixes_that_are_taken(
    key: str, ending: str
) -> None:
    with pytest.raises(
        UnsupportedFormatError, match=rf"^{key}: its key {ending}.*\.log, \.json, \.jsonl"
    ) as refused:
        refuse_other_suffixes(key, DATASET.suffixes)
    assert not refused.value.retryable


def test_a_dataset_that_names_no_suffix_takes_any_key() -> None:
    refuse_other_suffixes("events/clicks-1", ())


@pytest.mark.parametrize(
    "text", [b"Starting Kafka\n{}\n", b"[2024-05-28 10:00:00] INFO up\n", b"\tat x\n", b"", b"\n"]
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_log_may_begin_with_raw_text(tmp_path: Path, text: bytes, *, packed: bool) -> None:
    path = tmp_path / "object"
    path.write_bytes(gzip.compress(text) if packed else text)
    key = "logs/app.log.gz" if packed else "logs/app.log"

    assert detect_format(Content(path, key), DATASET.formats) is Format.JSON


def test_a_log_is_read_as_csv_where_a_dataset_takes_that(tmp_path: Path) -> None:
    path = tmp_path / "object"
    path.write_bytes(b"a,b\n")

    assert detect_format(Content(path, "events/app.log"), frozenset(Format)) is Format.CSV


@pytest.mark.parametrize(
    ("data", "formats"), [(b"\0\1binary", DATASET.formats), (b"text\n", {Format.PARQUET})]
)
def test_a_log_that_cannot_be_text_is_refused(
    tmp_path: Path, data: bytes, formats: set[Format]
) -> None:
    path = tmp_path / "object"
    path.write_bytes(data)

    with pytest.raises(UnsupportedFormatError, match="its format cannot be told"):
        detect_format(Content(path, "logs/app.log"), frozenset(formats))


def table(*lines: Line) -> pl.DataFrame:
    fields = dict.fromkeys(DATASET.fields, pl.String)
    rows = [{name: {**LINE, **line}.get(name) for name in fields} for line in lines]
    silver = conform(pl.LazyFrame(rows, schema=fields)).with_columns(event_date=pl.lit(DAY))
    built = GOLD.build(silver).collect()
    validate(built, GOLD.contract(), table=GOLD.name)
    return built


def test_the_error_rate_is_counted_by_hour_and_service() -> None:
    built = table(
        {"service": "b", "level": "ERROR"},
        {"service": "a", "level": "warning"},
        {"service": "a", "level": "FATAL", "timestamp": "2024-05-28T10:59:59.999999Z"},
        {"service": "a", "level": "ERROR", "timestamp": "2024-05-28T11:00:00Z"},
        {"service": "a"},
        {"service": "a", "level": "debug"},
        {"service": None},
        {"service": " "},
    )

    ten, eleven = (datetime(2024, 5, 28, hour, tzinfo=UTC) for hour in (10, 11))
    assert built.rows() == [
        (DAY, ten, None, 2, 0, 0, 0.0),
        (DAY, ten, "a", 4, 1, 1, 0.25),
        (DAY, ten, "b", 1, 0, 1, 1.0),
        (DAY, eleven, "a", 1, 0, 1, 1.0),
    ]
