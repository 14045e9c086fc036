"""The outcome sensor: what a run that ended badly still holds is given back at once.

A failed step gives back by itself (``pipeline_assets/holding.py``), so this finds nothing then. It
is for runs that could not: stopped by a person, killed, or never begun. Without it their files and
dates come back too, once their heartbeat stood still for a lease; this is quicker, and it knows
whether anyone is to blame.

``plan`` decides, from data alone; ``give_back`` reads and acts, and is all that the Dagster sensors
do.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import (
    RefreshDiedError,
    RunCanceledError,
    RunNotStartedError,
)
from pipeline_assets.fingerprint import fingerprint
from pipeline_assets.registry import datasets
from resources.landfall import Landfall
from resources.ledger.model import RequestState, RunRequest
from sensors import landing


@dataclass(frozen=True)
class EndedRun:
    """A run that did not succeed.

    ``request_id`` is ``None`` for a run by hand, ``days`` are its partitions, ``stopped`` says that
    someone or something around it ended it: then no attempt counts.
    """

    run_id: str
    request_id: str | None
    days: tuple[str, ...]
    stopped: bool


@dataclass(frozen=True)
class Outcome:
    """What is to be given back: claimed requests, and those that the run never took up."""

    claimed: tuple[RunRequest, ...]
    not_begun: tuple[RunRequest, ...]


def plan(run: EndedRun, standing: Iterable[RunRequest]) -> Outcome:
    """Which of the standing requests were the run's.

    A run by hand claims requests that no tag names, so claimed ones are known by their run alone.
    """
    requests = tuple(standing)
    return Outcome(
        claimed=tuple(each for each in requests if each.run_id == run.run_id),
        not_begun=tuple(
            each
            for each in requests
            if each.state is RequestState.QUEUED and each.request_id == run.request_id
        ),
    )


def give_back(landfall: Landfall, run: EndedRun) -> str:
    """Give back what an ended run still holds; returns what was done, in a sentence."""
    done = []
    for dataset in datasets():
        days = _take_dates(landfall, run, dataset)
        done += [f"gave back {dataset.name} {day}" for day in days]
        outcome = plan(run, landfall.ledger.requests.open(dataset.name).requests)
        for request in outcome.claimed:
            _take(landfall, run, request)
            done.append(f"took back {request.request_id} with {len(request.run.files)} files")
        for request in outcome.not_begun:
            if landfall.ledger.requests.withdraw(request):
                _put_off(landfall, run, request)
                done.append(f"withdrew {request.request_id}, which was not begun")
    landfall.ledger.runs.end(run.run_id)
    return "; ".join(done) or "It had given back everything."


def _take(landfall: Landfall, run: EndedRun, request: RunRequest) -> None:
    """Take a request away from its run: as from a dead one, or without counting an attempt."""
    if not run.stopped:
        landing.give_up(landfall, request, run.run_id)
        return
    dataset = request.run.dataset
    landfall.ledger.files.give_up(
        request.run.files, dataset, run.run_id, error=RunCanceledError, alone=False
    )
    landfall.ledger.requests.close(dataset, request.request_id, run.run_id)


def _put_off(landfall: Landfall, run: EndedRun, request: RunRequest) -> None:
    """Let what a withdrawn request was for wait: its next run may well fail in the same way."""
    dataset = request.run.dataset
    error = RunCanceledError if run.stopped else RunNotStartedError
    landfall.ledger.files.give_up(request.run.files, dataset, run.run_id, error=error, alone=False)
    wait = landfall.settings.wait_after(1, of_environment=True)
    landfall.ledger.dates.put_off(dataset, [day for day, _ in request.run.versions], wait)


def _take_dates(landfall: Landfall, run: EndedRun, dataset: Dataset) -> list[str]:
    """Take dates away whose leases the run still holds; a late write of its is repaired."""
    dates = landfall.ledger.dates
    held = dates.leased(dataset.name, run.days, run.run_id)
    for refresh in held:
        what = f"{dataset.name} {refresh.event_date}"
        error = (
            RunCanceledError(what, run.run_id)
            if run.stopped
            else RefreshDiedError(dataset.name, refresh.event_date, run.run_id)
        )
        dates.give_up(refresh, run.run_id, error, fingerprint=fingerprint(dataset))
    return [refresh.event_date for refresh in held]
