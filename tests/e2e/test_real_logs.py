"""Real log files through the whole pipeline: JSON lines, and raw text between them."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

import polars as pl
import pytest
from real_data import (
    EXPECTED,
    LANDING,
    Worker,
    assert_nothing_is_left,
    file_ids,
    heads,
    key_of,
    land,
    ledger_account,
    real_files,
    table,
    tables_account,
    total,
    work,
)
from scenario import NEEDS_REAL_DATA, Pipeline, open_pipeline

from pipeline_assets.datasets.logs import DATASET
from resources.ledger.model import DateCounts, FileState
from resources.local_aws.control import LocalAwsStatus

pytestmark = [
    NEEDS_REAL_DATA,
    pytest.mark.real,
    pytest.mark.timeout(900),
    # Two processes would each load the whole set.
    pytest.mark.xdist_group("real-logs"),
]

Account: TypeAlias = Mapping[str, int | Mapping[str, int]]

RAW_FILE = "logs/dt=2016-12-19/kafka0-server.2016-12-19-16.log"
"""It begins with a dump of settings: 138 raw lines."""
QUIET_DAY = "2016-12-20"
QUIET_LINES = 60
"""Lines of the only file of that date, all of them JSON."""


@dataclass(frozen=True)
class Line:
    """A line of a real file that is not blank: its number from 1, and whether it is JSON."""

    key: str
    number: int
    text: str

    @property
    def is_raw(self) -> bool:
        """Whether it is no JSON object."""
        return not self.text.startswith("{")

    @property
    def fields(self) -> dict[str, str]:
        """What a JSON line says."""
        read: dict[str, str] = json.loads(self.text)
        return read

    @property
    def day(self) -> str:
        """Its event date: that of its own time, of a raw line that of the file's key."""
        return self.key.split("dt=")[1][:10] if self.is_raw else self.fields["timestamp"][:10]


@cache
def lines() -> list[Line]:
    """Every line of every file but blank ones, in the order of landing keys and lines."""
    return [line for path in real_files("logs") for line in lines_of(path)]


def lines_of(path: Path) -> Iterator[Line]:
    for number, text in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if text.strip():
            yield Line(key_of(path), number, text)


def raw_text(count: int) -> bytes:
    """The first raw lines of a real file."""
    raw = [line.text for line in lines() if line.key == RAW_FILE and line.is_raw]
    assert count <= len(raw)
    return "".join(f"{text}\n" for text in raw[:count]).encode()


@pytest.fixture(scope="module")
def pipeline(
    local_aws_server: LocalAwsStatus,
    empty_instance: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pipeline]:
    """All real files, landed and worked."""
    worker = Worker(local_aws_server, empty_instance)
    with worker.pipeline(tmp_path_factory.mktemp("logs") / "home") as opened:
        land(opened, real_files("logs"))
        assert work(opened).failed_runs == []
        yield opened


def test_each_file_reaches_the_counts_worked_out_independently(pipeline: Pipeline) -> None:
    keys = file_ids(pipeline, real_files("logs"))
    silver = table(pipeline, "silver", "logs").with_columns(
        key=pl.col("_file_id").replace_strict(keys)
    )
    quarantine = table(pipeline, "quarantine", "logs")

    reached = {
        key: {
            "valid_rows": silver.filter(key=key).height,
            "malformed_rows": quarantine.filter(landing_key=key).height,
            "levels": dict(silver.filter(key=key)["level"].value_counts().iter_rows()),
        }
        for key in keys.values()
    }

    expected: dict[str, Account] = json.loads((EXPECTED / "logs.json").read_text())
    assert reached == expected
    found = heads(pipeline, real_files("logs"))
    assert {head.state for head in found.values()} == {FileState.LOADED}
    assert {
        key: (head.records - head.malformed, head.malformed) for key, head in found.items()
    } == {
        key: (account["valid_rows"], account["malformed_rows"]) for key, account in expected.items()
    }


