"""Files in the ledger, over moto: registered once per content, buried, put back."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from ledger_scenario import (
    DATASET,
    DAY,
    KEY,
    NEXT_DAY,
    RUN,
    LedgerParts,
    corrupt,
    id_of,
    landing,
    requested,
)

from pipeline_assets.errors import UnknownDatasetError
from resources.ledger.model import (
    HISTORY_LIMIT,
    FileState,
    RequestedFile,
    utc_now,
    utc_text,
)
from resources.ledger.registering import Registration
from resources.settings import Settings

NEW, KNOWN = Registration.NEW, Registration.KNOWN
OVERWRITTEN, STALE = Registration.OVERWRITTEN, Registration.STALE


def test_a_new_object_is_landed_and_pending(ledger: LedgerParts) -> None:
    assert ledger.register(ledger.upload("A")) == [NEW]

    head = ledger.head()
    assert (head.state, head.epoch, head.attempts) == (FileState.LANDED, 1, 0)
    assert [requested(each) for each in ledger.pending()] == [RequestedFile(id_of(), 1, 0)]
    assert [each.key for each in ledger.files.of_date(DATASET, DAY)] == [KEY]


def test_a_repeated_notification_changes_nothing(ledger: LedgerParts) -> None:
    ledger.land("A")
    before = (ledger.head(), ledger.pending())

    assert ledger.register(landing("A"), landing("A")) == [KNOWN, KNOWN]

    assert (ledger.head(), ledger.pending()) == before


def test_duplicates_in_one_batch_are_one_file(ledger: LedgerParts) -> None:
    landed = ledger.upload("A")

    found = ledger.register(landed, landed, landed)

    assert sorted(found) == [KNOWN, KNOWN, NEW]
    assert [requested(each) for each in ledger.pending()] == [RequestedFile(id_of(), 1, 0)]


def test_an_upload_and_its_overwrite_in_one_batch_leave_only_the_later_bytes(
    serial: LedgerParts,
) -> None:
    first, second = serial.upload("A"), serial.upload("B")

    assert serial.register(first, second) == [NEW, OVERWRITTEN]

    assert serial.head().etag == "B"
    assert [each.epoch for each in serial.pending()] == [2]
    serial.load(DAY)
    assert serial.manifest() == [(KEY, "B")]


def test_an_overwrite_that_head_confirms_raises_the_epoch(ledger: LedgerParts) -> None:
    ledger.land("A")
    ledger.load(DAY)

    assert ledger.register(ledger.upload("B")) == [OVERWRITTEN]

    head = ledger.head()
    assert (head.state, head.epoch, head.etag) == (FileState.LANDED, 2, "B")
    assert head.loaded_epoch == 1
    assert ledger.manifest() == [(KEY, "A")], "the former rows count until the new ones are loaded"


def test_a_late_event_of_older_bytes_is_stale(ledger: LedgerParts) -> None:
    ledger.land("A")
    ledger.land("B")

    assert ledger.register(landing("A")) == [STALE]

    assert (ledger.head().etag, ledger.head().epoch) == ("B", 2)


def test_an_event_of_bytes_that_are_deleted_by_now_is_stale(ledger: LedgerParts) -> None:
    ledger.land("A")
    ledger.remove()

    assert ledger.register(landing("B")) == [STALE]

    assert ledger.head().etag == "A"


@pytest.mark.parametrize("order", list(itertools.permutations(["A", "B", "A"])))
def test_a_b_a_ends_with_a_whatever_order_the_events_come_in(
    ledger: LedgerParts, order: tuple[str, ...]
) -> None:
    ledger.land("A")
    ledger.load(DAY)
    ledger.upload("B")
    ledger.upload("A")

    for etag in order:
        ledger.register(landing(etag))

    assert ledger.head().etag == "A"
    assert ledger.head().state is FileState.LOADED, "the same bytes are not loaded twice"
    assert ledger.pending() == []


@pytest.mark.parametrize("order", list(itertools.permutations(["B", "A"])))
def test_a_b_a_with_b_loaded_between_loads_a_once_more(
    ledger: LedgerParts, order: tuple[str, ...]
) -> None:
    ledger.land("A")
    ledger.load(DAY)
    ledger.land("B")
    ledger.load(NEXT_DAY)
    ledger.upload("A")

    for etag in order:
        ledger.register(landing(etag))

    head = ledger.head()
    assert (head.etag, head.epoch, head.state) == ("A", 3, FileState.LANDED)
    ledger.load(DAY)
    assert ledger.manifest(DAY) == [(KEY, "A")]
    assert ledger.manifest(NEXT_DAY) == []


def test_an_object_that_was_gone_and_came_back_is_loaded(ledger: LedgerParts) -> None:
    ledger.land("A")
    ledger.remove()
    assert ledger.files.gone(ledger.head())
    assert (ledger.head().state, ledger.pending()) == (FileState.GONE, [])
    assert ledger.register(landing("A")) == [STALE]

    assert ledger.register(ledger.upload("A")) == [OVERWRITTEN]

    assert (ledger.head().state, ledger.head().epoch) == (FileState.LANDED, 2)
    assert [each.epoch for each in ledger.pending()] == [2]


def test_a_deleted_object_that_was_loaded_keeps_its_rows(ledger: LedgerParts) -> None:
    ledger.land("A")
    ledger.load(DAY)

    assert not ledger.files.gone(ledger.head())

    assert ledger.head().state is FileState.LOADED
    assert ledger.manifest() == [(KEY, "A")]


@pytest.mark.parametrize("lost", ["pending#events#", "day#events#"])
def test_a_repeated_notification_restores_what_a_crash_left_out(
    ledger: LedgerParts, lost: str
) -> None:
    ledger.land("A")
    before = ledger.pending()
    for shard in range(4):
        ledger.table.delete(f"pending#{DATASET}#{shard}", f"{id_of()}#00000001")
    if lost.startswith("day"):
        ledger.table.delete(f"day#{DATASET}#{DAY}", id_of())

    assert ledger.register(landing("A")) == [KNOWN]

    assert ledger.pending() == before
    assert [each.key for each in ledger.files.of_date(DATASET, DAY)] == [KEY]


def test_a_batch_of_many_files_is_registered_whole(ledger: LedgerParts) -> None:
    keys = [f"events/dt={DAY}/{number}.csv" for number in range(60)]

    found = ledger.register(*(ledger.upload("A", key) for key in keys))

    assert found == [NEW] * 60
    assert {each.file_id for each in ledger.pending()} == {id_of(key) for key in keys}


def test_a_buried_object_is_dead_at_once_and_once(ledger: LedgerParts) -> None:
    landed = replace(landing("A", "unknown/a.csv"), dataset="unknown")
    error = UnknownDatasetError(landed.key, (DATASET,))

    ledger.files.bury(landed, error)
    ledger.files.bury(landed, error)

    (dead,) = ledger.files.dead("unknown")
    assert (dead.key, dead.error.kind) == ("unknown/a.csv", "UnknownDatasetError")
    assert ledger.head(landed.key).state is FileState.DEAD
    assert ledger.files.pending("unknown") == []


def test_bytes_found_by_a_load_instead_of_the_registered_ones_are_registered(
    ledger: LedgerParts,
) -> None:
    before = ledger.land("A")

    ledger.files.overwritten(before, ledger.upload("B"))

    assert (ledger.head().etag, ledger.head().epoch) == ("B", 2)
    assert [each.epoch for each in ledger.pending()] == [2]
    assert ledger.register(landing("B")) == [KNOWN]


def test_a_dead_file_is_put_back_and_due_at_once(ledger: LedgerParts) -> None:
    slow = Settings.model_construct(
        **{**ledger.settings.model_dump(), "backoff_seconds": 300.0, "max_attempts": 1}
    )
    ledger = LedgerParts(ledger.table, slow, ledger.held)
    ledger.land("A")
    ledger.files.fail(ledger.claim_one(), corrupt(), RUN)

    (fresh,) = ledger.files.put_back([ledger.head()], "the format was mended")

    assert (fresh.epoch, fresh.attempts, fresh.state) == (2, 0, FileState.LANDED)
    assert fresh.history[-1].note == "the format was mended"
    assert ledger.files.dead(DATASET) == []
    assert [each.due_at <= utc_text(utc_now()) for each in ledger.pending()] == [True]


def test_a_loaded_file_that_is_put_back_keeps_its_rows_until_it_is_loaded(
    ledger: LedgerParts,
) -> None:
    ledger.land("A")
    ledger.load(DAY)

    ledger.files.put_back([ledger.head()], "the parser was mended")

    assert ledger.manifest() == [(KEY, "A")]
    ledger.load(DAY)
    assert ledger.manifest() == [(KEY, "A")]
    assert ledger.version() == 2


def test_a_file_of_a_date_is_found_under_the_date_it_belongs_to_now(ledger: LedgerParts) -> None:
    ledger.land("A")
    moved = landing("B", day=NEXT_DAY)
    ledger.held[KEY] = moved
    ledger.register(moved)

    assert ledger.files.of_date(DATASET, DAY) == []
    assert [each.etag for each in ledger.files.of_date(DATASET, NEXT_DAY)] == ["B"]


def test_a_history_keeps_its_newest_steps(ledger: LedgerParts) -> None:
    ledger.land("A")
    for number in range(HISTORY_LIMIT + 5):
        ledger.files.put_back([ledger.head()], f"replay {number}")

    history = ledger.head().history
    assert len(history) == HISTORY_LIMIT
    assert history[-1].note == f"replay {HISTORY_LIMIT + 4}"


def test_moments_as_text_sort_as_time_does() -> None:
    moments = [datetime(2025, 1, 1, tzinfo=UTC) + timedelta(milliseconds=n * 7) for n in range(300)]

    assert [utc_text(each) for each in moments] == sorted(utc_text(each) for each in moments)
