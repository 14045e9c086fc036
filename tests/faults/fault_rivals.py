"""Two workers at once, on the same files and the same dates."""

import random

from fault_lane import WORK_SECONDS
from fault_trials import Kind, Outcome, Run

CLOCKS = {"1": 300.0, "2": -300.0}
"""Seconds by which each worker's clock is wrong; a third and last one has the right time."""
JITTER_SECONDS = 0.02
LARGEST_LEAD_SECONDS = 1.0


def race(run: Run) -> Outcome:
    """Two workers, the second a moment later, with waits before their calls by lot."""
    run.place.plan(seed=run.trial.seed, jitter=JITTER_SECONDS)
    return _two_workers(run)


def clocks(run: Run) -> Outcome:
    """The same with clocks ten minutes apart."""
    run.place.plan(seed=run.trial.seed, jitter=JITTER_SECONDS, clock=CLOCKS)
    return _two_workers(run)


def _two_workers(run: Run) -> Outcome:
    lead = random.Random(run.trial.seed).uniform(0, LARGEST_LEAD_SECONDS)  # noqa: S311
    first = run.place.work()
    first.wait(lead)
    second = run.place.work()
    for worker in (first, second):
        worker.wait(WORK_SECONDS)
    run.work_until_idle()
    return run.judge(fired=True)


RIVALS = {Kind.RACE: race, Kind.CLOCKS: clocks}