def test_every_line_of_every_date_is_in_silver_or_in_quarantine(pipeline: Pipeline) -> None:
    valid = Counter(line.day for line in lines() if not line.is_raw)
    raw = Counter(line.day for line in lines() if line.is_raw)

    account = tables_account(pipeline, "logs")

    assert account == {
        day: DateCounts(valid[day] + raw[day], valid[day], raw[day], 0) for day in {*valid, *raw}
    }
    assert account == ledger_account(pipeline, "logs")
    assert total(account.values()) == DateCounts(8526, 6471, 2055, 0)


def test_raw_lines_are_in_quarantine_with_their_text_and_line_number(pipeline: Pipeline) -> None:
    quarantine = table(pipeline, "quarantine", "logs")

    found = {
        (row["landing_key"], int(numbered[0]), row["record"])
        for row in quarantine.iter_rows(named=True)
        if (numbered := re.findall(r"^malformed: .*\bline ([0-9]+)\b", row["reasons"]))
    }

    assert len(found) == quarantine.height
    assert found == {(line.key, line.number, line.text) for line in lines() if line.is_raw}


def test_gold_equals_what_plain_python_counts(pipeline: Pipeline) -> None:
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for line in lines():
        if not line.is_raw:
            fields = line.fields
            counts[fields["timestamp"][:13], fields["service"]][fields["level"]] += 1

    gold = table(pipeline, "gold", "service_error_rate")

    hour = pl.col("hour").dt.strftime("%Y-%m-%dT%H")
    found = gold.select(hour, "service", "lines", "warnings", "errors", "error_rate").rows()
    assert sorted(found) == sorted(
        (*key, each.total(), each["WARN"], each["ERROR"], each["ERROR"] / each.total())
        for key, each in counts.items()
    )


def test_no_real_date_has_so_many_raw_lines_that_it_is_held(pipeline: Pipeline) -> None:
    shares = {
        day: counts.quarantined / counts.bronze
        for day, counts in ledger_account(pipeline, "logs").items()
    }

    assert DATASET.quarantine_threshold == 0.5
    # A tenth, what other datasets allow, would hold the first date.
    assert shares == {"2016-12-19": pytest.approx(2055 / 8466), QUIET_DAY: 0.0}
    assert_nothing_is_left(pipeline, "logs")
    assert pipeline.materialized(("gold", "service_error_rate")) >= shares.keys()


@pytest.mark.usefixtures("local_aws")
def test_a_date_is_held_once_more_than_half_of_its_lines_are_raw() -> None:
    key = f"logs/dt={QUIET_DAY}/dump.log"
    with open_pipeline() as pipeline:
        land(pipeline, [LANDING / f"logs/dt={QUIET_DAY}/kafka0-server.log"])
        pipeline.land(key, raw_text(QUIET_LINES))
        assert work(pipeline).failed_runs == []
        assert_nothing_is_left(pipeline, "logs")
        half = ledger_account(pipeline, "logs")
        assert half == {QUIET_DAY: DateCounts(2 * QUIET_LINES, QUIET_LINES, QUIET_LINES, 0)}

        pipeline.land(key, raw_text(QUIET_LINES + 1))
        work(pipeline)

        (date,) = pipeline.landfall.ledger.dates.dirty("logs")
        assert date.event_date == QUIET_DAY
        assert date.held is not None
        assert f"{QUIET_LINES + 1} of {2 * QUIET_LINES + 1}" in date.held.message
        assert table(pipeline, "quarantine", "logs").height == QUIET_LINES
        assert pipeline.file(key).malformed == QUIET_LINES + 1

        pipeline.land(key, raw_text(QUIET_LINES - 1))
        assert work(pipeline).failed_runs == []
        assert_nothing_is_left(pipeline, "logs")
        assert table(pipeline, "quarantine", "logs").height == QUIET_LINES - 1
