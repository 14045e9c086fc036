"""Where trials run: a local AWS and a Dagster home of their own, copied from a template."""

import json
import os
import shutil
import signal
import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fault_processes import (
    HOOKED_PATH,
    HarnessError,
    Nursery,
    Process,
    await_until,
    plain_environment,
    start_landfall,
)
from fault_scenario import FIRST, THEN, Files

from pipeline_assets.environment import start
from resources.aws import Aws
from resources.landfall import Landfall
from resources.local_aws.record import DATA_FILE, read_record, write_record
from resources.settings import Settings

VISIBILITY_SECONDS = 1
"""Of the landing queue: a message that a killed worker had received comes again soon."""
START_SECONDS = 30.0
WORK_SECONDS = 60.0
"""A trial that is not idle so long after its last fault is stuck."""
FORMER_WALK_SECONDS = 3600.0
"""Age of the template's walk through the landing bucket: in every trial the next one is due, once
(``LANDFALL_RECONCILE_SECONDS`` is 900 by default)."""
WORKER_SETTINGS = {
    "LANDFALL_WORK_RUNS": "1",
    "LANDFALL_LEASE_SECONDS": "0.8",
    "LANDFALL_REQUEST_SECONDS": "6",
    "LANDFALL_BACKOFF_SECONDS": "0.02",
    "LANDFALL_BACKOFF_MAX_SECONDS": "0.2",
    "LANDFALL_MAX_ATTEMPTS": "60",
}
"""One process, which is what breaks; short waits; so many attempts that being killed never makes a
file ``DEAD``."""


@dataclass(frozen=True)
class Nurseries:
    """Preloaded processes, shared by all lanes."""

    workers: Nursery
    servers: Nursery

    @classmethod
    def open(cls) -> "Nurseries":
        """Start both."""
        here = str(Path(__file__).parent)
        return cls(Nursery("worker", path=HOOKED_PATH), Nursery("server", path=here))

    def close(self) -> None:
        """End both, with all their children."""
        self.workers.close()
        self.servers.close()


@dataclass
class Place:
    """One trial's local AWS, homes and processes."""

    folder: Path
    port: int
    nurseries: Nurseries
    settings: dict[str, str] = field(default_factory=dict)
    server: Process | None = None
    servers: list[Process] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    real: bool = False
    """Whether workers are `landfall` processes rather than forks."""
    worker_port: int | None = None
    """Where workers find AWS, if not at the server itself."""

    @property
    def aws_home(self) -> Path:
        """Home of the local AWS."""
        return self.folder / "aws"

    @cached_property
    def landfall(self) -> Landfall:
        """The product's own view of this place, for looking at it from outside."""
        landfall = Landfall()
        landfall.aws = Aws(Settings(home=self.aws_home, local_port=self.port))
        return landfall

    def start_server(self) -> None:
        """Start the local AWS and wait until it answers."""
        arguments = ["--port", str(self.port), "--home", str(self.aws_home)]
        server = self.nurseries.servers.start(
            arguments, plain_environment(), self.folder / "server.log"
        )
        listening = await_until(
            lambda: read_record(self.aws_home) is not None or server.ended.is_set(), START_SECONDS
        )
        if not listening or server.ended.is_set():
            raise HarnessError(f"no local AWS on port {self.port}: see {server.output}")
        self.server = server
        self.servers.append(server)

    def stop_server(self) -> None:
        """End the local AWS as `landfall down` does: its data stays."""
        assert self.server is not None
        self.server.send(signal.SIGTERM)
        if self.server.wait(START_SECONDS) is None:
            raise HarnessError("the local AWS did not end")

    def plan(self, **plan: object) -> None:
        """Set what shall go wrong in the workers that are started from now on."""
        facts = {"folder": str(self.folder), **plan}
        (self.folder / "plan.json").write_text(json.dumps(facts))

    def work(self) -> Process:
        """Start `landfall work --until-idle`."""
        return self.start("work", "--until-idle", "--json", "--timeout", str(WORK_SECONDS))

    def start(self, *command: str) -> Process:
        """Start a `landfall` command; all of a place have one home, as on one machine."""
        number = len(self.processes) + 1
        home = self.folder / "home"
        record = read_record(self.aws_home)
        if record is not None:
            write_record(home, record)
        environment = {
            **plain_environment(),
            **WORKER_SETTINGS,
            **self.settings,
            "LANDFALL_HOME": str(home),
            "LANDFALL_LOCAL_PORT": str(self.worker_port or self.port),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "FAULT_PLAN": str(self.folder / "plan.json"),
            "FAULT_PROCESS": str(number),
        }
        start_one = start_landfall if self.real else self.nurseries.workers.start
        process = start_one(command, environment, self.folder / f"{command[0]}-{number}.log")
        self.processes.append(process)
        return process

    def lines(self, file: str) -> list[str]:
        """What the workers noted in a file."""
        path = self.folder / file
        return path.read_text().splitlines() if path.exists() else []

    def everything(self) -> list[Process]:
        """Every process that was started here."""
        return [*self.processes, *self.servers]

    def end(self) -> None:
        """Kill whatever still runs here."""
        for process in self.everything():
            process.kill()


