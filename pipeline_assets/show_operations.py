"""How a step by hand looks on a terminal, before and after it is done, and as JSON."""

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console

from pipeline_assets.show import escape, number, some

if TYPE_CHECKING:
    from pipeline_assets.operations.affected import Affected
    from pipeline_assets.operations.forget import Forgotten
    from pipeline_assets.operations.replay import Candidate, ReplayPlan

SHOWN_FILES = 10
REFRESHED_BY = "run `landfall work --until-idle`, or let the sensors"


def affected(out: Console, touched: "Affected") -> None:
    """Files, rows, dates and tables that a step touches."""
    states = Counter(each.state.value for each in touched.files)
    told = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    out.print(f"{number(len(touched.files), 'file')}: {told or 'none'}")
    for each in touched.files[:SHOWN_FILES]:
        out.print(f"  {escape(each.key)}  {each.state}, {number(each.rows, 'row')}")
    _more(out, len(touched.files))
    new = sum(not each.rows for each in touched.files)
    later = f"; {number(new, 'file')} without any" if new and touched.rows else ""
    out.print(f"Rows that count now: {touched.rows:,}{later}")
    out.print(f"{number(len(touched.days), 'event date')}: {some(touched.days)}")
    if touched.partitions:
        out.print("Tables that are refreshed for them:")
    for asset, days in touched.partitions.items():
        out.print(f"  {asset}: {number(len(days), 'partition')}")


def replay_plan(out: Console, plan: "ReplayPlan") -> None:
    """What a replay would do."""
    if plan.again:
        affected(out, plan.affected)
        for fate, count in Counter(each.fate.value for each in plan.again).items():
            out.print(f"{number(count, 'file')} would be {fate}.")
        if any(not each.rows for each in plan.affected.files):
            out.print("The dates of a file that has no rows yet are known once it is loaded.")
        if any(each.state == "LOADING" for each in plan.affected.files):
            out.print("What a run is loading now counts for nothing when it ends.")
    for each in plan.left[:SHOWN_FILES]:
        out.print(f"[yellow]{escape(each.head.key)}[/] is {each.fate}.")
    _more(out, len(plan.left))


def replayed(out: Console, plan: "ReplayPlan", count: int) -> None:
    """What a replay came to."""
    out.print(
        f"[green]{number(count, 'file')} put back[/]; nothing was uploaded. Rows stay until a file "
        f"is loaded again: {REFRESHED_BY}."
    )
    if count < len(plan.again):
        turned = number(len(plan.again) - count, "other file")
        out.print(f"{turned} turned meanwhile without this.")


def forgetting(out: Console, touched: "Affected", address: str) -> None:
    """What forgetting a file would do, and what it would leave."""
    affected(out, touched)
    out.print(
        f"What is landed at {escape(address)} stays: if it must go too, delete it there, and "
        "the older versions that a versioned bucket keeps of it."
    )


def forgotten(out: Console, done: "Forgotten") -> None:
    """What forgetting a file came to."""
    if done.head.state != "FORGOTTEN":
        out.print(
            f"[yellow]{escape(done.head.key)} was put back meanwhile[/]: what it loads is left."
        )
        return
    out.print(
        f"[green]Forgotten[/]: {escape(done.head.key)}; {number(done.fragments, 'fragment')} "
        "deleted from the lake. Older versions stay where the lake's bucket keeps them, until its "
        "lifecycle expires them."
    )
    if done.dates:
        out.print(
            f"The tables of {some(done.dates)} follow with their next refresh: {REFRESHED_BY}."
        )


def replay_json(plan: "ReplayPlan", *, dry_run: bool, count: int | None) -> dict[str, object]:
    """The facts of a replay; ``replayed`` is ``None`` when nothing was done."""
    fates = {each.head.key: each.fate.value for each in plan.again}
    left = [_left(each) for each in plan.left]
    return affected_json(plan.affected) | {
        "dry_run": dry_run,
        "fates": fates,
        "left": left,
        "replayed": count,
    }


def forget_json(
    touched: "Affected", *, dry_run: bool, done: "Forgotten | None"
) -> dict[str, object]:
    """The facts of forgetting a file; ``fragments_deleted`` is ``None`` when nothing was done."""
    return affected_json(touched) | {
        "dry_run": dry_run,
        "state": done.head.state.value if done else None,
        "fragments_deleted": done.fragments if done else None,
    }


def affected_json(touched: "Affected") -> dict[str, object]:
    """The facts of what a step touches."""
    return asdict(touched) | {"rows": touched.rows}


def _left(candidate: "Candidate") -> dict[str, str]:
    head = candidate.head
    return {"key": head.key, "state": head.state.value, "why": candidate.fate.value}


def _more(out: Console, count: int) -> None:
    if count > SHOWN_FILES:
        out.print(f"  and {count - SHOWN_FILES:,} more")
