"""docs/faults.md: what was done, one table, and every number in it that is not zero explained."""

import importlib.metadata
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any, TypeAlias

from fault_lane import WORK_SECONDS, WORKER_SETTINGS
from fault_trials import Kind

PACKAGES = ("dagster", "polars", "pyarrow", "boto3", "moto")
WHAT = {
    Kind.KILL_BEFORE: "killed (SIGKILL) before a request, at every AWS call",
    Kind.KILL_AFTER: "killed (SIGKILL) after a response, at every AWS call",
    Kind.STOPPED: "stopped (SIGSTOP) at every write, continued after another worker finished",
    Kind.NOTIFICATIONS: "notifications three times each, shuffled, 30 % dropped",
    Kind.THROTTLING: "20 % of calls throttled or answered 5xx, partly after they took effect",
    Kind.CUT: "10 % of connections cut in the middle of a request's or a response's body",
    Kind.RESTART: "AWS gone and back in the middle of the work",
    Kind.CLOCKS: "two workers at once, their clocks ten minutes apart",
    Kind.RACE: "two workers at once on the same files and dates",
    Kind.OVERWRITE: "a key overwritten or deleted during its load, events in every order",
    Kind.MEMORY: "a file whose load always kills its process",
}
INTRODUCTION = """\
# Faults

`make faults` breaks things on purpose and compares what stands afterwards with an undisturbed run.
This page is its output; nothing in it is written by hand.

Each trial begins with one loaded file and five that have just landed (CSV, gzipped JSON lines,
JSON lines and Parquet over two file dates; one of them overwrites the loaded file, one is cut off
and must die), with late rows for a third date, duplicates within and across files, an invalid and a
malformed row. Workers are `landfall work --until-idle`; a walk through the landing bucket is due.
A fault happens to them; afterwards `landfall work` runs until it says that nothing waits. Then
silver, quarantine, gold (rows, their order, content digest), every DynamoDB item, the bronze
fragments that count, and the ledger's account of files and dates are compared with the undisturbed
run's, and the dead letters that were sent with the files that are dead.

- **lost**, **doubled**: rows, items, fragment rows and dead letters that are missing, or there too
  often. A dead letter that came twice under its id is not doubled; one of a file that is not dead
  is.
- **differing**: trials that lost and doubled nothing, but ended with another order or digest, or
  another account of files or dates.
- **stuck**: anything still pending, dirty or leased, a walk under way, or `DEAD` or `HELD` without
  reason, when the work ended or {seconds:.0f} s after the last fault.
- **time to recover**: from the last fault (for races: from the start) until everything is idle; it
  includes waiting for the lease of a dead worker.

Faults come from outside: the product has no hook for them. A `sitecustomize` puts a handler among
botocore's own; a proxy cuts connections. A call is known by its operation, its key (bucket and
key, partition and sort key, a digest of a batch's keys; run ids left out) and the ordinal of that
pair within its process, because calls run in parallel and have no other order. Workers are forks
of a process that has imported everything and run nothing; a trial of each kind is done again with
real `landfall` processes. Settings differ from the defaults in waits and attempts only:
{settings};
messages of the queue are visible again after 1 s, and botocore's waits between attempts are a
twentieth of their length. Another clock means that `time.time` and `datetime.now` of a worker are
shifted by five minutes.
"""
HEAD = """\
| fault | trials | files | records | lost | doubled | differing | stuck \
| time to recover (median, worst) |
|---|---:|---:|---:|---:|---:|---:|---:|---:|
"""
AGAIN = """
## Again
`make faults` runs what has not been run yet with this code (`--fresh` starts over); the whole takes
about eighty minutes on 2 cores. This page is written when no trial is left; until then
`build/faults/report.md` has the same about a part. `make faults FAULTS=race` runs one kind. A trial
by its id, with its logs kept: `.venv/bin/python tests/faults --only "TRIAL"`.
"""

Facts: TypeAlias = Mapping[str, Any]


def is_clean(facts: Facts) -> bool:
    """Whether a trial lost, doubled, changed and left nothing."""
    verdict = facts["verdict"]
    return not any(verdict[name] for name in ("lost", "doubled", "stuck", "differences"))


def _differs(facts: Facts) -> bool:
    """Whether nothing was lost or doubled, and yet something is other than it should be."""
    verdict = facts["verdict"]
    return bool(verdict["differences"]) and not (verdict["lost"] or verdict["doubled"])


def report(results: Sequence[Facts], planned: int, code: str) -> str:
    """The whole page."""
    fired = [each for each in results if each["fired"]]
    settings = ", ".join(f"`{name}={value}`" for name, value in WORKER_SETTINGS.items())
    parts = [
        INTRODUCTION.format(seconds=WORK_SECONDS, settings=settings),
        _circumstances(results, planned, code),
        HEAD + "\n".join(_rows(fired)) + "\n",
        _findings(fired),
        _unfired([each for each in results if not each["fired"]]),
    ]
    return "\n".join(part for part in parts if part) + AGAIN


def _circumstances(results: Sequence[Facts], planned: int, code: str) -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    today = datetime.now(UTC).date().isoformat()
    real = sum(each["trial"]["real"] for each in results)
    whole = "All" if len(results) >= planned else f"**Not the whole: only {len(results)} of the"
    text = f"{whole} {planned} planned trials were run" + ("" if whole == "All" else "**")
    return (
        f"{text}, {real} of them with real processes. {today}; Python "
        f"{platform.python_version()}, {versions}; {os.cpu_count()} cores; code {code}.\n"
    )


def _rows(fired: Sequence[Facts]) -> Iterable[str]:
    for kind in Kind:
        own = [each for each in fired if each["trial"]["kind"] == kind.value]
        if own:
            yield _row(f"{kind.value}: {WHAT[kind]}", own)
    if fired:
        yield _row("**all**", fired)


def _row(what: str, own: Sequence[Facts]) -> str:
    sums = [sum(each[name] for each in own) for name in ("files", "records")]
    sums += [sum(each["verdict"][name] for each in own) for name in ("lost", "doubled")]
    sums += [sum(map(_differs, own)), sum(each["verdict"]["stuck"] for each in own)]
    times = [each["recovery"] for each in own]
    cells = [what, f"{len(own):,}", *(f"{number:,}" for number in sums)]
    return f"| {' | '.join(cells)} | {median(times):.1f} s, {max(times):.1f} s |"


def _findings(fired: Sequence[Facts]) -> str:
    found = [each for each in fired if not is_clean(each)]
    if not found:
        return "Every trial ended with the same content as the undisturbed run.\n"
    lines = ["## What is not zero", ""]
    for each in found:
        notes = "; ".join(each["verdict"]["notes"])
        lines.append(f"- `{each['id']}`: {notes}")
    return "\n".join(lines) + "\n"


def _unfired(results: Sequence[Facts]) -> str:
    if not results:
        return ""
    names = ", ".join(f"`{each['id']}`" for each in results)
    return (
        f"Not counted above: {len(results)} trials whose call did not come, because it depends on "
        f"time (heartbeats, waiting): {names}.\n"
    )
