"""What every command has in common: consoles, errors in a sentence, the environment, progress."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pipeline_assets import show
from pipeline_assets.errors import LandfallError

if TYPE_CHECKING:
    from resources.landfall import Landfall

P = ParamSpec("P")
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)
ANYWHERE = frozenset({"up", "down", "reset", "dev"})
"""Commands that do not need a local AWS of this home to be there."""


class Sentence(click.ClickException):
    """An error of ours on the terminal: one sentence, no traceback."""

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature
        """Print it."""
        err.print(f"[bold red]error:[/] {show.escape(self.message)}")


@contextmanager
def told() -> Iterator[None]:
    """Tell our errors in a sentence; a bug keeps its traceback."""
    try:
        yield
    except LandfallError as error:
        raise Sentence(str(error)) from error


def with_landfall(
    command: "Callable[Concatenate[Landfall, P], None]",
) -> Callable[P, None]:
    """Give a command the environment's Landfall, and tell its errors."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        from resources.landfall import landfall  # noqa: PLC0415 - seconds that --help need not take

        with told():
            environment = landfall()
            if environment.aws.is_local and command.__name__ not in ANYWHERE:
                from resources.local_aws import control  # noqa: PLC0415 - as in `up`

                control.require_own(environment.settings)
            command(environment, *args, **kwargs)

    return run


json_option = click.option("--json", "as_json", is_flag=True, help="Print facts as JSON.")


@contextmanager
def progress(what: str, *, total: int, quiet: bool) -> Iterator[Callable[[], None]]:
    """A progress bar on standard error; yields what moves it on by one."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True, disable=quiet) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
