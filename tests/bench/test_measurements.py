"""What measurements come to, and what is written of them."""

import json
from pathlib import Path

import pytest

from bench import report
from bench.measure import (
    Bench,
    Condition,
    Measured,
    Result,
    Row,
    Turn,
    at_least,
    at_most,
    once,
)

PAGE = f"# Performance\n\nBefore.\n{report.BEGIN}\nformer rows\n{report.END}\nAfter.\n"


def row(name: str = "drain", *, most: float | None = None) -> Row:
    """A row whose peer must cost twice as much as ours, or ours so many times the peer at most."""

    def nothing(_: Bench) -> Measured:
        raise AssertionError

    bound = at_least(2) if most is None else at_most(most)
    return Row(name, "ours", "peer", "s", bound, nothing)


def result(of: Row, *turns: Turn, conditions: tuple[Condition, ...] = ()) -> Result:
    return Result(of, Measured(turns, {"files": 20}, conditions, {"calls": 7.25}))


def test_where_more_is_better_a_ratio_is_the_peers_cost_by_ours() -> None:
    found = result(row(), Turn(2.0, 6.0), Turn(2.0, 3.0), Turn(1.0, 5.0))

    assert found.ratios == (3.0, 1.5, 5.0)
    assert (found.ratio, found.met) == (3.0, True)


def test_where_less_is_better_a_ratio_is_our_cost_by_the_peers() -> None:
    found = result(row(most=3), Turn(8.0, 2.0))

    assert (found.ratio, found.met) == (4.0, False)


def test_a_figure_without_a_peer_is_held_to_its_bound_as_it_is() -> None:
    assert result(row(most=8), Turn(7.9)).met
    assert not result(row(most=8), Turn(8.1)).met


@pytest.mark.parametrize(("figure", "is_met"), [(2.0, True), (2.1, False)])
def test_a_row_is_met_only_with_all_its_conditions(figure: float, *, is_met: bool) -> None:
    condition = Condition("p95 by median", figure, at_most(2))

    assert result(row(), Turn(1.0, 9.0), conditions=(condition,)).met is is_met


@pytest.mark.parametrize("fault", [None, AssertionError("two rows are missing")])
def test_rows_that_share_a_measurement_have_it_made_once(fault: Exception | None) -> None:
    made = []

    @once
    def measure(size: int) -> int:
        made.append(size)
        if fault:
            raise fault
        return size

    for _ in range(2):
        if fault:
            with pytest.raises(AssertionError, match="two rows are missing"):
                measure(3)
        else:
            assert measure(3) == 3

    assert made == [3]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bench").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / report.PAGE).write_text(PAGE, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(*results: Result, machine: str = "2 cores") -> None:
    records = [report.record(each, machine, "2025-04-01") for each in results]
    report.write(records, ["start", "drain", "calls"])


def test_one_row_that_is_measured_again_leaves_the_others_as_they_were(folder: Path) -> None:
    written(result(row("drain"), Turn(1.0, 9.0)), result(row("calls", most=8), Turn(7.0)))
    written(result(row("drain"), Turn(1.0, 1.5)), machine="64 cores")

    found = json.loads((folder / report.RESULTS).read_text("utf-8"))["rows"]
    told = {(each["row"], each["ratio"], each["met"], each["machine"]) for each in found}
    assert told == {("drain", 1.5, False, "64 cores"), ("calls", 7.0, True, "2 cores")}


def test_the_page_keeps_its_words_and_has_the_rows_in_their_order(folder: Path) -> None:
    condition = Condition("peak in GB", 2.5, at_most(2))
    written(
        result(row("calls", most=8), Turn(7.0)),
        result(row("start", most=1.3), Turn(2.0, 1.0), Turn(3.0, 1.0), conditions=(condition,)),
    )

    page = (folder / report.PAGE).read_text("utf-8")
    assert page.startswith("# Performance\n\nBefore.\n")
    assert page.endswith("After.\n")
    assert "former rows" not in page
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    assert lines == [
        "| `start` | 2.5 | 2 to 3 | ≤ 1.3 | **no** | 2.5 s | 1 s | files 20 |",
        "| `calls` | 7 | one turn | ≤ 8 | yes | 7 s | - | files 20 |",
    ]
    assert "- `start`, peak in GB: 2.5 (≤ 2): **no**" in page
    assert "- `calls`: calls 7.25" in page
    assert page.count("2025-04-01: 2 cores") == 1
