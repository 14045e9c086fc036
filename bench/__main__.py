"""``python -m bench``: measure every row, or one, and write what it came to."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from bench import report
from bench.measure import Bench, Result, Row
from bench.registry import ROWS
from bench.sizes import Sizes, unknown_sizes, unusable


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when every row was measured, whether its bound is met or not; 1 otherwise."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--row", action="append", choices=names, help="only this row")
    parser.add_argument("--trial", action="store_true", help="measure and print, write nothing")
    options = parser.parse_args(arguments)
    chosen = [row for row in ROWS if not options.row or row.name in options.row]
    try:
        sizes = Sizes()
    except ValidationError as error:
        parser.error(unusable(error))
    if unknown := unknown_sizes(os.environ):
        parser.error(f"there is no {', '.join(unknown)}: bench/sizes.py names every size")
    written = "nothing" if options.trial else f"{report.RESULTS} and {report.PAGE}"
    print(f"load average {os.getloadavg()[0]:.1f}; written: {written}", flush=True)
    broken = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="landfall-bench-") as folder:
        bench = Bench(sizes, Path(folder))
        for row in chosen:
            result = _measure(row, bench)
            if result is None:
                broken.append(row.name)
            elif not options.trial:
                today = datetime.now(UTC).date().isoformat()
                report.write([report.record(result, report.machine(), today)], names)
    print(f"rows: {len(chosen)}; took {_clock(time.monotonic() - began)} in all", flush=True)
    if broken:
        print(f"not measured: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


def _measure(row: Row, bench: Bench) -> Result | None:
    """Measure a row and tell it; a fault of one row leaves the others."""
    begin = time.monotonic()
    print(f"{row.name}: {row.ours}, against {row.peer}", flush=True)
    try:
        result = Result(row, row.measure(bench))
    except Exception as error:  # noqa: BLE001 - told, and the exit code says so
        print(f"{row.name}: not measured: {type(error).__name__}: {error}", file=sys.stderr)
        return None
    measured = result.measured
    met = "met" if result.met else "NOT met"
    took = _clock(time.monotonic() - begin)
    print(f"{row.name}: {result.ratio:.3g} ({row.bound}): {met}; took {took}", flush=True)
    for turn in measured.turns:
        peer = "" if turn.peer is None else f", peer {turn.peer:.4g} {row.unit}"
        print(f"  ours {turn.ours:.4g} {row.unit}{peer}", flush=True)
    for each in measured.conditions:
        print(f"  {each.what}: {each.figure:.3g} ({each.bound})", flush=True)
    for name, figure in measured.facts.items():
        print(f"  {name}: {figure:.4g}", flush=True)
    return result


def _clock(seconds: float) -> str:
    """Minutes and seconds; a row that another one measured along with itself takes none."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


if __name__ == "__main__":
    sys.exit(main())
