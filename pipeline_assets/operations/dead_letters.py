"""Dead files: the letters and alerts that go out when they die, and their list for a person.

``send_letters`` empties the ledger's list of deaths that nobody was told of. A letter is sent, then
marked as sent, then alerted with all others of the tick, then taken off the list: a crash or a
refusal in between sends what was not sent, and at worst a letter twice, under the same id.
"""

import logging
import shlex
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from pipeline_assets.errors import (
    ConservationError,
    CorruptFileError,
    HeaderError,
    LandfallError,
    NotProvisionedError,
    RunDiedError,
    UnexpectedFileError,
    UnknownDatasetError,
    UnsupportedFormatError,
)
from pipeline_assets.registry import datasets
from resources.alerts import Alert, AlertKind
from resources.dead_letters import DeadLetter, letter_id
from resources.landfall import Landfall
from resources.ledger.model import NO_DATASET, DeadFile, FileHead, FileState, UnreportedFile

SHOWN_KEYS = 20
log = logging.getLogger("landfall.dead_letters")


@dataclass(frozen=True)
class Sending:
    """What became of the letters: how many files were reported, how many wait, and why."""

    reported: int = 0
    left: int = 0
    refusal: str | None = None


def send_letters(landfall: Landfall) -> Sending:
    """Report files that died: a dead letter each, and one alert for all of them.

    At most ``max_letters_per_tick`` of them. What AWS refuses stays for the next time, with one
    warning in the log; it never raises for that, since loading must go on.
    """
    waiting = landfall.ledger.files.unreported()
    if not waiting:
        return Sending()
    part = waiting[: landfall.settings.max_letters_per_tick]
    heads = _dead(landfall, part)
    over = [each for each in part if each not in heads]
    landfall.ledger.files.reported(over)
    told, refusal = _report(landfall, heads)
    left = len(waiting) - len(over) - len(told)
    if refusal is not None:
        log.warning("Dead files that nobody was told of yet: %d. %s", left, refusal)
    return Sending(len(told), left, refusal)


def _dead(
    landfall: Landfall, waiting: Collection[UnreportedFile]
) -> dict[UnreportedFile, FileHead]:
    """Heads of the files that are still dead in the epoch in which they died."""
    heads = landfall.ledger.files.heads(each.file_id for each in waiting)
    return {
        each: heads[each.file_id]
        for each in waiting
        if each.file_id in heads
        and heads[each.file_id].epoch == each.epoch
        and heads[each.file_id].state is FileState.DEAD
    }


def _report(
    landfall: Landfall, heads: dict[UnreportedFile, FileHead]
) -> tuple[list[UnreportedFile], str | None]:
    """Send letters, then the alert; returns who was reported, and why others were not."""
    posted, refusal = _post(landfall, heads)
    if not posted:
        return [], refusal
    try:
        landfall.alerts.publish(alert([heads[each] for each in posted]))
    except (LandfallError, ClientError, BotoCoreError) as error:
        return [], str(error)
    landfall.ledger.files.reported(posted)
    landfall.ledger.notices.unpost(posted)
    return posted, refusal


def _post(
    landfall: Landfall, heads: dict[UnreportedFile, FileHead]
) -> tuple[list[UnreportedFile], str | None]:
    """Send the letters that were not sent; returns all that are, and why others are not."""
    posted = sorted(landfall.ledger.notices.posted(heads), key=lambda each: each.file_id)
    by_id = {letter_id(each.file_id, each.epoch): each for each in heads if each not in posted}
    letters = [DeadLetter.of(heads[each]) for each in by_id.values()]
    refusal = None
    try:
        for batch in landfall.dead_letters.batches(letters):
            refused = landfall.dead_letters.send(batch)
            taken = [by_id[letter.id] for letter in batch if letter.id not in refused]
            landfall.ledger.notices.post(taken)
            posted += taken
            refusal = next(iter(refused.values()), refusal)
    except (LandfallError, ClientError, BotoCoreError) as error:
        refusal = str(error)
    return posted, refusal


