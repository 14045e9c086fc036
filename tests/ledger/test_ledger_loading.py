"""Files in the ledger, over moto: claimed as planned, and each attempt ended once."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from ledger_scenario import (
    DATASET,
    DAY,
    KEY,
    NEXT_DAY,
    OTHER_RUN,
    RUN,
    LedgerParts,
    corrupt,
    fragment,
    id_of,
    outcome,
    requested,
)

from pipeline_assets.errors import AwsUnreachableError, UnsupportedFormatError
from resources.ledger.model import (
    MESSAGE_LIMIT,
    FileState,
    RequestedFile,
)
from resources.ledger.table import Change
from resources.settings import Settings


def test_a_file_is_claimed_only_as_it_was_planned(ledger: LedgerParts) -> None:
    ledger.land("A")
    planned = requested(ledger.pending()[0])

    assert ledger.files.claim([replace(planned, attempts=1)], DATASET) == []
    assert ledger.files.claim([replace(planned, epoch=2)], DATASET) == []
    assert [each.attempt for each in ledger.files.claim([planned], DATASET)] == [1]


def test_claiming_repairs_a_pending_item_that_says_other_attempts(ledger: LedgerParts) -> None:
    ledger.land("A")
    (behind,) = ledger.pending()
    ledger.files.fail(ledger.claim_one(), corrupt(), RUN)
    shard = int(behind.file_id[:8], 16) % 4
    key = {"pk": f"pending#{DATASET}#{shard}", "sk": f"{behind.file_id}#00000001"}
    ledger.table.update(key["pk"], key["sk"], change=_attempts(0))

    assert ledger.files.claim([requested(behind)], DATASET) == []

    assert [each.attempts for each in ledger.pending()] == [1]
    assert len(ledger.claim()) == 1


def test_claiming_clears_the_pending_items_of_older_epochs(ledger: LedgerParts) -> None:
    ledger.land("A")
    older = requested(ledger.pending()[0])
    ledger.land("B")
    _put_pending(ledger, older)
    assert len(ledger.pending()) == 2

    (claim,) = ledger.claim()

    assert claim.head.etag == "B"
    assert [each.epoch for each in ledger.pending()] == [2]


def test_claiming_clears_the_pending_item_of_a_file_that_is_not_known(ledger: LedgerParts) -> None:
    unknown = RequestedFile(id_of("events/never.csv"), 1, 0)
    _put_pending(ledger, unknown)

    assert ledger.claim() == []

    assert ledger.pending() == []


def test_a_finished_file_counts_and_makes_its_dates_dirty(ledger: LedgerParts) -> None:
    ledger.land("A")

    head = ledger.load(DAY, NEXT_DAY)

    assert (head.state, head.attempts, head.loaded_epoch) == (FileState.LOADED, 1, 1)
    assert (head.records, head.run_id) == (2, RUN)
    assert ledger.manifest(DAY) == ledger.manifest(NEXT_DAY) == [(KEY, "A")]
    assert ledger.dirty() == {DAY: 1, NEXT_DAY: 1}
    assert ledger.pending() == []


def test_entries_count_only_once_their_file_is_loaded(ledger: LedgerParts) -> None:
    head = ledger.land("A")

    ledger.dates.add_entries([fragment(head, DAY)])

    assert ledger.manifest() == []


def test_loading_other_bytes_dirties_old_and_new_dates(ledger: LedgerParts) -> None:
    ledger.land("A")
    ledger.load(DAY)
    assert ledger.refresh(DAY)
    ledger.land("B")

    ledger.load(NEXT_DAY)

    assert ledger.dirty() == {DAY: 2, NEXT_DAY: 1}
    assert ledger.manifest(DAY) == []
    assert ledger.manifest(NEXT_DAY) == [(KEY, "B")]


def test_an_attempt_whose_file_was_overwritten_finishes_nothing(ledger: LedgerParts) -> None:
    ledger.land("A")
    claim = ledger.claim_one()
    ledger.land("B")

    assert ledger.files.finish([(claim, outcome(claim.head, DAY))], RUN) == []

    assert ledger.manifest() == []
    assert ledger.dirty() == {}
    assert (ledger.head().etag, ledger.head().state) == ("B", FileState.LANDED)
    assert [each.epoch for each in ledger.pending()] == [2]


def test_an_attempt_that_was_given_up_meanwhile_finishes_nothing(ledger: LedgerParts) -> None:
    ledger.land("A")
    planned = requested(ledger.pending()[0])
    claim = ledger.claim_one()
    ledger.files.give_up([planned], DATASET, RUN)

    assert ledger.files.finish([(claim, outcome(claim.head, DAY))], RUN) == []

    assert ledger.manifest() == []
    assert ledger.head().state is FileState.FAILED


def test_one_attempt_of_two_runs_at_a_file_counts(ledger: LedgerParts) -> None:
    ledger.land("A")
    (first,), (second,) = ledger.claim(), ledger.claim()

    assert ledger.files.finish([(first, outcome(first.head, DAY))], RUN)
    assert not ledger.files.finish([(second, outcome(second.head, DAY))], OTHER_RUN)

    assert ledger.head().run_id == RUN
    assert ledger.version() == 1


def test_a_failed_file_waits_and_is_tried_again(ledger: LedgerParts) -> None:
    ledger.land("A")

    failed = ledger.files.fail(ledger.claim_one(), corrupt(), RUN)

    assert failed is not None
    assert (failed.state, failed.attempts) == (FileState.FAILED, 1)
    assert failed.error is not None
    assert failed.error.kind == "CutDownloadError"
    (pending,) = ledger.pending()
    assert (pending.attempts, pending.due_at) == (1, failed.due_at)
    assert ledger.claim_one().attempt == 2


def test_a_file_whose_attempts_are_used_up_is_dead_with_its_error(ledger: LedgerParts) -> None:
    ledger.land("A")
    states = []
    for _ in range(ledger.settings.max_attempts):
        head = ledger.files.fail(ledger.claim_one(), corrupt(), RUN)
        assert head is not None
        states.append(head.state)

    assert states == [FileState.FAILED, FileState.FAILED, FileState.DEAD]
    (dead,) = ledger.files.dead(DATASET)
    assert (dead.key, dead.attempts, dead.error.kind) == (KEY, 3, "CutDownloadError")
    assert KEY in dead.error.message
    assert ledger.pending() == []


def test_a_fault_of_the_environment_is_no_attempt_at_the_file(ledger: LedgerParts) -> None:
    ledger.land("A")
    for _ in range(ledger.settings.max_attempts + 1):
        error = AwsUnreachableError("nowhere", local=True)
        head = ledger.files.fail(ledger.claim_one(), error, RUN)
        assert head is not None
        assert (head.state, head.attempts) == (FileState.FAILED, 0)

    assert ledger.load(DAY).attempts == 1


def test_a_permanent_fault_is_dead_at_once(ledger: LedgerParts) -> None:
    ledger.land("A")

    head = ledger.files.fail(ledger.claim_one(), UnsupportedFormatError(KEY, "no format."), RUN)

    assert head is not None
    assert (head.state, head.attempts) == (FileState.DEAD, 1)
    assert [each.key for each in ledger.files.dead(DATASET)] == [KEY]


def test_a_failure_never_touches_a_file_that_was_overwritten_meanwhile(ledger: LedgerParts) -> None:
    ledger.land("A")
    claim = ledger.claim_one()
    after = ledger.land("B")

    assert ledger.files.fail(claim, corrupt(), RUN) is None

    assert ledger.head() == after
    assert [requested(each) for each in ledger.pending()] == [RequestedFile(id_of(), 2, 0)]


def test_an_error_of_any_length_fits_into_the_ledger(ledger: LedgerParts) -> None:
    ledger.land("A")

    head = ledger.files.fail(ledger.claim_one(), UnsupportedFormatError(KEY, "ü" * 600_000), RUN)

    assert head is not None
    assert head.error is not None
    assert len(head.error.message) == MESSAGE_LIMIT


@given(attempt=st.integers(1, 40), first=st.floats(0, 60), longest=st.floats(0, 600))
def test_a_wait_doubles_and_stays_between_half_and_whole(
    attempt: int, first: float, longest: float
) -> None:
    settings = Settings.model_construct(backoff_seconds=first, backoff_max_seconds=longest)
    whole = min(longest, first * 2 ** (attempt - 1))
    slack = timedelta(microseconds=1)

    wait = settings.wait_after(attempt)

    assert timedelta(seconds=whole / 2) - slack <= wait <= timedelta(seconds=whole) + slack


def test_waits_are_drawn_by_lot() -> None:
    settings = Settings.model_construct(backoff_seconds=60.0, backoff_max_seconds=600.0)

    assert len({settings.wait_after(1) for _ in range(20)}) > 1


def test_files_of_a_dead_run_are_tried_again_alone(ledger: LedgerParts) -> None:
    ledger.land("A")
    planned = requested(ledger.pending()[0])

    ledger.files.give_up([planned], DATASET, RUN)

    (pending,) = ledger.pending()
    assert (pending.alone, pending.attempts) == (True, 1)
    assert ledger.head().error is not None
    ledger.load(DAY, run_id=OTHER_RUN)
    assert not ledger.head().alone


def test_giving_up_twice_counts_one_attempt(ledger: LedgerParts) -> None:
    ledger.land("A")
    planned = requested(ledger.pending()[0])

    ledger.files.give_up([planned], DATASET, RUN)
    ledger.files.give_up([planned], DATASET, RUN)

    assert ledger.head().attempts == 1


def test_giving_up_a_loaded_file_leaves_it_loaded(ledger: LedgerParts) -> None:
    ledger.land("A")
    planned = requested(ledger.pending()[0])
    ledger.load(DAY)

    ledger.files.give_up([planned], DATASET, RUN)

    assert ledger.head().state is FileState.LOADED


def test_a_file_that_keeps_killing_its_runs_ends_dead(ledger: LedgerParts) -> None:
    ledger.land("A")
    for _ in range(ledger.settings.max_attempts):
        ledger.files.give_up([requested(each) for each in ledger.pending()], DATASET, RUN)

    (dead,) = ledger.files.dead(DATASET)
    assert dead.error.kind == "RunDiedError"


def _attempts(number: int) -> Change:
    return Change(set={"attempts": number})


def _put_pending(ledger: LedgerParts, file: RequestedFile) -> None:
    """A pending item that a crash left behind."""
    shard = int(file.file_id[:8], 16) % 4
    ledger.table.put(
        {
            "pk": f"pending#{DATASET}#{shard}",
            "sk": f"{file.file_id}#{file.epoch:08d}",
            "file_id": file.file_id,
            "dataset": DATASET,
            "epoch": file.epoch,
            "attempts": file.attempts,
            "file_date": DAY,
            "landed_at": f"{DAY}T12:00:00.000Z",
            "due_at": f"{DAY}T12:00:00.000Z",
        }
    )


def test_a_fault_of_the_environment_puts_a_file_off_and_counts_as_no_attempt(
    ledger: LedgerParts,
) -> None:
    ledger.land()
    fault = AwsUnreachableError("http://127.0.0.1:1", local=True)

    for _ in range(ledger.settings.max_attempts + 1):
        ledger.files.fail(ledger.claim_one(), fault, RUN)
        assert (ledger.head().state, ledger.head().attempts) == (FileState.FAILED, 0)

    assert ledger.pending()[0].due_at > ledger.head().history[-1].at


def test_a_dead_file_whose_object_is_deleted_is_gone_and_no_longer_dead(
    ledger: LedgerParts,
) -> None:
    ledger.land()
    ledger.fail_all()
    assert [each.key for each in ledger.files.dead(DATASET)] == [KEY]

    assert ledger.files.gone(ledger.head())

    assert ledger.head().state is FileState.GONE
    assert ledger.files.dead(DATASET) == []
