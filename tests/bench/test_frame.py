"""Both sides of ``frame`` make the same tables, whatever is wrong with the rows."""

from pathlib import Path

import pytest

from bench.large.frame import measure_frame
from bench.measure import Bench
from bench.sizes import Sizes

MALFORMED_AND_INVALID, INVALID, VALID = 6_000, 5_000, 1_000
"""Of every ten thousand rows the first to break the contract is 1,112th, the cut one 5,556th."""


@pytest.mark.parametrize("rows", [MALFORMED_AND_INVALID, INVALID, VALID])
def test_both_sides_agree_with_rows_of_every_kind_or_of_one(rows: int, tmp_path: Path) -> None:
    measured = measure_frame(Bench(Sizes(frame_rows=rows, turns=1), tmp_path))

    assert len(measured.turns) == 1
    assert 0 < measured.sizes["rows"] < rows, "rows of the day before are another date's"