def alert(heads: Sequence[FileHead]) -> Alert:
    """What people are told of the files that died in a tick."""
    if len(heads) == 1:
        (head,) = heads
        key = shlex.quote(head.key)
        text = (
            f"{_cause(head)}\n\nNothing tries it again by itself.\n\n"
            f"landfall explain {key}\nlandfall replay --key {key}"
        )
        return Alert(AlertKind.DEAD_FILES, f"Landfall: dead: {head.key}", text, {"count": 1})
    causes = [_cause(head) for head in heads[:SHOWN_KEYS]]
    more = len(heads) - len(causes)
    lines = [*causes, f"and {more} more: landfall dead-letters"] if more else causes
    text = (
        "\n".join(lines) + "\n\nNothing tries them again by themselves.\n\n"
        "landfall dead-letters\nlandfall explain KEY\nlandfall replay --key KEY"
    )
    subject = f"Landfall: {len(heads)} files are dead"
    return Alert(AlertKind.DEAD_FILES, subject, text, {"count": len(heads)})


def _cause(head: FileHead) -> str:
    return head.error.message if head.error else head.key


@dataclass(frozen=True)
class ListedFile:
    """A dead file as a person sees it."""

    key: str
    dataset: str
    file_id: str
    attempts: int
    at: str
    error: str
    message: str
    next_step: str


@dataclass(frozen=True)
class DeadFiles:
    """Dead files, the latest first, and the queues; a depth is ``None`` if there is no queue.

    ``unreported`` counts the files whose letter or alert was not sent yet.
    """

    files: tuple[ListedFile, ...]
    unreported: int
    dead_letters: int | None
    landing_dead_letters: int | None


def dead_files(landfall: Landfall, dataset: str | None = None) -> DeadFiles:
    """Every dead file, from the ledger, of one dataset or of all and of none."""
    names = [dataset] if dataset else [*(each.name for each in datasets()), NO_DATASET]
    dead = [each for name in names for each in landfall.ledger.files.dead(name)]
    return DeadFiles(
        files=tuple(map(_listed, sorted(dead, key=lambda each: each.error.at, reverse=True))),
        unreported=len(landfall.ledger.files.unreported()),
        dead_letters=dead_letter_depth(landfall),
        landing_dead_letters=landing_dead_letter_depth(landfall),
    )


def dead_letter_depth(landfall: Landfall) -> int | None:
    """Dead letters that nobody received; ``None`` if their queue does not exist."""
    try:
        return landfall.dead_letters.depth()
    except NotProvisionedError:
        return None


def landing_dead_letter_depth(landfall: Landfall) -> int | None:
    """Notifications that could not be settled; ``None`` if there is no queue for them."""
    try:
        return landfall.queue.dead_letters()
    except NotProvisionedError:
        return None


def _listed(dead: DeadFile) -> ListedFile:
    return ListedFile(
        key=dead.key,
        dataset=dead.dataset,
        file_id=dead.file_id,
        attempts=dead.attempts,
        at=dead.error.at,
        error=dead.error.kind,
        message=dead.error.message,
        next_step=next_step(dead.error.kind),
    )


LAND_AGAIN = "land a sound file at the same key, or delete the object"
REPLAY = "see `landfall explain`, mend the cause, then `landfall replay --key`"


def next_step(error: str) -> str:
    """What a person does about a file that died of an error of that class."""
    return NEXT_STEPS.get(error, REPLAY)


def _named(steps: Iterable[tuple[type[LandfallError], str]]) -> dict[str, str]:
    return {error.__name__: step for error, step in steps}


NEXT_STEPS = _named(
    (
        (CorruptFileError, LAND_AGAIN),
        (HeaderError, LAND_AGAIN),
        (UnsupportedFormatError, LAND_AGAIN),
        (UnknownDatasetError, "delete the object, and land it below the prefix of a dataset"),
        (ConservationError, "report it with the file; after an update `landfall replay --key`"),
        (UnexpectedFileError, "report it with the file; after an update `landfall replay --key`"),
        (RunDiedError, "read that run's log, then `landfall replay --key`"),
    )
)
