"""``python -m bench`` as `make bench` calls it, at a size that takes seconds."""

import os
import re
import subprocess
import sys
from pathlib import Path

from bench.registry import ROWS

PROJECT = Path(__file__).parents[2]
RESULTS = PROJECT / "bench/results.json"


def bench(*arguments: str, **sizes: str) -> subprocess.CompletedProcess[str]:
    environment = {f"LANDFALL_BENCH_{name.upper()}": value for name, value in sizes.items()}
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "bench", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
        env={**os.environ, **environment},
    )


def test_a_row_is_measured_and_its_outputs_are_compared() -> None:
    before = RESULTS.read_bytes() if RESULTS.is_file() else None

    done = bench("--row", "frame", "--trial", frame_rows="5000", turns="1")

    assert done.returncode == 0, done.stderr
    assert "frame: " in done.stdout
    assert re.search(r"^frame: .*; took \d+ s$", done.stdout, re.MULTILINE)
    assert re.search(r"^rows: 1; took \d+ s in all$", done.stdout, re.MULTILINE)
    assert (RESULTS.read_bytes() if RESULTS.is_file() else None) == before


def test_a_row_that_does_not_exist_is_refused_with_the_names_of_those_that_do() -> None:
    done = bench("--row", "nothing")

    assert done.returncode == 2
    assert all(row.name in done.stderr for row in ROWS)


def test_a_row_that_cannot_be_measured_is_named() -> None:
    done = bench("--row", "drain", "--trial", drain_files="20", drain_rows="1")

    assert done.returncode == 1
    assert "drain: not measured: ValueError: 1 rows to a file are fewer" in done.stderr
    assert "not measured: drain" in done.stderr


def test_no_two_rows_have_one_name() -> None:
    names = [row.name for row in ROWS]

    assert len(names) == len(set(names)) == 14
