"""A real run in a process of its own that gets stuck, for tests to kill or stop.

Arguments: the id of the run, the id of its request or ``-`` for a run by hand, and where it gets
stuck: ``loading`` a file, or ``writing`` silver.
"""

import os
import signal
import sys
from pathlib import Path

import dagster as dg

from pipeline_assets.definitions import build_defs
from pipeline_assets.jobs import job_name, partition_key, run_tags
from resources.dagster_instance import open_instance
from resources.landfall import Landfall
from resources.landing_zone import LandingBucket
from resources.ledger.model import RequestKind, RunRequest

STUCK = "stuck"
TOLD = os.dup(1)
"""Where the test listens: during a step, Dagster turns the process's output to its own logs."""
DAY = "2025-03-01"


class StuckBucket(LandingBucket):
    """Objects begin to be downloaded and never end."""

    def download(self, key: str, etag: str, path: Path) -> None:
        get_stuck(key, etag, path)


class StuckIOManager(dg.IOManager):
    """Tables begin to be written and never end."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        get_stuck(context, obj)

    def load_input(self, context: dg.InputContext) -> object:
        raise NotImplementedError(context)


def get_stuck(*_: object) -> None:
    """Say so, and wait for a signal."""
    os.write(TOLD, f"{STUCK}\n".encode())
    signal.pause()


def asked(landfall: Landfall, request_id: str) -> RunRequest:
    """The standing request of that id."""
    standing = landfall.ledger.requests.open("events").requests
    return next(each for each in standing if each.request_id == request_id)


def main(run_id: str, request_id: str, where: str) -> None:
    """Execute the run."""
    landfall = Landfall()
    if where == "loading":
        landfall.__dict__["bucket"] = StuckBucket(landfall.aws)
    definitions = build_defs({"landfall": landfall, "lake": StuckIOManager()})
    request = None if request_id == "-" else asked(landfall, request_id)
    kind = request.run.kind if request else RequestKind.REFRESH
    with open_instance(landfall.settings) as instance:
        definitions.resolve_job_def(job_name("events", kind)).execute_in_process(
            instance=instance,
            run_id=run_id,
            partition_key=partition_key(request) if request else DAY,
            tags=run_tags(request) if request else None,
            raise_on_error=False,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
