"""The command line. Each command parses, calls one function, and prints what it says."""

import math
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline_assets import show
from pipeline_assets.commands.dead_letters import dead_letters
from pipeline_assets.commands.explain import explain
from pipeline_assets.commands.forget import forget
from pipeline_assets.commands.pull import pull
from pipeline_assets.commands.reconcile import reconcile
from pipeline_assets.commands.replay import replay
from pipeline_assets.commands.terminal import (
    Commands,
    ask,
    dataset_option,
    err,
    json_option,
    out,
    progress,
    with_landfall,
)
from pipeline_assets.commands.watch import watch
from pipeline_assets.errors import ConfigurationError, NotUtf8Error

if TYPE_CHECKING:
    from resources.landfall import Landfall

SHOWN_KEYS = 10


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="landfall")
def main() -> None:
    """Files that land in S3 become tables that people trust.

    Without LANDFALL_ENV=aws and without AWS_ENDPOINT_URL everything uses a local AWS; start it
    with `landfall up`.
    """


@main.command(short_help="Start the local AWS, and make what is missing in it.")
@json_option
@with_landfall
def up(landfall: "Landfall", *, as_json: bool) -> None:
    """Start or reuse the local AWS and make buckets, queues, tables and topic."""
    from pipeline_assets.environment import start  # noqa: PLC0415 - moto is for local use only

    started = start(landfall)
    show.facts(out, asdict(started), as_json=as_json, headline=started.headline)


@main.command(short_help="Stop the local AWS; its data stays.")
@with_landfall
def down(landfall: "Landfall") -> None:
    """Stop the local AWS; its data stays."""
    from resources.local_aws import control  # noqa: PLC0415 - as in `up`

    stopped = control.down(landfall.settings)
    out.print("The local AWS is stopped; its data stays." if stopped else "No local AWS ran here.")


