"""What a terminal is given: nothing that it obeys, nothing cut off, and words that agree."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from pipeline_assets import show
from pipeline_assets.cli import main
from pipeline_assets.commands import terminal
from pipeline_assets.operations.dead_letters import DeadFiles, ListedFile
from pipeline_assets.report import DatasetStatus, Status
from pipeline_assets.show_listings import dead_files_told, listing_told
from pipeline_assets.work import Backlog, WorkReport
from resources.ledger.listing import COUNTS, DateListing, ListingReport, counts
from resources.ledger.model import DeadFile, Fault

USAGE_ERROR = 2
HOSTILE = "a\x1b[2J\x07\x9b\x7f\r\nb\u202e\udcff[red]:smile:\t"
SHOWN = r"a\x1b[2J\x07\x9b\x7f\x0d\x0ab\u202e\udcff[red]:smile:\x09"
AT = "2025-03-10T09:30:01.123Z"
LONG_KEY = "events/dt=2025-03-10/" + "a-long-name-" * 12 + "[1] x.jsonl.gz"


def printed(say: Callable[[Console], object], *, width: int = 80, at_terminal: bool = False) -> str:
    """What a function prints on a console like that of the commands."""
    text = io.StringIO()
    console = Console(
        file=text,
        width=width,
        force_terminal=at_terminal,
        color_system=None,
        highlight=False,
        soft_wrap=True,
        emoji=False,
    )
    say(console)
    return text.getvalue()


def test_no_control_character_reaches_the_terminal() -> None:
    assert printed(lambda out: out.print(show.escape(HOSTILE))) == SHOWN + "\n"
    assert terminal.out._emoji is terminal.err._emoji is False


def test_facts_as_json_are_what_they_were_and_printable() -> None:
    facts = {"key": HOSTILE, "plain": "é", "none": None, "rows": [1]}

    text = printed(lambda out: show.print_json(out, facts), width=20)

    assert json.loads(text) == facts
    assert '"é"' in text
    assert not show.UNSEEN.search(text.replace("\n", ""))


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (1000, "1,000 files")]
)
def test_a_noun_agrees_with_its_count(count: int, text: str) -> None:
    assert show.number(count, "file") == text


def test_what_waits_is_named_without_what_does_not() -> None:
    assert show.backlog(Backlog(1, 2, 0, 1)) == "1 message, 2 files, 1 date"
    assert show.backlog(Backlog(0, 0, 0, 0)) == "nothing"


def dead_file(number: int) -> DeadFile:
    return DeadFile(f"{number:016x}", "events", 1, "key", 1, Fault("X", f"fault {number}", AT))


EMPTY = DatasetStatus("events", {}, 0, None, (), {}, 0)
CALM = Status(
    (EMPTY,), (), has_queue=True, queue_waiting=3, queue_in_flight=0, dead_letter_messages=0
)


@pytest.mark.parametrize(("dead", "more"), [(20, None), (21, "and 1 more: landfall dead-letters")])
def test_only_the_first_dead_files_are_named(dead: int, more: str | None) -> None:
    state = replace(CALM, dead=tuple(map(dead_file, range(dead))))

    for say in (
        lambda out: show.status(out, state, as_json=False),
        lambda out: show.work(out, WorkReport(runs=1), state, as_json=False),
    ):
        lines = [line for line in printed(say).splitlines() if line.startswith("DEAD")]
        assert lines[:20] == [f"DEAD fault {number} (1 attempt)" for number in range(20)]
        assert lines[20:] == ([f"DEAD {more}"] if more else [])


def test_a_held_date_is_told_in_short_with_the_ways_out() -> None:
    held = replace(EMPTY, held_dates={"2025-03-10": "events 2025-03-10 is refused: " + "x" * 5000})

    text = printed(lambda out: show.status(out, replace(CALM, datasets=(held,)), as_json=False))

    (line,) = [line for line in text.splitlines() if line.startswith("HELD events")]
    assert len(line) < 500
    assert "landfall forget --key" in text
    assert "HELD" not in printed(lambda out: show.status(out, CALM, as_json=False))


def test_a_bucket_without_a_queue_has_no_messages_that_wait() -> None:
    assert show.queue_line(CALM).startswith("landing queue: 3 waiting")
    assert "waiting" not in show.queue_line(replace(CALM, has_queue=False))


def listed(key: str) -> ListedFile:
    return ListedFile(key, "events", "0" * 16, 1, AT, "CorruptFileError", f"{key}: cut", "mend it")


@pytest.mark.parametrize("width", [30, 80, 200])
def test_a_dead_files_key_is_whole_in_a_line_of_its_own(width: int) -> None:
    dead = DeadFiles((listed(LONG_KEY),), 0, 1, 0)

    def say(out: Console) -> None:
        dead_files_told(out, dead, has_queue=False)

    text = printed(say, width=width, at_terminal=True)

    first, *others = text.splitlines()
    assert first == LONG_KEY
    block = others[: others.index("1 dead file")]
    assert all(line.startswith("  ") and len(line) <= width for line in block)
    words = " ".join(" ".join(block).split())
    assert (
        "1 attempt, dead since 2025-03-10 09:30:01 UTC CorruptFileError: cut Next: mend it" in words
    )
    assert "dead-letter queue: 1 message\n" in text
    assert "the landing queue's dead-letter queue: there is none" in text


REPORT = ListingReport(
    1,
    AT,
    AT,
    (
        DateListing("events", "2025-03-10", 1200, 3, 1, 2, 1, ("events/new.csv",), (LONG_KEY,)),
        DateListing("events", "2025-03-11", 5),
    ),
)


def test_dates_are_a_table_where_it_fits_and_lines_where_it_does_not() -> None:
    def say(out: Console) -> None:
        listing_told(out, REPORT, REPORT.dates)

    wide = printed(say, width=90, at_terminal=True)
    narrow = printed(say, width=40, at_terminal=True)

    row = re.search(r"events +│ 2025-03-10 │([^\n]+)│\n", wide)
    assert row is not None
    assert row[1].replace(" ", "") == "1,200│1,197│3│1│2│1"
    words = " ".join(narrow.split())
    told = "1,200 listed, 1,197 known, 3 missing, 1 pending, 2 dead, 1 forgotten"
    assert f"events 2025-03-10 {told} events 2025-03-11 5 listed" in words
    assert all(len(line) <= 40 for line in narrow.splitlines() if LONG_KEY not in line)
    assert "1 file waits to be loaded" in words


def test_every_count_of_a_date_has_its_sum() -> None:
    sums = counts(REPORT.dates)

    assert tuple(sums) == COUNTS
    assert (sums["listed"], sums["known"], sums["forgotten"]) == (1205, 1202, 1)


def test_the_help_has_a_line_for_each_command_with_nothing_cut_off() -> None:
    text = CliRunner().invoke(main, ["--help"], terminal_width=80).output

    lines = text.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == sorted(main.commands)
    assert not [line for line in lines if line.endswith("...") or not line.endswith(".")]


@pytest.mark.parametrize("name", ["", "nope", "EVENTS", "\x1b[2J", "\udcff"])
@pytest.mark.parametrize(
    "arguments", [["land", __file__], ["replay", "--all"], ["dead-letters"], ["reconcile"]]
)
def test_every_command_refuses_a_dataset_that_there_is_not(arguments: list[str], name: str) -> None:
    refused = CliRunner().invoke(main, [*arguments, "--dataset", name])

    assert refused.exit_code == USAGE_ERROR
    assert f"{name!r} is no dataset; there is 'customers', 'events', 'logs', 'r" in refused.output


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for stdin in (None, io.StringIO("n\n")):
        monkeypatch.setattr(sys, "stdin", stdin)
        terminal.confirmed("Do it?", yes=False, as_json=False)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(click.UsageError, match="--yes"):
        terminal.ask("Do it?")


HELP = [sys.executable, "-m", "pipeline_assets.cli", "--help"]


@pytest.mark.parametrize("buffered", ["", "1"])
def test_an_answer_that_cannot_be_written_ends_with_a_sentence(
    buffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", buffered)
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(  # noqa: S603  # our own command
            HELP, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )

    assert ended.returncode == 1
    assert ended.stderr.startswith("error: The answer cannot be written")
    assert ended.stderr.count("\n") == 1


def test_a_reader_that_went_away_is_no_news() -> None:
    with subprocess.Popen(  # noqa: S603  # our own command
        HELP, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as asked:
        assert asked.stdout is not None
        assert asked.stderr is not None
        asked.stdout.close()
        told = asked.stderr.read()

    assert (asked.returncode, told) == (1, "")


def test_another_fault_keeps_its_traceback() -> None:
    @click.group(cls=terminal.Commands)
    def faulty() -> None:
        raise OSError("a bug")

    faulty.command("go")(lambda: None)

    assert isinstance(CliRunner().invoke(faulty, ["go"]).exception, OSError)
