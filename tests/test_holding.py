"""What a run holds, against the real ledger: leases, requests, and how each is given back."""

import threading
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from pipeline_assets.datasets.events import DATASET
from pipeline_assets.errors import DateRefusedError, StaleWriteError
from pipeline_assets.fingerprint import fingerprint
from pipeline_assets.holding import Holding, abandon
from resources.aws import Aws
from resources.landfall import Landfall
from resources.ledger.model import (
    DirtyDate,
    FileHead,
    FileState,
    Fragment,
    Landing,
    LoadedFile,
    PlannedRun,
    RequestedFile,
    RequestKind,
    RunRequest,
    file_id,
    utc_now,
)

DAYS = ("2025-03-10", "2025-03-11", "2025-03-12")
EVENTS = DATASET.name


@pytest.fixture
def landfall(aws: Aws) -> Landfall:
    made = Landfall()
    made.aws = aws
    return made


def landing(landfall: Landfall, name: str) -> Landing:
    return Landing(
        bucket=landfall.bucket.name,
        key=f"events/dt={DAYS[0]}/{name}",
        etag="etag",
        size=1,
        landed_at=utc_now(),
        dataset=EVENTS,
        file_date=date.fromisoformat(DAYS[0]),
    )


def requested(head: FileHead) -> RequestedFile:
    return RequestedFile(head.file_id, head.epoch, head.attempts)


def registered(landfall: Landfall, name: str) -> FileHead:
    """A landed file that waits."""
    landed = landing(landfall, name)
    landfall.ledger.files.register([landed], lambda _: None)
    head = landfall.ledger.files.head(landed.file_id)
    assert head is not None
    return head


def dirtied(landfall: Landfall, *days: str) -> None:
    """A loaded file with a row for each date makes them dirty."""
    head = registered(landfall, f"{'-'.join(days)}.csv")
    fragments = tuple(
        Fragment(
            file_id=head.file_id,
            epoch=head.epoch,
            event_date=day,
            landing_key=head.key,
            fragment_key=f"bronze/events/event_date={day}/{head.file_id}-etag.parquet",
            rows=1,
            malformed=0,
        )
        for day in days
    )
    (claim,) = landfall.ledger.files.claim([requested(head)], EVENTS)
    landfall.ledger.files.finish([(claim, LoadedFile(fragments, len(days), 0))], "loader")


def request(landfall: Landfall, *files: RequestedFile) -> RunRequest:
    """A request for all dates that no run has claimed."""
    run = PlannedRun(EVENTS, RequestKind.INGEST, DAYS[0], DAYS[-1], files)
    standing = landfall.ledger.requests.open(EVENTS)
    (added,) = landfall.ledger.requests.add(EVENTS, standing.plan, [run])
    return added


def dirty(landfall: Landfall) -> dict[str, DirtyDate]:
    return {each.event_date: each for each in landfall.ledger.dates.dirty(EVENTS)}


def by_hand(landfall: Landfall, run_id: str = "run") -> Holding:
    return Holding(landfall, DATASET, run_id, None)


def lease(landfall: Landfall, day: str) -> str | None:
    head = landfall.ledger.dates.head(EVENTS, day)
    assert head is not None
    return head.lease_run


def test_a_run_by_hand_refreshes_every_date_and_a_requested_one_the_dirty_ones(
    landfall: Landfall,
) -> None:
    dirtied(landfall, DAYS[1])
    asked = Holding(landfall, DATASET, "run", request(landfall).request_id)

    assert by_hand(landfall).days_to_refresh(reversed(DAYS)) == list(DAYS)
    assert asked.days_to_refresh(DAYS) == [DAYS[1]]


def test_a_requested_run_passes_over_a_date_held_by_the_contract_that_still_stands(
    landfall: Landfall,
) -> None:
    dirtied(landfall, *DAYS[:2])
    for day, contract in zip(DAYS, (fingerprint(DATASET), "an older one"), strict=False):
        refresh = landfall.ledger.dates.open(EVENTS, day, "before")
        assert refresh is not None
        error = DateRefusedError(EVENTS, day, "too much quarantine")
        landfall.ledger.dates.refuse(refresh, "before", error, fingerprint=contract)

    asked = Holding(landfall, DATASET, "run", request(landfall).request_id)

    assert asked.days_to_refresh(DAYS) == [DAYS[1]]


def test_a_date_without_rows_gives_no_lease(landfall: Landfall) -> None:
    assert by_hand(landfall).open(DAYS[0]) is None


def test_a_date_that_was_closed_is_clean_and_free(landfall: Landfall) -> None:
    dirtied(landfall, DAYS[0])
    holding = by_hand(landfall)
    assert holding.open(DAYS[0]) is not None
    assert lease(landfall, DAYS[0]) == "run"

    assert holding.close() == []

    assert not dirty(landfall)
    assert lease(landfall, DAYS[0]) is None