@main.command(short_help="Stop the local AWS and forget everything in it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_landfall
def reset(landfall: "Landfall", *, yes: bool) -> None:
    """Stop the local AWS and forget everything in it, and the Dagster instance's history."""
    from resources.local_aws import control  # noqa: PLC0415 - as in `up`

    home = landfall.settings.home.resolve()
    if landfall.settings.env == "aws":
        raise ConfigurationError("LANDFALL_ENV=aws is set: unset it to reset the local AWS.")
    if not yes:
        ask(f"Forget the local AWS and the runs in {home}?")
    forgotten = control.reset(landfall.settings)
    done = f"Forgotten: the local AWS and the Dagster instance in {home}."
    out.print(done if forgotten else f"There is nothing to forget: {home} is no folder.")


@main.command(short_help="Upload files to the landing bucket.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@dataset_option("Dataset that the files belong to.", required=True)
@click.option("--key", help="Key below the dataset's prefix; for a single file.")
@json_option
@with_landfall
def land(
    landfall: "Landfall", paths: tuple[Path, ...], dataset: str, key: str | None, *, as_json: bool
) -> None:
    """Upload files to the landing bucket; a folder keeps its tree."""
    from pipeline_assets.upload import plan_uploads, upload  # noqa: PLC0415 - starts quicker

    uploads = plan_uploads(paths, dataset, key)
    _refuse_unwritable([each.key for each in uploads])
    with progress("landing", total=len(uploads), quiet=as_json) as advance:
        landed = upload(landfall, uploads, advance)
    facts = {
        "files": len(landed),
        "bytes": sum(each.size for each in landed),
        "keys": [each.key for each in landed],
    }
    headline = (
        f"{show.number(len(landed), 'file')} landed in s3://{landfall.bucket.name}/{dataset}/"
    )
    show.facts(out, facts, as_json=as_json, headline=headline)
    for each in () if as_json else landed[:SHOWN_KEYS]:
        out.print(f"  {show.escape(each.key)}")
    if not as_json and len(landed) > SHOWN_KEYS:
        out.print(f"  and {len(landed) - SHOWN_KEYS:,} more")


@main.command(short_help="Load and refresh here, without the UI.")
@click.option("--until-idle", is_flag=True, help="Stop when nothing is pending or dirty.")
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds to work at most.")
@json_option
@with_landfall
def work(landfall: "Landfall", *, until_idle: bool, timeout: float | None, as_json: bool) -> None:
    """Run sensors, queue and runs here, without the UI; exit 1 if a person is needed.

    With --until-idle a walk through the landing bucket that is due (LANDFALL_RECONCILE_SECONDS) is
    finished first: nothing that landed is left out, and a bucket of millions takes minutes.
    """
    if timeout is not None and not math.isfinite(timeout):
        raise click.BadParameter("give a number of seconds", param_hint="--timeout")
    from pipeline_assets.definitions import build_defs  # noqa: PLC0415 - takes seconds
    from pipeline_assets.report import status as read_status  # noqa: PLC0415
    from pipeline_assets.work import Worker  # noqa: PLC0415
    from resources import home_locks  # noqa: PLC0415
    from resources.dagster_instance import open_instance  # noqa: PLC0415

    landfall.queue.depth()  # an AWS that does not answer is told at once
    with (
        home_locks.working(landfall.settings),
        open_instance(landfall.settings) as instance,
        show.spinner(err, quiet=as_json) as say,
    ):
        at_once = landfall.settings.work_runs
        worker = Worker(landfall, instance, build_defs(), say, runs_at_once=at_once)
        report = worker.work(until_idle=until_idle, timeout=timeout)
    status = read_status(landfall)
    show.work(out, report, status, as_json=as_json)
    if report.timed_out or status.needs_a_person:
        sys.exit(1)


@main.command(short_help="Start the local AWS and Dagster's UI.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port of the UI."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the UI.")
@with_landfall
def dev(landfall: "Landfall", *, port: int, host: str) -> None:
    """Start the local AWS and Dagster's UI with this instance, sensors on."""
    from pipeline_assets.environment import start  # noqa: PLC0415 - as in `up`
    from resources import home_locks  # noqa: PLC0415
    from resources.dagster_instance import PROJECT, open_instance  # noqa: PLC0415
    from resources.run_launcher.launcher import ForkingRunLauncher  # noqa: PLC0415

    workspace = PROJECT / "workspace.yaml"
    if not workspace.is_file():
        raise ConfigurationError(f"There is no {workspace}: run `landfall dev` from a checkout.")
    _refuse_taken(host, port)
    started = start(landfall)
    if not home_locks.hold_ui(landfall.settings):
        raise ConfigurationError(f"A UI of {started.home} runs already: end that `landfall dev`.")
    out.print(started.headline)
    out.print(f"Dagster's UI: http://{host}:{port}  (Ctrl-C ends it)")
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(workspace)]
    command += ["--port", str(port), "--host", host]
    with open_instance(landfall.settings) as instance:
        environment = os.environ | {
            "DAGSTER_HOME": instance.root_directory,
            "LANDFALL_HOME": str(landfall.settings.home.resolve()),
            "PYTHONWARNINGS": "ignore:Function `dev_command` is superseded",
        }
        os.chdir(instance.root_directory)  # elsewhere Dagster warns of other dagster.yaml
        if isinstance(instance.run_launcher, ForkingRunLauncher):
            instance.run_launcher.start_server(environment)
    sys.stdout.flush()
    os.execve(sys.executable, command, environment)  # noqa: S606 - our own command, in our place


@main.command(short_help="Show files, backlog, dates and queues as they are now.")
@json_option
@with_landfall
def status(landfall: "Landfall", *, as_json: bool) -> None:
    """Files by state, backlog, oldest age, dirty and held dates, queue and dead-letter depth."""
    from pipeline_assets.report import status as read_status  # noqa: PLC0415 - starts quicker

    show.status(out, read_status(landfall), as_json=as_json)


def _refuse_unwritable(keys: Sequence[str]) -> None:
    """Refuse names whose bytes are no UTF-8, which every key is, before anything lands."""
    for key in keys:
        try:
            key.encode()
        except UnicodeEncodeError:
            raise NotUtf8Error(key) from None


def _refuse_taken(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"The UI cannot listen on {host}:{port} ({error.strerror}): choose another --port."
            ) from None


for command in (explain, forget, replay, dead_letters, watch, reconcile, pull):
    main.add_command(command)


if __name__ == "__main__":
    main()
