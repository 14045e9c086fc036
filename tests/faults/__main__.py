"""`make faults`: breaks things on purpose, compares, and writes docs/faults.md when all is done."""

import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

import click
from fault_campaign import Campaign, Results, fingerprint, plan, run_trial
from fault_lane import Lanes, open_lanes
from fault_oracle import Calls, Oracle
from fault_processes import PROJECT, plain_environment
from fault_report import is_clean, report
from fault_trials import Kind, Outcome, Trial
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

FOLDER = PROJECT / "build/faults"
PAGE = PROJECT / "docs/faults.md"
PART = FOLDER / "report.md"
"""The page while trials are left to run."""
err = Console(stderr=True, highlight=False, soft_wrap=True)


@click.command()
@click.option("--kind", "kinds", multiple=True, type=click.Choice([kind.value for kind in Kind]))
@click.option("--seed", default=1, show_default=True, help="First seed of the seeded kinds.")
@click.option("--lanes", default=2, show_default=True, help="Trials side by side.")
@click.option("--minutes", default=90.0, show_default=True, help="No trial begins later.")
@click.option("--trials", default=0, help="So many of each kind at most; 0 for all.")
@click.option("--only", "only", help="One trial by its id; its logs are kept.")
@click.option("--fresh", is_flag=True, help="Forget the results that are there.")
def main(  # noqa: PLR0913, PLR0917 - options of the command line
    kinds: tuple[str, ...],
    seed: int,
    lanes: int,
    minutes: float,
    trials: int,
    only: str | None,
    *,
    fresh: bool,
) -> None:
    """Inject faults and compare with an undisturbed run.

    docs/faults.md is written once every planned trial was run with the present code.
    """
    _clean_environment()
    if fresh:
        (FOLDER / "results.jsonl").unlink(missing_ok=True)
    with open_lanes() as opened:
        code = fingerprint()
        oracle = Oracle(opened)
        every = plan(_calls(oracle, code), seed)
        if only is not None:
            sys.exit(_only(only, every, opened, oracle))
        chosen = _chosen(every, kinds, trials)
        results = Results(FOLDER / "results.jsonl", code)
        known = results.read()
        todo = [trial for trial in chosen if trial.id not in known]
        err.print(f"{len(every)} trials planned, {len(todo)} to run; code {code}")
        with _telling(results, len(todo)) as tell:
            deadline = time.monotonic() + minutes * 60
            Campaign(opened, oracle, tell, deadline).run(todo, lanes)
    sys.exit(_conclude(results, every, code))


def _clean_environment() -> None:
    kept = plain_environment()
    os.environ.clear()
    os.environ.update(kept)


def _calls(oracle: Oracle, code: str) -> Calls:
    """The recorded calls, kept so that a campaign that is resumed has the same trials."""
    kept = FOLDER / f"calls-{code}.json"
    if not kept.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(asdict(oracle.record())))
    facts = json.loads(kept.read_text())
    return Calls(tuple(facts["common"]), tuple(facts["differing"]))


def _chosen(every: Sequence[Trial], kinds: Sequence[str], limit: int) -> list[Trial]:
    """Trials of the kinds, evenly spread if they are limited, and mixed so that a part is fair."""
    by_kind: dict[Kind, list[Trial]] = defaultdict(list)
    for trial in every:
        if not kinds or trial.kind.value in kinds:
            by_kind[trial.kind].append(trial)
    placed = [
        (number / len(own), trial)
        for own in (_spread(own, limit) for own in by_kind.values())
        for number, trial in enumerate(own)
    ]
    return [trial for _, trial in sorted(placed, key=lambda pair: pair[0])]


def _spread(own: list[Trial], limit: int) -> list[Trial]:
    if not limit or len(own) <= limit:
        return own
    return [own[number * len(own) // limit] for number in range(limit)]


@contextmanager
def _telling(results: Results, total: int) -> Iterator["Teller"]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err) as bar:
        yield Teller(results, bar, total)


class Teller:
    """Keeps each outcome, moves the bar on, and says at once what is not clean."""

    def __init__(self, results: Results, bar: Progress, total: int) -> None:
        self._results = results
        self._bar = bar
        self._task = bar.add_task("faults", total=total)

    def __call__(self, outcome: Outcome) -> None:
        """Take an outcome."""
        self._results.add(json.loads(outcome.to_json()))
        if not outcome.verdict.is_clean:
            notes = "; ".join(outcome.verdict.notes)
            self._bar.console.print(f"{outcome.trial.id}: {notes}", markup=False)
        self._bar.advance(self._task)


def _only(name: str, every: Sequence[Trial], lanes: Lanes, oracle: Oracle) -> int:
    matching = [trial for trial in every if trial.id == name]
    if not matching:
        raise click.BadParameter(f"there is no trial {name!r}", param_hint="--only")
    outcome = run_trial(matching[0], lanes, oracle, keep=FOLDER / "kept")
    print(json.dumps(json.loads(outcome.to_json()), indent=2))  # noqa: T201 - the command's answer
    return 0 if outcome.verdict.is_clean else 1


def _conclude(results: Results, every: Sequence[Trial], code: str) -> int:
    """Write the page, or that of a part; 1 unless everything that was run is clean."""
    by_id = results.read()
    known = [by_id[trial.id] for trial in every if trial.id in by_id]
    left = len(every) - len(known)
    page = PART if left else PAGE
    page.write_text(report(known, len(every), code))
    unclean = [each["id"] for each in known if not is_clean(each)]
    counts = Counter(each["trial"]["kind"] for each in known)
    err.print(f"{len(known)} of {len(every)} trials run ({dict(counts)}); {len(unclean)} not clean")
    if left:
        err.print(f"{left} trials are left, so {PAGE.relative_to(PROJECT)} stays as it is")
    err.print(f"written: {page.relative_to(PROJECT)}")
    return 1 if unclean else 0


if __name__ == "__main__":
    main()