def test_a_date_that_a_file_turned_meanwhile_stays_dirty(landfall: Landfall) -> None:
    dirtied(landfall, DAYS[0])
    holding = by_hand(landfall)
    holding.open(DAYS[0])
    landfall.ledger.dates.raise_versions([(EVENTS, DAYS[0])])

    assert holding.close() == [DAYS[0]]
    assert list(dirty(landfall)) == [DAYS[0]]


def test_a_later_step_takes_up_the_leases_of_an_earlier_one(landfall: Landfall) -> None:
    dirtied(landfall, *DAYS[:2])
    earlier = by_hand(landfall)
    earlier.open(DAYS[0])

    later = by_hand(landfall)

    assert later.take_up(DAYS) == [DAYS[0]]
    assert later.close() == []
    assert list(dirty(landfall)) == [DAYS[1]]


def test_a_refusal_holds_its_date_and_sends_the_neighbours_alone(landfall: Landfall) -> None:
    dirtied(landfall, *DAYS)
    holding = by_hand(landfall)
    for day in DAYS:
        holding.open(day)

    holding.refuse({DAYS[1]: DateRefusedError(EVENTS, DAYS[1], "too much quarantine")})

    left = dirty(landfall)
    assert {day: each.held is not None for day, each in left.items()} == {
        DAYS[0]: False,
        DAYS[1]: True,
        DAYS[2]: False,
    }
    assert all(each.alone for each in left.values())
    assert [lease(landfall, day) for day in DAYS] == [None] * len(DAYS)


def test_a_passing_fault_is_tried_again_before_it_holds_the_date(
    landfall: Landfall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANDFALL_MAX_ATTEMPTS", "2")
    patient = Landfall()
    dirtied(patient, DAYS[0])
    held = []
    for _ in range(2):
        holding = by_hand(patient)
        holding.open(DAYS[0])
        holding.fail(StaleWriteError("silver/events"))
        held.append(dirty(landfall)[DAYS[0]].held is not None)

    assert held == [False, True]


def test_a_failed_run_gives_its_files_back_one_by_one_and_ends_its_request(
    landfall: Landfall,
) -> None:
    head = registered(landfall, "a.csv")
    asked = request(landfall, requested(head))
    holding = Holding(landfall, DATASET, "run", asked.request_id)
    assert holding.claim() is not None

    holding.fail(ValueError("unforeseen"))

    after = landfall.ledger.files.head(file_id(landfall.bucket.name, head.key))
    assert after is not None
    assert (after.state, after.alone) == (FileState.FAILED, True)
    assert not landfall.ledger.requests.open(EVENTS).requests


def test_an_unforeseen_fault_stands_in_the_ledger_with_the_run_that_met_it(
    landfall: Landfall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANDFALL_MAX_ATTEMPTS", "1")
    strict = Landfall()
    dirtied(strict, DAYS[0])
    holding = by_hand(strict, "run-7")
    holding.open(DAYS[0])

    holding.fail(ValueError("unforeseen"))

    held = dirty(landfall)[DAYS[0]].held
    assert held is not None
    assert "run-7" in held.message
    assert "ValueError: unforeseen" in held.message


def test_a_request_is_claimed_by_one_run_only(landfall: Landfall) -> None:
    asked = request(landfall).request_id

    assert Holding(landfall, DATASET, "first", asked).claim() is not None
    assert Holding(landfall, DATASET, "second", asked).claim() is None
    assert Holding(landfall, DATASET, "first", asked).claim() is not None


def test_a_lease_of_a_run_that_does_not_beat_is_taken_over_and_its_date_refreshed_twice(
    landfall: Landfall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANDFALL_LEASE_SECONDS", "0.3")
    dirtied(landfall, DAYS[0])
    assert landfall.ledger.dates.open(EVENTS, DAYS[0], "dead") is not None
    holding = by_hand(Landfall())

    begun = time.monotonic()
    refresh = holding.open(DAYS[0])

    assert time.monotonic() - begun >= 0.3
    assert refresh is not None
    assert refresh.taken_over
    holding.close()
    assert list(dirty(landfall)) == [DAYS[0]]


@pytest.mark.parametrize(
    ("turned", "asked", "opens"),
    [(False, True, False), (True, True, True), (False, False, True)],
    ids=["refreshed", "turned meanwhile", "by hand"],
)
def test_a_date_that_another_run_refreshed_meanwhile_is_not_refreshed_again(
    landfall: Landfall, *, turned: bool, asked: bool, opens: bool
) -> None:
    dirtied(landfall, DAYS[0])
    other, found = by_hand(landfall, "other"), list[bool]()
    other.landfall.ledger.runs.start_beating("other")
    assert other.open(DAYS[0]) is not None
    holding = replace(by_hand(landfall), request_id=request(landfall).request_id if asked else None)
    waiting = threading.Thread(target=lambda: found.append(holding.open(DAYS[0]) is not None))
    waiting.start()
    time.sleep(0.3)
    assert waiting.is_alive()
    if turned:
        dirtied(landfall, DAYS[0], DAYS[1])

    other.close()
    waiting.join(20)

    assert found == [opens]


def test_abandoning_a_run_that_holds_nothing_does_nothing(tmp_path: Path) -> None:
    abandon(f"no such run in {tmp_path}")
