"""How the story of a file or a row looks on a terminal."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from pipeline_assets.show import escape, number, print_json, prose
from resources.ledger.model import NO_DATASET

if TYPE_CHECKING:
    from pipeline_assets.row_story import RowStory
    from pipeline_assets.story import DateAccount, Story
    from pipeline_assets.telling import Sentence

SHOWN_REASONS = 3
AT_KEY = {
    "nothing": (
        "Its object was deleted from the bucket since: rows that were loaded stay, until `landfall "
        "forget --key` takes them out; nothing is there to be loaded again."
    ),
    "other bytes": (
        "Its key holds other bytes by now, which are not registered yet: the next tick of the "
        "landing sensor, or `landfall work`, takes them up; else `landfall reconcile` does."
    ),
}
ENDED = frozenset({"GONE", "FORGOTTEN"})
MOMENT = len("2025-03-10 09:30:01")


def story(out: Console, story: "Story", *, as_json: bool) -> None:
    """One file's story."""
    if as_json:
        print_json(out, asdict(story))
        return
    head = story.head
    out.print(f"[bold]s3://{head.bucket}/{escape(head.key)}[/]")
    prose(
        out,
        f"File {head.file_id} of {escape(head.dataset)}, file date {head.file_date}: "
        f"{number(head.size, 'byte')} that landed at {_moment(head.landed_at)} UTC, "
        f"ETag {head.etag}.",
    )
    for sentence in story.told:
        _step(out, sentence)
    tried = f" after {number(head.attempts, 'attempt')}" if head.attempts else ""
    prose(out, f"[bold]It is {story.state}[/] in epoch {head.epoch}{tried}.")
    if head.error:
        stage = f" ({head.error.stage})" if head.error.stage else ""
        prose(out, f"[red]{head.error.kind}[/]{stage}: {escape(head.error.message)}")
    if story.letter is not None:
        prose(out, f"Its dead letter {'was sent' if story.letter else 'is not sent yet'}.")
    _accounts(out, story)
    is_stray = head.dataset == NO_DATASET
    if story.at_key in AT_KEY and story.state not in ENDED and not is_stray:
        prose(out, f"[yellow]{AT_KEY[story.at_key]}[/]")
    prose(out, f"[bold]Next:[/] {story.what_next}")


def _step(out: Console, sentence: "Sentence") -> None:
    """A moment and what happened, in columns where a person reads them."""
    if not out.is_terminal:
        out.print(f"  {_moment(sentence.at)}  {escape(sentence.text)}")
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=MOMENT, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(_moment(sentence.at), escape(sentence.text))
    out.print(grid, soft_wrap=False)


def _accounts(out: Console, story: "Story") -> None:
    if not story.accounts:
        return
    rows = sum(each.rows for each in story.accounts)
    malformed = sum(each.malformed for each in story.accounts)
    former = "" if story.head.loaded_epoch == story.head.epoch else " (of its former epoch)"
    prose(
        out,
        f"{number(rows, 'row')} of it count now{former}, {malformed:,} of them malformed, in "
        f"{number(len(story.accounts), 'fragment')}:",
    )
    for each in story.accounts:
        prose(out, f"  [bold]{each.event_date}[/]: {number(each.rows, 'row')}; {_account(each)}")
        out.print(f"    {escape(each.fragment_key)}", style="dim")


def _account(each: "DateAccount") -> str:
    if each.held is not None:
        return f"[yellow]the date is held[/] and stays as it is: {escape(each.held)}"
    if each.silver is None:
        return "the tables are to be refreshed."
    told = f"{each.silver:,} in silver, {each.quarantined:,} in quarantine"
    if each.reasons:
        some = [f"{escape(name)}: {count:,}" for name, count in each.reasons.items()]
        more = f", and {len(some) - SHOWN_REASONS} more" * (len(some) > SHOWN_REASONS)
        told += f" ({', '.join(some[:SHOWN_REASONS])}{more})"
    return f"{told}, {number(each.duplicates or 0, 'duplicate')}; the tables are up to date."


def row_story(out: Console, story: "RowStory", *, as_json: bool) -> None:
    """One row's story."""
    if as_json:
        print_json(out, asdict(story))
        return
    head = story.head
    out.print(f"[bold]Row {story.row:,} of s3://{head.bucket}/{escape(head.key)}[/]")
    prose(
        out,
        f"{head.file_id}:{story.row}, dataset {escape(head.dataset)}, epoch {head.loaded_epoch}.",
    )
    if story.error is not None:
        prose(out, f"It could not be parsed: {escape(story.error)}. Received:")
        out.print(f"  {escape(story.raw or '')}")
    else:
        out.print("Received:")
        for name, value in story.received.items():
            out.print(f"  {name}: {escape(value)}")
    prose(out, f"It belongs to {story.event_date}; bronze keeps it in:")
    out.print(f"  {escape(story.fragment_key)}", style="dim")
    so = "It is" if story.tables == "up to date" else "By its date's fragments it is"
    prose(out, f"[bold]{so} {story.ending}[/]{_why(story)}")
    if story.record is not None:
        out.print(f"  {escape(story.record)}")
    prose(out, f"The tables of that date are {story.tables}.")
    prose(out, f"[bold]Next:[/] {story.what_next}")


def _why(story: "RowStory") -> str:
    if story.kept is not None:
        kept = f"{story.kept.file_id}:{story.kept.row}"
        return f" of row {story.kept.row:,} of {escape(story.kept_key or '?')} ({kept})."
    if story.reasons:
        return f": {escape('; '.join(story.reasons))}. Its record there:"
    return "."


def _moment(at: str) -> str:
    return at.replace("T", " ")[:MOMENT]
