"""Workers that die or stand still at an AWS call."""

import signal

from fault_lane import WORK_SECONDS
from fault_processes import await_until
from fault_scenario import FIRST
from fault_trials import Kind, Outcome, Run

MEMORY_ATTEMPTS = "2"
STOP_SECONDS = 30.0


def kill(run: Run) -> Outcome:
    """SIGKILL at one call, before its request or after its response; then work until idle."""
    run.place.plan(action=run.trial.kind.value, at=run.trial.at)
    run.place.work().wait(WORK_SECONDS)
    run.work_until_idle()
    return run.judge()


def stopped(run: Run) -> Outcome:
    """SIGSTOP before a write, until another worker took over and finished; then SIGCONT."""
    run.place.plan(action="stop", at=run.trial.at)
    first = run.place.work()
    await_until(lambda: first.is_stopped() or first.ended.is_set(), STOP_SECONDS)
    run.note_fault()
    second = run.place.work()
    second.wait(WORK_SECONDS)
    first.send(signal.SIGCONT)
    first.wait(WORK_SECONDS)
    run.work_until_idle()
    return run.judge()


def memory(run: Run) -> Outcome:
    """A file whose load kills its process, every time: it ends ``DEAD``, and alone."""
    key = run.trial.at
    run.place.settings["LANDFALL_MAX_ATTEMPTS"] = MEMORY_ATTEMPTS
    bucket = run.place.landfall.bucket.name
    action = "kill-before" if run.trial.seed % 2 else "kill-after"
    run.place.plan(action=action, at=f"GetObject {bucket}/{key}", every=True)
    stays = "first" if key in FIRST else "without"
    run.variant, run.expected = f"{stays} {key}", (f"DEAD: {key}",)
    run.lenient = key
    run.work_until_idle()
    return run.judge()


CRASHES = {
    Kind.KILL_BEFORE: kill,
    Kind.KILL_AFTER: kill,
    Kind.STOPPED: stopped,
    Kind.MEMORY: memory,
}
