"""Samples through the whole pipeline by the commands that anyone would type, then an account."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape

from pipeline_assets.datasets.events import DATASET
from pipeline_assets.demo.samples import Samples, write_samples
from pipeline_assets.demo.summary import disagreements, read_outcome, show_next, show_outcome
from pipeline_assets.errors import LandfallError
from resources.landfall import landfall

WORK_SECONDS: Final = 300
"""The samples take a fraction of it; a pipeline that never comes to rest ends here."""


def run(console: Console, *arguments: str) -> None:
    """Run a `landfall` command, shown as it is typed.

    Raises:
        CalledProcessError: it failed; it has said why.
    """
    console.print(f"[bold]$ landfall {escape(' '.join(arguments))}[/]")
    begin = time.monotonic()
    command = [sys.executable, "-m", "pipeline_assets.cli", *arguments]
    subprocess.run(command, check=True)  # noqa: S603  # our own module
    console.print(f"[dim]{time.monotonic() - begin:.1f} s[/]")


def process_samples(console: Console, folder: Path) -> Samples:
    """Write the samples, land them, and work until nothing waits.

    Raises:
        CalledProcessError: a command failed.
    """
    run(console, "up")
    samples = write_samples(folder)
    records = sum(len(file.records) for file in samples.files)
    console.print(f"{records:,} records in {len(samples.files)} sample files are written.")
    run(console, "land", str(folder), "--dataset", DATASET.name)
    run(console, "work", "--until-idle", "--timeout", str(WORK_SECONDS))
    return samples


def summarize(console: Console, samples: Samples) -> bool:
    """Print what the pipeline made of the samples; say whether it is what it must be.

    Raises:
        LandfallError: the environment's AWS does not answer, or lacks something.
    """
    outcome = read_outcome(landfall(), list(samples.accounts))
    show_outcome(console, samples, outcome)
    wrong = disagreements(samples, outcome)
    for sentence in wrong:
        console.print(f"[red]{escape(sentence)}[/]")
    if wrong:
        console.print(
            "The tables differ from the generator's account. If files of your own landed on these "
            "dates, `.venv/bin/landfall reset` forgets everything, and the demo begins anew."
        )
        return False
    console.print("[green]Every record is accounted for, as the generator says.[/]")
    show_next(console, samples)
    return True


def main() -> int:
    """Run the demonstration; 0 if every account agrees."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        with tempfile.TemporaryDirectory(prefix="landfall-samples-") as folder:
            samples = process_samples(console, Path(folder))
        return 0 if summarize(console, samples) else 1
    except subprocess.CalledProcessError as failed:
        return failed.returncode
    except LandfallError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
