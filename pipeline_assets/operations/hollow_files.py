"""Files that load and of which no row is valid: nothing is lost, but somebody should look.

A file is noted before it turns ``LOADED`` and told of at a tick after that, so a crash in between
can only repeat an alert.
"""

import logging
from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from pipeline_assets.errors import LandfallError
from resources.alerts import Alert, AlertKind
from resources.landfall import Landfall
from resources.ledger.model import FileHead, FileState, UnreportedFile

SHOWN_KEYS = 20
log = logging.getLogger("landfall.hollow_files")


def tell_hollow(landfall: Landfall) -> list[str]:
    """Send one alert for all loaded files without a valid row that nobody was told of yet.

    What SNS refuses stays for the next time, with a warning in the log; loading must go on.

    Returns:
        Their keys.
    """
    waiting = landfall.ledger.notices.hollow()
    if not waiting:
        return []
    heads = landfall.ledger.files.heads(each.file_id for each in waiting)
    loaded = [heads[each.file_id] for each in waiting if _is_loaded(each, heads.get(each.file_id))]
    over = [each for each in waiting if _is_over(each, heads.get(each.file_id))]
    try:
        if loaded:
            landfall.alerts.publish(alert(loaded))
    except (LandfallError, ClientError, BotoCoreError) as error:
        log.warning(
            "Files without a valid row that nobody was told of yet: %s. %s", len(loaded), error
        )
        return []
    told = {(head.file_id, head.epoch) for head in loaded}
    over += [each for each in waiting if (each.file_id, each.epoch) in told]
    landfall.ledger.notices.tell_hollow(over)
    return [head.key for head in loaded]


def _is_loaded(noted: UnreportedFile, head: FileHead | None) -> bool:
    return head is not None and head.epoch == noted.epoch and head.state is FileState.LOADED


def _is_over(noted: UnreportedFile, head: FileHead | None) -> bool:
    """Whether the file has moved on, so that there is nothing to tell any more."""
    if head is None or head.epoch > noted.epoch:
        return True
    return head.epoch == noted.epoch and head.state in {
        FileState.DEAD,
        FileState.GONE,
        FileState.FORGOTTEN,
    }


def alert(heads: Sequence[FileHead]) -> Alert:
    """What people are told of such files."""
    count = len(heads)
    named = [head.key for head in heads[:SHOWN_KEYS]]
    more = f"\nand {count - len(named)} more" if count > len(named) else ""
    files = "1 file has" if count == 1 else f"{count} files have"
    text = (
        f"{files} no row that keeps the contract. Loaded all the same, every row is in quarantine "
        "with its reasons: `landfall explain KEY` has the account, quarantine/DATASET the rows.\n\n"
        + "\n".join(named)
        + more
    )
    return Alert(
        AlertKind.NO_VALID_ROW, f"{files} no valid row", text, {"files": count, "key": named[0]}
    )
