"""Which dirty dates are refreshed together: plain data in, planned runs out."""

from collections.abc import Collection
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from sensors_scenario import EVENTS, NOW, dirty, march, request, spans

from pipeline_assets.fingerprint import fingerprint
from resources.ledger.model import DirtyDate, PlannedRun, RequestKind, RunRequest
from sensors.refresh import plan


def planned(
    dates: list[DirtyDate],
    requests: tuple[RunRequest, ...] = (),
    expected: Collection[str] = (),
    max_dates: int = 5,
) -> list[PlannedRun]:
    return plan(
        EVENTS,
        dates,
        requests,
        expected=expected,
        now=NOW,
        max_dates=max_dates,
        contract=fingerprint(EVENTS),
    )


def test_nothing_dirty_plans_nothing() -> None:
    assert planned([]) == []


def test_contiguous_dates_are_refreshed_in_one_run() -> None:
    runs = planned([dirty(march(day)) for day in (4, 1, 2, 6, 7)])

    assert spans(runs) == [(march(1), march(2)), (march(4), march(4)), (march(6), march(7))]
    assert {run.kind for run in runs} == {RequestKind.REFRESH}
    assert runs[0].versions == ((march(1), 3), (march(2), 3))
    assert runs[0].files == ()


def test_a_run_never_has_more_dates_than_its_limit() -> None:
    runs = planned([dirty(march(day)) for day in range(1, 8)], max_dates=3)

    assert spans(runs) == [(march(1), march(3)), (march(4), march(6)), (march(7), march(7))]


def test_a_date_that_rests_after_its_last_refresh_waits() -> None:
    assert planned([dirty(march(1), due_in=0.5)]) == []
    assert len(planned([dirty(march(1), due_in=-0.5)])) == 1


def test_a_date_that_a_standing_request_covers_waits() -> None:
    dates = [dirty(march(day)) for day in (1, 2, 3)]
    for kind in RequestKind:
        busy = request(march(2), march(3), kind=kind)
        assert spans(planned(dates, (busy,))) == [(march(1), march(1))]


def test_a_date_that_an_ingest_run_is_due_for_waits_for_it() -> None:
    dates = [dirty(march(1)), dirty(march(2))]

    assert spans(planned(dates, expected={march(1)})) == [(march(2), march(2))]


def test_a_held_date_waits_while_its_contract_is_the_same() -> None:
    assert planned([dirty(march(1), held_by=fingerprint(EVENTS))]) == []


def test_a_held_date_is_tried_again_under_another_contract() -> None:
    assert spans(planned([dirty(march(1), held_by="another")])) == [(march(1), march(1))]


def test_a_date_that_must_go_alone_goes_alone() -> None:
    dates = [dirty(march(day), alone=day == 2) for day in (1, 2, 3)]

    assert spans(planned(dates)) == [
        (march(2), march(2)),
        (march(1), march(1)),
        (march(3), march(3)),
    ]


def test_a_date_outside_the_partitions_is_never_planned_and_never_raises() -> None:
    days = [EVENTS.start - timedelta(days=1), NOW.date(), NOW.date() + timedelta(days=2)]

    runs = planned([dirty(day.isoformat()) for day in days])

    assert [run.first_date for run in runs] == [NOW.date().isoformat()]


@given(
    st.dictionaries(st.integers(1, 21), st.booleans()),
    st.integers(1, 9),
)
def test_every_due_date_is_in_exactly_one_run(alone: dict[int, bool], max_dates: int) -> None:
    runs = planned(
        [dirty(march(day), alone=single) for day, single in alone.items()], max_dates=max_dates
    )

    covered = [day for run in runs for day, _ in run.versions]
    assert sorted(covered) == sorted(march(day) for day in alone)
    for run in runs:
        days = [day for day, _ in run.versions]
        assert len(days) <= max_dates
        assert len(days) == 1 or not any(alone[int(day[-2:])] for day in days)
        assert len(days) == int(run.last_date[-2:]) - int(run.first_date[-2:]) + 1
