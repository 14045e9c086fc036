"""Files from their claim by a run to ``LOADED``, ``FAILED``, ``DEAD`` or ``GONE``.

A file's head is the truth; every other item points at it. Loading writes fragments, then manifest
entries (keyed by epoch, so an older attempt overwrites nothing), then turns the head, which is the
moment from which the entries count. Raising the dates' versions and deleting the pending item come
after: as long as the pending item stands, the file is taken up again, and all that is then left to
do is ``settle``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipeline_assets.errors import LandfallError, RunDiedError
from resources.ledger.dates import Dates
from resources.ledger.items import (
    is_as_planned,
    is_forgotten,
    is_loaded,
    is_over,
    is_superseded,
    loaded_key_of,
    pending_item,
    pending_key,
)
from resources.ledger.model import (
    UNFINISHED,
    Fault,
    FileHead,
    FileState,
    LoadedFile,
    RequestedFile,
    utc_now,
    utc_text,
)
from resources.ledger.registering import Registering
from resources.ledger.table import LedgerTable
from resources.settings import Settings


@dataclass(frozen=True)
class Claim:
    """A file that a run loads: the head it was claimed at."""

    head: FileHead

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1."""
        return self.head.attempts + 1


class Files(Registering):
    """The ledger's files."""

    def __init__(self, table: LedgerTable, dates: Dates, settings: Settings) -> None:
        super().__init__(table, dates)
        self._settings = settings

    def claim(self, files: Sequence[RequestedFile], dataset: str) -> list[Claim]:
        """Those of the requested files that are still as they were planned.

        What was loaded but not settled before a crash is settled here, and items that say
        something else than their head are put right.
        """
        heads = self.heads(each.file_id for each in files)
        known = [(each, heads[each.file_id]) for each in files if each.file_id in heads]
        self.settle([head for each, head in known if is_loaded(each, head)])
        self._settle_forgotten([head for each, head in known if is_forgotten(each, head)])
        self._table.batch_write(
            [pending_item(head) for each, head in known if is_superseded(each, head)]
        )
        for _, head in known:
            if head.state is FileState.DEAD:
                self._list_dead(head)
        over = [each for each in files if is_over(each, heads.get(each.file_id))]
        self._table.batch_write(
            deletes=[pending_key(dataset, each.file_id, each.epoch) for each in over]
        )
        return [Claim(head) for each, head in known if is_as_planned(each, head)]

    def finish(self, loaded: Sequence[tuple[Claim, LoadedFile]], run_id: str) -> list[FileHead]:
        """Make loaded files count: manifest entries, heads, then the dates' versions.

        Returns:
            The heads of those that this run still held. The others were taken away meanwhile
            (overwritten, replayed, or given up by an observer) and count for nothing.
        """
        self._dates.add_entries([entry for _, outcome in loaded for entry in outcome.fragments])
        turned = self._table.each(lambda pair: self._turn(*pair, run_id), loaded)
        heads = [head for head in turned if head is not None]
        self.settle(heads)
        return heads

    def _turn(self, claim: Claim, outcome: LoadedFile, run_id: str) -> FileHead | None:
        head = claim.head
        dates = {entry.event_date for entry in outcome.fragments}
        return self._replace(
            head,
            replace(
                head,
                state=FileState.LOADED,
                attempts=claim.attempt,
                loaded_epoch=head.epoch,
                dates=tuple(sorted(dates)),
                former_dates=tuple(sorted({*head.dates, *head.former_dates} - dates)),
                records=outcome.records,
                malformed=outcome.malformed,
                run_id=run_id,
                alone=False,
                error=None,
                event=None,
            ),
        )

    def settle(self, heads: Sequence[FileHead]) -> None:
        """Make the dates of loaded files dirty, then clear their pending items; repeatable."""
        touched = {(head.dataset, day) for head in heads for day in head.dates + head.former_dates}
        self._dates.raise_versions(touched)
        self._table.batch_write(deletes=[loaded_key_of(head) for head in heads])

    def fail(
        self,
        claim: Claim,
        error: LandfallError,
        run_id: str,
        *,
        alone: bool = False,
        stage: str = "bronze",
    ) -> FileHead | None:
        """Keep the error and put the file back after a wait, or give it up.

        A fault of the environment counts as no attempt.

        Returns:
            The head, ``FAILED`` or ``DEAD``; ``None`` when the file is no longer this run's.
        """
        now = utc_now()
        attempts = claim.head.attempts if error.of_environment else claim.attempt
        again = error.retryable and attempts < self._settings.max_attempts
        wait = self._settings.wait_after(attempts, of_environment=error.of_environment)
        failed = replace(
            claim.head,
            state=FileState.FAILED if again else FileState.DEAD,
            attempts=attempts,
            due_at=utc_text(now + wait),
            wait=wait.total_seconds(),
            run_id=run_id,
            alone=alone,
            error=Fault.of(error, now, stage),
        )
        turned = self._replace(claim.head, failed)
        if turned is not None:
            self._file_away(turned)
        return turned

    def give_up(
        self,
        files: Sequence[RequestedFile],
        dataset: str,
        run_id: str,
        *,
        error: Callable[[str, str], LandfallError] = RunDiedError,
        alone: bool = True,
    ) -> None:
        """Take files that are still as they were planned away from a run that does not load them.

        Args:
            files: as they were planned; what the run settled stays as it is.
            dataset: their dataset.
            run_id: the run.
            error: why, made of a file's key and the run's id. By default the run died.
            alone: whether each is tried again by itself, since one of them may have killed the run.
        """

        def fail(claim: Claim) -> None:
            self.fail(claim, error(claim.head.key, run_id), run_id, alone=alone, stage="run")

        self._table.each(fail, self.claim(files, dataset))

    def gone(self, head: FileHead) -> bool:
        """Note that the object was deleted before it was loaded, or after it was given up.

        Args:
            head: as it was before the bucket was asked, so that what landed since stays.

        Returns:
            Whether the file's state changed: a loaded file keeps its rows and its state.
        """
        if head.state not in {*UNFINISHED, FileState.DEAD}:
            return False
        turned = self._replace(head, replace(head, state=FileState.GONE))
        if turned is not None:
            self._file_away(turned)
        return turned is not None
