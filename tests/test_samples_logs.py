"""Sample logs: raw lines, late lines, words for levels, three ways to be compressed."""

import gzip
import json
from datetime import UTC, date, datetime
from typing import Final

import pyarrow as pa

from pipeline_assets.demo.expectation import Plan
from pipeline_assets.demo.log_samples import (
    ERRORS,
    LEVELS,
    STACK_TRACE,
    WARNINGS,
    Entry,
    Line,
    accounts,
    error_rates,
    samples,
)

PLAN: Final = Plan()
DAY: Final = date(2025, 3, 3)
FILES: Final = {file.key: file.content for file in samples(PLAN).files}


def line(at: datetime, level: str) -> Line:
    return Line("{}", at.date(), Entry(at, "search", level))


def test_files_are_compressed_as_their_keys_say_and_one_is_not() -> None:
    plain = FILES["dt=2025-03-03/checkout.log"]
    zipped = gzip.decompress(FILES["dt=2025-03-03/search.jsonl.gz"])
    stream = pa.CompressedInputStream(
        pa.BufferReader(FILES["dt=2025-03-07/mailer.log.zst"]), "zstd"
    )
    for text in (plain, zipped, stream.read()):
        assert json.loads(text.splitlines()[0]).keys() == {
            "timestamp",
            "level",
            "message",
            "service",
        }
    assert len(FILES) == 2 * PLAN.days + 1


def test_whole_stack_traces_stand_between_the_lines() -> None:
    for day in PLAN.dates:
        text = FILES[f"dt={day}/checkout.log"].decode()
        assert "\n".join(STACK_TRACE) + "\n" in text


def test_a_search_log_begins_on_the_day_before_its_key_but_for_the_first() -> None:
    texts = [gzip.decompress(FILES[f"dt={day}/search.jsonl.gz"]).decode() for day in PLAN.dates]
    assert '"timestamp":"2025-03-02' not in texts[0]
    assert texts[1].count('"timestamp":"2025-03-03') > 100


def test_warnings_and_errors_are_spelt_in_several_ways() -> None:
    spelt = {json.loads(line)["level"] for line in _json_lines()}
    assert {"WARNING", "WARN", "warning"} <= spelt & WARNINGS
    assert spelt >= ERRORS
    assert spelt - {each for levels in LEVELS.values() for each in levels} == {"LOUD"}


def _json_lines() -> list[str]:
    mailer = pa.BufferReader(FILES["dt=2025-03-07/mailer.log.zst"])
    texts = [content for key, content in FILES.items() if key.endswith(".log")]
    texts += [gzip.decompress(content) for key, content in FILES.items() if key.endswith(".gz")]
    texts.append(pa.CompressedInputStream(mailer, "zstd").read())
    lines = (line for text in texts for line in text.decode().splitlines())
    return [line for line in lines if line.startswith("{")]


def test_rates_are_of_the_hour_and_raw_lines_count_only_for_the_account() -> None:
    first, last = datetime(2025, 3, 3, 9, tzinfo=UTC), datetime(2025, 3, 3, 9, 59, tzinfo=UTC)
    later = datetime(2025, 3, 3, 10, tzinfo=UTC)
    warned = line(last, "warning")
    lines = [line(first, "INFO"), warned, warned, line(last, "Fatal"), line(later, "notice")]
    raw = Line("Traceback", DAY, None)
    assert error_rates([*lines, raw]) == (
        (DAY, first, "search", 4, 2, 1, 0.25),
        (DAY, later, "search", 1, 0, 0, 0.0),
    )
    (account,) = accounts([*lines, raw]).values()
    assert (account.landed, account.silver, account.quarantined) == (6, 5, 1)
