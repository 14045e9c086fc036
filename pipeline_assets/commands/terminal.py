"""What every command has in common: consoles, questions, errors in a sentence, progress."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial, wraps
from typing import IO, TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pipeline_assets import show
from pipeline_assets.errors import LandfallError

if TYPE_CHECKING:
    from resources.landfall import Landfall

P = ParamSpec("P")
Decorated = TypeVar("Decorated", bound=Callable[..., Any])
# A key such as `:on:.csv` is no emoji.
out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
ANYWHERE = frozenset({"up", "down", "reset", "dev"})
"""Commands that do not need a local AWS of this home to be there."""


class Sentence(click.ClickException):
    """An error of ours on the terminal: one sentence, no traceback."""

    def show(self, file: IO[Any] | None = None) -> None:  # noqa: ARG002 - click's signature
        """Print it."""
        err.print(f"[bold red]error:[/] {show.escape(self.message)}")


class Answer:
    """Standard output that remembers whether it could be written."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.fault: OSError | None = None

    def write(self, text: str) -> int:
        """Write text; raises OSError as the stream does."""
        with self._noted():
            return self._stream.write(text)

    def flush(self) -> None:
        """Write what is buffered; raises OSError as the stream does."""
        with self._noted():
            self._stream.flush()

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.fault = error
            raise

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._stream, name)


class Commands(click.Group):
    """Commands that end with a sentence when their answer cannot be written."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - click's own signature
        """Run a command; a full disk is told, a reader that went away (``head``) is not."""
        if sys.stdout is None:
            return super().main(*args, **kwargs)
        answer = Answer(sys.stdout)
        try:
            with redirect_stdout(cast("IO[str]", answer)):
                return super().main(*args, **kwargs)
        except OSError as error:
            if error is not answer.fault:
                raise
            reason = error.strerror or str(error)
            Sentence(f"The answer cannot be written to standard output: {reason}.").show()
            sys.exit(1)
        finally:
            if answer.fault is not None:
                _silence(sys.stdout)


def _silence(stream: IO[str]) -> None:
    """Let what is left go nowhere, so that the interpreter can flush it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


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


def is_asked() -> bool:
    """Whether somebody sits at a terminal who can answer."""
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


def ask(question: str) -> None:
    """Ask a person at the terminal; Ctrl-C is a no.

    Raises:
        click.Abort: the answer was no.
        click.UsageError: there is nobody to be asked.
    """
    if sys.stdin is None:
        raise click.UsageError("There is no terminal to ask at: give --yes.")
    # Polars' own handler of Ctrl-C lets the system go on reading: only Enter would end the wait.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    click.confirm(question, abort=True)


def confirmed(question: str, *, yes: bool, as_json: bool) -> None:
    """Ask a person at a terminal; a script, ``--yes`` and ``--json`` are never asked.

    Raises:
        click.Abort: the answer was no.
    """
    if is_asked() and not yes and not as_json:
        ask(question)


json_option = click.option("--json", "as_json", is_flag=True, help="Print facts as JSON.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Only show what would be done.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask, as when there is no terminal.")


def dataset_option(
    text: str, *, required: bool = False, or_none: bool = False
) -> Callable[[Decorated], Decorated]:
    """``--dataset``: one of those there are, or, with ``or_none``, what stands below none."""
    known = partial(_known_dataset, or_none)
    return click.option("--dataset", required=required, help=text, callback=known)


def _known_dataset(
    or_none: bool,  # noqa: FBT001 - click gives the others by place
    _: click.Context,
    option: click.Parameter,
    name: str | None,
) -> str | None:
    if name is None:
        return None
    from pipeline_assets.registry import datasets  # noqa: PLC0415 - seconds that --help need not take
    from resources.ledger.model import NO_DATASET  # noqa: PLC0415

    with told():
        names = [*(each.name for each in datasets()), *([NO_DATASET] if or_none else [])]
    if name not in names:
        raise click.BadParameter(
            f"{name!r} is no dataset; there is {', '.join(map(repr, names))}.", param=option
        )
    return name


@contextmanager
def progress(what: str, *, total: int, quiet: bool) -> Iterator[Callable[[], None]]:
    """A progress bar on standard error; yields what moves it on by one."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True, disable=quiet) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
