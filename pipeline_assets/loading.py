"""Landed files become fragments: each is read, written and settled in the ledger by itself."""

import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TypeAlias

import dagster as dg
import polars as pl

from pipeline_assets.dataset import Dataset
from pipeline_assets.errors import (
    ConservationError,
    LandfallError,
    ObjectChangedError,
    ObjectGoneError,
    UnexpectedFileError,
)
from pipeline_assets.fragments import FragmentWriter
from pipeline_assets.landings import current
from pipeline_assets.parsing.compression import check_size
from pipeline_assets.parsing.detection import refuse_other_suffixes
from pipeline_assets.parsing.notes import Notes
from pipeline_assets.parsing.reader import open_records
from pipeline_assets.parsing.records import Layout
from pipeline_assets.probing import Probe, with_valid_row
from pipeline_assets.refine import has_valid_row
from resources.landfall import Landfall
from resources.ledger.files import Claim
from resources.ledger.model import FileHead, Fragment, LoadedFile, UnreportedFile
from resources.parallel import read_ahead
from resources.parquet import row_groups

LARGE_BYTES = 8 << 20
"""A file of so many bytes has batches enough to be parsed by a thread of its own."""
FILES_PER_SETTLEMENT = 64
"""Files that are settled together; a crash makes a run do twice as many again at most."""


@dataclass(frozen=True)
class FailedFile:
    """A file that this run could not load, with what the ledger made of it."""

    head: FileHead
    error: LandfallError


@dataclass
class LoadReport:
    """What became of the files of a run."""

    loaded: list[FileHead] = field(default_factory=list)
    failed: list[FailedFile] = field(default_factory=list)
    read: "dict[str, ReadFile]" = field(default_factory=dict)
    """What was noticed in each loaded file, by file id."""
    hollow: set[str] = field(default_factory=set)
    """File ids of those that have records and no valid row."""
    passed_over: int = 0
    """Files that were deleted, overwritten or taken away while they were loaded."""


@dataclass(frozen=True)
class ReadFile:
    """A file whose fragments are written: the ledger's view of it, and what was noticed on the way.

    Attributes:
        loaded: fragments and counts.
        notes: how the file is written, and its fields that the contract does not name.
        probes: some of its first rows.
    """

    loaded: LoadedFile
    notes: Notes
    probes: tuple[Probe, ...]


def load_file(landfall: Landfall, dataset: Dataset, head: FileHead, folder: Path) -> ReadFile:
    """Read one landed object and write its fragments.

    Args:
        landfall: the environment.
        dataset: the dataset that the object belongs to.
        head: what the ledger knows of it.
        folder: where it may lie while it is read; nothing of it stays.

    Raises:
        FileError: the object is gone, changed, corrupt, too large, or of no format of the dataset.
        ConservationError: records counted independently differ from rows written.
    """
    refuse_other_suffixes(head.key, dataset.suffixes)
    limits = landfall.settings.limits
    check_size(head.key, head.size, limits)
    with ExitStack() as stack:
        path = folder / head.file_id
        stack.callback(path.unlink, missing_ok=True)
        landfall.bucket.download(head.key, head.etag, path)
        reader = stack.enter_context(
            open_records(
                path,
                key=head.key,
                formats=dataset.formats,
                layout=Layout(dataset.fields, writing=dataset.writing, limits=limits),
            )
        )
        writer = stack.enter_context(FragmentWriter(dataset, head))
        batches = iter(reader)
        if head.size >= LARGE_BYTES:
            batches = stack.enter_context(closing(read_ahead(batches)))
        for records in batches:
            writer.add(records)
        if reader.counted != writer.rows:
            raise ConservationError(head.key, counted=reader.counted, written=writer.rows)
        return ReadFile(writer.store(landfall), reader.notes, tuple(writer.probes))


_Loading: TypeAlias = list[tuple[Claim, "Future[ReadFile | LandfallError]"]]


def load_files(
    landfall: Landfall,
    dataset: Dataset,
    claims: Sequence[Claim],
    *,
    run_id: str,
    report: LoadReport,
) -> None:
    """Load claimed files in parallel; each by itself succeeds or fails, as the report says."""
    settlement = _Settlement(landfall, dataset, run_id, report)
    with (
        tempfile.TemporaryDirectory(prefix="landfall-") as folder,
        ThreadPoolExecutor(landfall.settings.io_threads) as pool,
    ):
        load = partial(_outcome, landfall, dataset, Path(folder))
        loading: deque[_Loading] = deque()
        try:
            for group in _groups(claims):
                loading.append([(each, pool.submit(load, each)) for each in group])
                # The next group is loaded while the one before it is settled.
                if len(loading) > 1:
                    settlement.settle(_awaited(loading.popleft()))
            while loading:
                settlement.settle(_awaited(loading.popleft()))
        finally:
            pool.shutdown(cancel_futures=True)


