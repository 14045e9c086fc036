"""Samples through the whole pipeline by the commands that anyone would type, then an account."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Final

from rich.console import Console
from rich.markup import escape

from pipeline_assets.demo.expectation import DatasetSamples, Plan
from pipeline_assets.demo.outcome import disagreements, read_outcome
from pipeline_assets.demo.samples import make_samples, write_samples
from pipeline_assets.demo.summary import show_account, show_next, show_tables
from pipeline_assets.errors import LandfallError
from resources.landfall import Landfall, landfall
from resources.local_aws.crm_server import TOKEN, CrmServer, serving

WORK_SECONDS: Final = 300
"""The samples take a fraction of it; a pipeline that never comes to rest ends here."""
NO_SETTINGS: Final[Mapping[str, str]] = {}


def run(console: Console, *arguments: str) -> None:
    """Run a `landfall` command, shown as it is typed.

    Raises:
        CalledProcessError: it failed; it has said why.
    """
    _run(console, arguments, NO_SETTINGS, stdout=None)


def _run(
    console: Console, arguments: Sequence[str], settings: Mapping[str, str], *, stdout: int | None
) -> str:
    typed = (*(f"{name}={value}" for name, value in settings.items()), "landfall", *arguments)
    console.print(f"[bold]$ {escape(' '.join(typed))}[/]")
    begin = time.monotonic()
    command = [sys.executable, "-m", "pipeline_assets.cli", *arguments]
    done = subprocess.run(  # noqa: S603  # our own module
        command, check=True, env=os.environ | settings, stdout=stdout, text=True
    )
    console.print(f"[dim]{time.monotonic() - begin:.1f} s[/]")
    return done.stdout or ""


@contextmanager
def crm_address() -> Iterator[str]:
    """Address of a small CRM: the local AWS's own, or one beside another endpoint."""
    environment = landfall()
    if environment.aws.is_local:
        yield environment.settings.local_crm_url
        return
    with serving(CrmServer()) as url:
        yield url


def pull_customers(console: Console) -> date:
    """Land the CRM's customers; gives the day that they are landed for.

    Raises:
        CalledProcessError: the pull failed; it has said why.
    """
    with crm_address() as url:
        settings = {"LANDFALL_CRM_URL": url, "LANDFALL_CRM_TOKEN": TOKEN}
        pulled = json.loads(_run(console, ("pull", "--json"), settings, stdout=subprocess.PIPE))
    console.print(f"{pulled['records']} customers of the CRM landed at {escape(pulled['key'])}.")
    folder = PurePosixPath(pulled["key"]).parent.name
    return date.fromisoformat(folder.removeprefix("dt="))


def process_samples(console: Console, folder: Path) -> tuple[DatasetSamples, ...]:
    """Write the samples, land them, and work until nothing waits.

    Raises:
        CalledProcessError: a command failed.
    """
    run(console, "up")
    samples = make_samples(Plan(), pulled_on=pull_customers(console))
    files = [file for each in samples for file in each.files]
    records = sum(file.records for file in files)
    console.print(f"{records:,} records in {len(files)} sample files are written.")
    for each in samples:
        write_samples(folder / each.dataset, each)
        run(console, "land", str(folder / each.dataset), "--dataset", each.dataset)
    run(console, "work", "--until-idle", "--timeout", str(WORK_SECONDS))
    return samples


def summarize(console: Console, environment: Landfall, samples: Sequence[DatasetSamples]) -> bool:
    """Print what the pipeline made of the samples; say whether it is what it must be.

    Raises:
        LandfallError: the environment's AWS does not answer, or lacks something.
    """
    wrong: list[str] = []
    for each in samples:
        outcome = read_outcome(environment, each)
        show_account(console, each, outcome)
        show_tables(console, each, outcome)
        wrong += disagreements(each, outcome)
    for sentence in wrong:
        console.print(f"[red]{escape(sentence)}[/]")
    if wrong:
        console.print(
            "The tables differ from the generators' account. If files of your own landed on these "
            "dates, `.venv/bin/landfall reset` forgets everything, and the demo begins anew."
        )
        return False
    console.print("[green]Every record is accounted for, as the generators say.[/]")
    show_next(console, samples[0])
    return True


def main() -> int:
    """Run the demonstration; 0 if every account agrees."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        with tempfile.TemporaryDirectory(prefix="landfall-samples-") as folder:
            samples = process_samples(console, Path(folder))
        return 0 if summarize(console, landfall(), samples) else 1
    except subprocess.CalledProcessError as failed:
        return failed.returncode
    except LandfallError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
