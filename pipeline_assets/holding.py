"""What a run holds while it works, and how it gives it back whatever happens.

A run holds its request, the leases of the dates that it refreshes, and its heartbeat. Silver opens
the dates, the last layer closes them. When a step fails, ``give_back`` (a Dagster failure hook,
because an IO manager's failure never reaches the asset's own code) refuses its dates and closes
the request. A run that is killed gives nothing back: its heartbeat stands, and others take over.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import dagster as dg

from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import LandfallError, LeaseHeldError, RefreshFailedError
from pipeline_assets.fingerprint import fingerprint
from pipeline_assets.jobs import REQUEST_TAG
from pipeline_assets.layers import Layer, layer_keys
from resources.landfall import Landfall
from resources.ledger.dates import Refresh
from resources.ledger.model import RunRequest
from resources.ledger.runs import Observer
from resources.parallel import in_parallel

POLLS_PER_LEASE = 10

_holdings: dict[str, "Holding"] = {}
"""Holdings of the runs of this process, for ``give_back``."""


@dataclass
class Holding:
    """What one run holds of one dataset."""

    landfall: Landfall
    dataset: Dataset
    run_id: str
    request_id: str | None
    refreshes: list[Refresh] = field(default_factory=list)

    @classmethod
    def begin(
        cls, context: dg.AssetExecutionContext, landfall: Landfall, dataset: Dataset
    ) -> "Holding":
        """Begin a step: take up what the run's earlier steps hold, and let its heart beat."""
        request_id = context.run.tags.get(REQUEST_TAG)
        run_id = context.run.run_id
        holding = cls(landfall, dataset, run_id, request_id)
        landfall.ledger.runs.start_beating(run_id)
        _holdings[run_id] = holding
        return holding

    def claim(self) -> RunRequest | None:
        """The run's request; ``None`` when it has none, or when it ended or is another run's."""
        if self.request_id is None:
            return None
        return self.landfall.ledger.requests.claim(self.dataset.name, self.request_id, self.run_id)

    def days_to_refresh(self, days: Iterable[str]) -> list[str]:
        """Those of the run's dates that it shall refresh.

        A run by hand refreshes every date that has fragments; one that was requested only those
        that are dirty, without the ones held by a contract that is still the same.
        """
        wanted = sorted(days)
        if self.request_id is None:
            return wanted
        contract = fingerprint(self.dataset)
        dirty = {
            each.event_date
            for each in self.landfall.ledger.dates.dirty(self.dataset.name)
            if not (each.held and each.fingerprint == contract)
        }
        return [day for day in wanted if day in dirty]

    def open(self, day: str) -> Refresh | None:
        """Take a date's lease, waiting for a run that holds it.

        Returns:
            ``None`` if the date never had rows, or if that run left nothing to refresh and nobody
            asked for the date by hand.

        Raises:
            LeaseHeldError: another run holds the date, is alive, and does not let go.
        """
        dates, settings = self.landfall.ledger.dates, self.landfall.settings
        observer = Observer(clock=time.monotonic)
        deadline = time.monotonic() + settings.request_seconds
        while True:
            refresh = dates.open(self.dataset.name, day, self.run_id)
            head = None if refresh else dates.head(self.dataset.name, day)
            if refresh is None and head is not None and head.lease_run is not None:
                refresh = self._take_over(day, head.lease_run, observer)
            if refresh is not None:
                self.refreshes.append(refresh)
                return refresh
            if head is None:
                return None
            if time.monotonic() > deadline:
                raise LeaseHeldError(self.dataset.name, day, run_id=head.lease_run or "?")
            time.sleep(settings.lease_seconds / POLLS_PER_LEASE)
            if self.request_id is not None and self._is_refreshed(day):
                return None

    def _is_refreshed(self, day: str) -> bool:
        head = self.landfall.ledger.dates.head(self.dataset.name, day)
        return head is not None and not head.dirty

    def catch_up(self, refresh: Refresh, stored: int) -> Refresh:
        """Hold a date at the version of its stored tables, which the ledger has not reached.

        Raises:
            LeaseLostError: another run holds the date.
        """
        later = self.landfall.ledger.dates.catch_up(refresh, self.run_id, stored)
        self.refreshes[self.refreshes.index(refresh)] = later
        return later

    def _take_over(self, day: str, other: str, observer: Observer) -> Refresh | None:
        beat = self.landfall.ledger.runs.last_beat(other)
        if not observer.is_standing(other, beat, self.landfall.settings.lease_seconds):
            return None
        return self.landfall.ledger.dates.take_over(
            self.dataset.name, day, run_id=self.run_id, dead_run=other
        )

    def take_up(self, days: Iterable[str]) -> list[str]:
        """Dates that a step after silver may write: those whose leases this run holds.

        A run by hand that begins after silver holds none, so it takes them here; its last step
        gives them back dirty, and they are refreshed as a whole.
        """
        wanted = sorted(days)
        leased = self.landfall.ledger.dates.leased(self.dataset.name, wanted, self.run_id)
        self.refreshes = leased
        if not leased and self.request_id is None:
            for day in wanted:
                self.open(day)
        return [refresh.event_date for refresh in self.refreshes]

    def refuse(self, faults: Mapping[str, LandfallError]) -> None:
        """Give every date back: refused ones with their fault, the others to go alone."""
        dates = self.landfall.ledger.dates
        contract = fingerprint(self.dataset)
        for refresh in self.refreshes:
            fault = faults.get(refresh.event_date)
            if fault is None:
                dates.set_alone(refresh, self.run_id)
            else:
                dates.refuse(refresh, self.run_id, fault, fingerprint=contract)
        self._end()

    def close(self) -> list[str]:
        """Give every date back as refreshed; returns those that a file turned meanwhile."""
        dates = self.landfall.ledger.dates
        closed = in_parallel(
            lambda each: dates.close(each, self.run_id),
            self.refreshes,
            threads=self.landfall.settings.io_threads,
        )
        left = [each for each, done in zip(self.refreshes, closed, strict=True) if not done]
        self._end()
        return [refresh.event_date for refresh in left]

    def finish_step(self, context: dg.AssetExecutionContext, layer: Layer) -> list[str]:
        """End a step: go on holding for the layers that follow, or give everything back.

        The dataset's last layer gives its dates back as refreshed if the run went through all of
        them, from silver on; any other last step leaves them dirty, to be refreshed as a whole.

        Returns:
            Dates that a file turned meanwhile.
        """
        selected = set(context.job_def.asset_layer.executable_asset_keys)
        layers = layer_keys(self.dataset)
        if any(layers[later] & selected for later in Layer if later > layer):
            return []
        refresh = set().union(*(layers[each] for each in Layer if each > Layer.BRONZE))
        if refresh <= selected:
            return self.close()
        self.release()
        return []

    def release(self) -> None:
        """Give every date back as it is: dirty, to be refreshed as a whole."""
        for refresh in self.refreshes:
            self.landfall.ledger.dates.release(refresh, self.run_id)
        self._end()

    def close_request(self) -> None:
        """Delete the run's request, if it has one."""
        if self.request_id is not None:
            self.landfall.ledger.requests.close(self.dataset.name, self.request_id, self.run_id)
            self.request_id = None

    def _end(self) -> None:
        self.refreshes = []
        self.close_request()
        self.landfall.ledger.runs.stop_beating(self.run_id)
        self.landfall.ledger.runs.end(self.run_id)
        _holdings.pop(self.run_id, None)

    def fail(self, fault: BaseException | None) -> None:
        """Give everything back after a step failed: its dates are tried again, or held."""
        if self.request_id is not None:
            self._give_up_files(self.request_id)
        own = fault if isinstance(fault, LandfallError) else None
        said = f"{type(fault).__name__}: {fault}" if fault else "its step failed"
        self.refuse(
            {
                each.event_date: own
                or RefreshFailedError(
                    self.dataset.name, each.event_date, run_id=self.run_id, fault=said
                )
                for each in self.refreshes
            }
        )

    def _give_up_files(self, request_id: str) -> None:
        standing = self.landfall.ledger.requests.open(self.dataset.name).requests
        for request in standing:
            if request.request_id == request_id and request.run_id == self.run_id:
                files = request.run.files
                self.landfall.ledger.files.give_up(files, self.dataset.name, self.run_id)


@dg.failure_hook(name="landfall_give_back")
def give_back(context: dg.HookContext) -> None:
    """Give back what a failed step's run still holds."""
    abandon(context.run_id, context.op_exception)


def let_go(run_id: str) -> None:
    """Give back what a run of this process holds when a person stopped it: no attempt counts."""
    holding = _holdings.get(run_id)
    if holding is not None:
        holding.release()


def abandon(run_id: str, fault: BaseException | None = None) -> None:
    """Give back what a run of this process still holds; nothing if it gave everything back."""
    holding = _holdings.get(run_id)
    if holding is not None:
        holding.fail(_cause(fault))


def _cause(fault: BaseException | None) -> BaseException | None:
    """The first cause: Dagster wraps what IO managers raise."""
    while (
        fault is not None and fault.__cause__ is not None and not isinstance(fault, LandfallError)
    ):
        fault = fault.__cause__
    return fault
