import json
from pathlib import Path

import pytest
from landed_bytes import read_file

DATA = Path(__file__).parents[3] / "shared" / "data"
EVENTS = DATA / "landing" / "events"
SPECTRUM = DATA / "csv-spectrum"
LOGS = DATA / "landing" / "logs"
DISAGREEING = {"location_coordinates": {"Contact Phone Number": "2095257564"}}
"""Where the corpus gives another value in its JSON than in its CSV: what the CSV holds."""
FIELDS = ("eventType", "userId", "timestamp", "eventId", "sessionId", "properties")

needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the real input data is not beside the checkout, in ../shared/data"
)


@needs_data
def test_every_real_event_is_read_and_counted() -> None:
    paths = sorted(path for path in EVENTS.rglob("*") if path.is_file())
    rows = 0
    for path in paths:
        found = read_file(path, str(path.relative_to(DATA)), FIELDS)
        assert found.counted == len(found.rows)
        assert found.malformed == []
        assert all(row["_rescued"] is None and row["timestamp"] for row in found.good)
        rows += found.counted
    assert (len(paths), rows) == (555, 136_441)


@needs_data
def test_raw_lines_between_real_log_records_are_malformed() -> None:
    for path in LOGS.rglob("*.log"):
        found = read_file(path, path.name, ("timestamp", "level"))
        lines = path.read_text().splitlines()
        raw = [line for line in lines if line.strip() and not line.startswith("{")]
        assert [text for _, text, _ in found.malformed] == raw
        assert found.counted == sum(1 for line in lines if line.strip())


@needs_data
@pytest.mark.parametrize("path", sorted(SPECTRUM.glob("csvs/*.csv")), ids=lambda path: path.stem)
def test_awkward_csv_means_what_its_authors_say(path: Path) -> None:
    meant = json.loads((SPECTRUM / "json" / f"{path.stem}.json").read_text())
    rows = meant if isinstance(meant, list) else [meant]
    expected = [row | DISAGREEING.get(path.stem, {}) for row in rows]
    found = read_file(path, path.name, tuple(expected[0]))
    assert [{**row} for row in found.good] == [{**row, "_rescued": None} for row in expected]
    assert found.counted == len(expected)
