"""Dead files: the letters and alerts that go out when they die, and their list for a person.

``send_letters`` empties the ledger's list of deaths that nobody was told of. A letter is sent, then
marked as sent, then alerted with all others of the tick, then taken off the list: a crash or a
refusal in between sends what was not sent, and at worst a letter twice, under the same id, or an
alert. Letters that wait for their alert alone keep no other letter waiting.
"""

import logging
import shlex
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
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
    """What became of the letters: how many files were reported, how many wait, and why.

    What waits is counted up to ``max_letters_per_tick``.
    """

    reported: int = 0
    left: int = 0
    refusal: str | None = None


def send_letters(landfall: Landfall) -> Sending:
    """Report files that died: a dead letter each, and one alert for all of them.

    At most ``max_letters_per_tick`` of them, and no more once ``max_tick_seconds`` are over. What
    AWS refuses stays for the next time, with one warning in the log; it never raises for that,
    since loading must go on.
    """
    limit = landfall.settings.max_letters_per_tick
    posted = landfall.ledger.notices.posted()
    waiting = landfall.ledger.files.unreported(limit + len(posted))
    if not waiting and not posted:
        return Sending()
    known = set(posted)
    unposted = [each for each in waiting if each not in known][:limit]
    sent, unsent = _post(landfall, _still_dead(landfall, unposted))
    told, untold = _tell(landfall, _still_dead(landfall, [*posted, *sent][:limit]))
    left = len(landfall.ledger.files.unreported(limit))
    refusal = unsent or untold
    if refusal is not None:
        counted = f"{left} or more" if left == limit else f"{left}"
        log.warning("Dead files that nobody was told of yet: %s. %s", counted, refusal)
    return Sending(len(told), left, refusal)


def _still_dead(
    landfall: Landfall, files: Collection[UnreportedFile]
) -> dict[UnreportedFile, FileHead]:
    """Heads of those that are dead in the epoch in which they died; nobody is told of others."""
    heads = landfall.ledger.files.heads(each.file_id for each in files)
    dead = {
        each: heads[each.file_id]
        for each in files
        if each.file_id in heads
        and heads[each.file_id].epoch == each.epoch
        and heads[each.file_id].state is FileState.DEAD
    }
    _settle(landfall, [each for each in files if each not in dead])
    return dead


def _settle(landfall: Landfall, files: Sequence[UnreportedFile]) -> None:
    """Take files off the list, then their marks: a crash in between repeats an alert only."""
    landfall.ledger.files.reported(files)
    landfall.ledger.notices.unpost(files)


def _post(
    landfall: Landfall, heads: Mapping[UnreportedFile, FileHead]
) -> tuple[list[UnreportedFile], str | None]:
    """Send letters and mark them as sent; returns whose were, and why others were not."""
    deadline = time.monotonic() + landfall.settings.max_tick_seconds
    by_id = {letter_id(each.file_id, each.epoch): each for each in heads}
    posted: list[UnreportedFile] = []
    refusal = None
    try:
        for batch in landfall.dead_letters.batches(map(DeadLetter.of, heads.values())):
            refused = landfall.dead_letters.send(batch)
            taken = [by_id[letter.id] for letter in batch if letter.id not in refused]
            landfall.ledger.notices.post(taken)
            posted += taken
            refusal = next(iter(refused.values()), refusal)
            if time.monotonic() > deadline:  # loading must go on
                break
    except (LandfallError, ClientError, BotoCoreError) as error:
        refusal = str(error)
    return posted, refusal


def _tell(
    landfall: Landfall, heads: Mapping[UnreportedFile, FileHead]
) -> tuple[list[UnreportedFile], str | None]:
    """Alert files whose letters were sent; returns who was reported, and why none was."""
    if not heads:
        return [], None
    try:
        landfall.alerts.publish(alert(list(heads.values())))
    except (LandfallError, ClientError, BotoCoreError) as error:
        return [], str(error)
    told = list(heads)
    _settle(landfall, told)
    return told, None


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