@dataclass
class Lanes:
    """Makes places from one template."""

    root: Path
    nurseries: Nurseries

    @cached_property
    def template(self) -> Path:
        """Folder with the state in which every trial begins."""
        return self.root / "template"

    def build(self) -> None:
        """Load ``FIRST`` undisturbed, land ``THEN``, and keep that as the template."""
        place = Place(self.template, free_port(), self.nurseries)
        (place.folder / "home").mkdir(parents=True)
        place.plan(clock={"1": -FORMER_WALK_SECONDS})
        try:
            place.start_server()
            start(place.landfall)
            shorten_visibility(place)
            land(place, FIRST)
            if place.work().wait(WORK_SECONDS) != 0:
                raise HarnessError(f"the template could not be loaded: see {place.folder}")
            land(place, THEN)
            place.stop_server()
        finally:
            place.end()

    @contextmanager
    def place(self, name: str, *, keep: Path | None = None) -> Iterator[Place]:
        """A fresh place in the template's state, its AWS running; ended and removed afterwards.

        With ``keep`` its folder is put there instead.
        """
        folder = self.root / f"{name}-{uuid.uuid4().hex[:6]}"
        shutil.copytree(self.template / "home", folder / "home")
        (folder / "aws").mkdir()
        shutil.copy(self.template / "aws" / DATA_FILE, folder / "aws" / DATA_FILE)
        place = Place(folder, free_port(), self.nurseries)
        place.plan()
        try:
            place.start_server()
            yield place
        finally:
            place.end()
            if keep:
                shutil.copytree(folder, keep / folder.name)
            shutil.rmtree(folder)


def free_port() -> int:
    """A port of the loopback that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def shorten_visibility(place: Place) -> None:
    """Let a received message come again soon, should its receiver die."""
    sqs = place.landfall.aws.sqs
    url = sqs.get_queue_url(QueueName=place.landfall.settings.landing_queue)["QueueUrl"]
    sqs.set_queue_attributes(
        QueueUrl=url, Attributes={"VisibilityTimeout": str(VISIBILITY_SECONDS)}
    )


def land(place: Place, files: Files) -> None:
    """Put bytes at keys of the landing bucket."""
    for key, content in files.items():
        place.landfall.aws.s3.put_object(Bucket=place.landfall.bucket.name, Key=key, Body=content)


@contextmanager
def open_lanes(parent: Path | None = None) -> Iterator[Lanes]:
    """Nurseries and a template below a folder in memory, removed afterwards."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder in memory, and one of our own below it
    parent = parent or (memory if os.access(memory, os.W_OK) else None)
    root = Path(tempfile.mkdtemp(prefix="landfall-faults-", dir=parent))
    nurseries = Nurseries.open()
    lanes = Lanes(root, nurseries)
    try:
        lanes.build()
        yield lanes
    finally:
        nurseries.close()
        shutil.rmtree(root, ignore_errors=True)
