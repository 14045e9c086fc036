"""``bench/results.json`` and the table of ``docs/performance.md``."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TypeAlias

import psutil

from bench.measure import Result

RESULTS = Path("bench/results.json")
PAGE = Path("docs/performance.md")
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
PACKAGES = ("dagster", "polars", "duckdb", "pyarrow", "pandas", "pandera", "boto3", "moto")

Record: TypeAlias = dict[str, object]


def record(result: Result, machine: str, measured_on: str) -> Record:
    """A row of ``results.json``."""
    row, measured = result.row, result.measured
    peers = [turn.peer for turn in measured.turns if turn.peer is not None]
    return {
        "row": row.name,
        "ratio": result.ratio,
        "bound": str(row.bound),
        "met": result.met,
        "ours": median(turn.ours for turn in measured.turns),
        "peer": median(peers) if peers else None,
        "unit": row.unit,
        "ratios": list(result.ratios),
        "what_ours": row.ours,
        "what_peer": row.peer,
        "sizes": dict(measured.sizes),
        "conditions": [
            {
                "what": each.what,
                "figure": each.figure,
                "bound": str(each.bound),
                "met": each.bound.holds(each.figure),
            }
            for each in measured.conditions
        ],
        "facts": dict(measured.facts),
        "machine": machine,
        "measured_on": measured_on,
    }


def write(records: Sequence[Record], order: Sequence[str]) -> None:
    """Put records among those of earlier runs, which other rows keep, and renew the table."""
    known = {str(each["row"]): each for each in _known()} | {
        str(each["row"]): each for each in records
    }
    rows = [known[name] for name in order if name in known]
    RESULTS.write_text(json.dumps({"rows": rows}, indent=2, ensure_ascii=False) + "\n", "utf-8")
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(rows)}{END}{after}", "utf-8")


def _known() -> list[Record]:
    if not RESULTS.is_file():
        return []
    rows: list[Record] = json.loads(RESULTS.read_text("utf-8"))["rows"]
    return rows


def machine() -> str:
    """The machine and the versions that figures are of."""
    memory = psutil.virtual_memory().total / 1024**3
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {versions}"
    )


def table(rows: Sequence[Record]) -> str:
    """The rows as Markdown, with the machines and sizes that they were measured on."""
    lines = [
        "",
        "| row | median ratio | spread | bound | met | ours | peer | sizes |",
        "|---|---|---|---|---|---|---|---|",
        *(_line(each) for each in rows),
        "",
        *_meanings(rows),
        *_conditions(rows),
        *_facts(rows),
        *_machines(rows),
        "",
    ]
    return "\n".join(lines)


def _line(row: Record) -> str:
    ratios = row["ratios"]
    assert isinstance(ratios, list)  # noqa: S101 - our own file
    spread = "one turn" if len(ratios) == 1 else f"{_short(min(ratios))} to {_short(max(ratios))}"
    cells = (
        f"`{row['row']}`",
        _short(row["ratio"]),
        spread,
        str(row["bound"]),
        "yes" if row["met"] else "**no**",
        f"{_short(row['ours'])} {row['unit']}",
        "-" if row["peer"] is None else f"{_short(row['peer'])} {row['unit']}",
        _named(row["sizes"]),
    )
    return f"| {' | '.join(cells)} |"


def _meanings(rows: Sequence[Record]) -> list[str]:
    lines = [f"- `{row['row']}`: {row['what_ours']}; against {row['what_peer']}." for row in rows]
    return ["What was measured, ours against the peer:", "", *lines, ""]


def _conditions(rows: Sequence[Record]) -> list[str]:
    lines = []
    for row in rows:
        conditions = row["conditions"]
        assert isinstance(conditions, list)  # noqa: S101 - our own file
        for each in conditions:
            held = "yes" if each["met"] else "**no**"
            figure = _short(each["figure"])
            lines.append(f"- `{row['row']}`, {each['what']}: {figure} ({each['bound']}): {held}")
    return ["Besides the ratio must hold:", "", *lines, ""] if lines else []


def _facts(rows: Sequence[Record]) -> list[str]:
    lines = [f"- `{row['row']}`: {_named(row['facts'])}" for row in rows if row["facts"]]
    return ["Seen on the way, without a bound:", "", *lines, ""] if lines else []


def _machines(rows: Sequence[Record]) -> list[str]:
    by_machine: dict[str, list[str]] = {}
    for row in rows:
        key = f"{row['measured_on']}: {row['machine']}"
        by_machine.setdefault(key, []).append(f"`{row['row']}`")
    return [f"- Measured {where} ({', '.join(names)})." for where, names in by_machine.items()]


def _named(figures: object) -> str:
    assert isinstance(figures, Mapping)  # noqa: S101 - our own file
    return ", ".join(f"{name} {_short(value)}" for name, value in figures.items())


def _short(figure: object) -> str:
    """Three digits, or all of a whole number."""
    assert isinstance(figure, int | float)  # noqa: S101 - our own file
    if figure == int(figure) or abs(figure) >= 1000:  # noqa: PLR2004 - four digits before the point
        return f"{figure:,.0f}"
    return f"{figure:.3g}"
