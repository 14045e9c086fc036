"""Ticks of the refresh sensor, over moto's DynamoDB."""

from pipeline_assets.errors import DateRefusedError
from pipeline_assets.fingerprint import fingerprint
from pipeline_assets.registry import dataset
from resources.landfall import Landfall
from resources.ledger.model import RequestKind
from resources.ledger.runs import Observer
from sensors import landing, notifications, refresh

DAY, NEXT_DAY = "2025-03-01", "2025-03-02"


def make_dirty(landfall: Landfall, *days: str) -> None:
    landfall.ledger.dates.raise_versions(("events", day) for day in days)


def test_nothing_dirty_requests_nothing(landfall: Landfall) -> None:
    assert refresh.tick(landfall) == []


def test_dirty_dates_are_requested_once(landfall: Landfall) -> None:
    make_dirty(landfall, DAY, NEXT_DAY)

    (request,) = refresh.tick(landfall)

    assert (request.run.kind, request.dates) == (RequestKind.REFRESH, (DAY, NEXT_DAY))
    assert refresh.tick(landfall) == [request]


def test_a_date_that_turned_again_is_requested_again_after_its_run(landfall: Landfall) -> None:
    make_dirty(landfall, DAY)
    (first,) = refresh.tick(landfall)
    landfall.ledger.requests.claim("events", first.request_id, "run-1")
    make_dirty(landfall, DAY)
    assert refresh.tick(landfall) == []
    landfall.ledger.requests.close("events", first.request_id, "run-1")

    (second,) = refresh.tick(landfall)

    assert second.run.versions == ((DAY, 2),)
    assert second.request_id != first.request_id


def test_a_date_whose_own_file_is_due_is_left_to_its_ingest_run(landfall: Landfall) -> None:
    landfall.aws.s3.put_object(
        Bucket=landfall.bucket.name, Key=f"events/dt={DAY}/a.csv", Body=b"a\n1\n"
    )
    notifications.drain(landfall)
    make_dirty(landfall, DAY, NEXT_DAY)

    (request,) = refresh.tick(landfall)

    assert request.dates == (NEXT_DAY, NEXT_DAY)
    (ingest,) = landing.tick(landfall, Observer())
    assert ingest.dates == (DAY, DAY)


def test_a_held_date_requests_nothing_until_a_file_turns_it(landfall: Landfall) -> None:
    make_dirty(landfall, DAY)
    held = landfall.ledger.dates.open("events", DAY, "run-1")
    assert held is not None
    error = DateRefusedError("events", DAY, "12 of 20 rows are invalid.")
    contract = fingerprint(dataset("events"))
    landfall.ledger.dates.refuse(held, "run-1", error, fingerprint=contract)
    assert refresh.tick(landfall) == []

    make_dirty(landfall, DAY)

    assert [each.dates for each in refresh.tick(landfall)] == [(DAY, DAY)]


def test_a_date_outside_the_partitions_keeps_no_other_waiting(landfall: Landfall) -> None:
    make_dirty(landfall, "1999-12-31", DAY)

    assert [each.dates for each in refresh.tick(landfall)] == [(DAY, DAY)]