def _awaited(loading: _Loading) -> Iterator[tuple[Claim, ReadFile | LandfallError]]:
    return ((claim, outcome.result()) for claim, outcome in loading)


def _groups(claims: Sequence[Claim]) -> Iterator[Sequence[Claim]]:
    for start in range(0, len(claims), FILES_PER_SETTLEMENT):
        yield claims[start : start + FILES_PER_SETTLEMENT]


def _outcome(
    landfall: Landfall, dataset: Dataset, folder: Path, claim: Claim
) -> ReadFile | LandfallError:
    try:
        return load_file(landfall, dataset, claim.head, folder)
    except LandfallError as error:
        return error
    except Exception as fault:  # noqa: BLE001 - one bad file never fails its batch
        dg.get_dagster_logger().exception("loading %s failed", claim.head.key)
        return UnexpectedFileError(claim.head.key, fault)


@dataclass(frozen=True)
class _Settlement:
    """Writes outcomes into the ledger and the run's report."""

    landfall: Landfall
    dataset: Dataset
    run_id: str
    report: LoadReport

    def settle(self, outcomes: Iterable[tuple[Claim, ReadFile | LandfallError]]) -> None:
        loaded = []
        for claim, outcome in self._probed(list(outcomes)):
            if isinstance(outcome, ReadFile):
                loaded.append((claim, outcome))
            else:
                self._settle_failure(claim, outcome)
        # Before the files turn, so that a crash in between keeps nobody from being told.
        self.landfall.ledger.notices.note_hollow(
            UnreportedFile(claim.head.file_id, claim.head.epoch)
            for claim, _ in loaded
            if claim.head.file_id in self.report.hollow
        )
        turned = self.landfall.ledger.files.finish(
            [(claim, read.loaded) for claim, read in loaded], self.run_id
        )
        self.report.loaded += turned
        self.report.read |= {claim.head.file_id: replace(read, probes=()) for claim, read in loaded}
        self.report.passed_over += len(loaded) - len(turned)

    def _probed(
        self, outcomes: Sequence[tuple[Claim, ReadFile | LandfallError]]
    ) -> Iterator[tuple[Claim, ReadFile | LandfallError]]:
        """The outcomes, once it is known which of the files read are hollow."""
        probes = {
            claim.head.file_id: read.probes
            for claim, read in outcomes
            if isinstance(read, ReadFile)
        }
        try:
            valid = with_valid_row(probes, self.dataset)
        except Exception:  # noqa: BLE001 - one of them is at fault: each is looked at by itself
            valid = set()
        for claim, outcome in outcomes:
            if isinstance(outcome, ReadFile) and claim.head.file_id not in valid:
                yield claim, self._looked_at(claim, outcome)
            else:
                yield claim, outcome

    def _looked_at(self, claim: Claim, read: ReadFile) -> ReadFile | LandfallError:
        """Look at every row of a file whose first ones are not valid."""
        fragments = (each for each in read.loaded.fragments if each.rows > each.malformed)
        try:
            has_valid = any(self._has_valid_row(each) for each in fragments)
        except LandfallError as error:
            return error
        except Exception as fault:  # noqa: BLE001 - as in `_outcome`
            dg.get_dagster_logger().exception("loading %s failed", claim.head.key)
            return UnexpectedFileError(claim.head.key, fault)
        if read.loaded.records and not has_valid:
            self.report.hollow.add(claim.head.file_id)
        return read

    def _has_valid_row(self, fragment: Fragment) -> bool:
        day = date.fromisoformat(fragment.event_date)
        with self.landfall.lake.copy_fragment(fragment.fragment_key) as file:
            parts = (pl.DataFrame(rows) for rows in row_groups(file))
            return any(has_valid_row(part, self.dataset, day) for part in parts)

    def _settle_failure(self, claim: Claim, error: LandfallError) -> None:
        moved = isinstance(error, ObjectChangedError | ObjectGoneError)
        if moved and self._moved_on(claim.head):
            self.report.passed_over += 1
            return
        failed = self.landfall.ledger.files.fail(claim, error, self.run_id)
        if failed is None:
            self.report.passed_over += 1
        else:
            self.report.failed.append(FailedFile(failed, error))

    def _moved_on(self, head: FileHead) -> bool:
        """Note that a key was deleted or overwritten; false when it holds what was registered."""
        now = current(self.landfall, self.dataset, head.key)
        if now is None:
            self.landfall.ledger.files.gone(head)
        elif now.etag != head.etag:
            self.landfall.ledger.files.overwritten(head, now)
        return now is None or now.etag != head.etag
