"""Which landed files travel together: plain data in, planned runs out."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensors_scenario import EVENTS, LIMITS, NOW, STRICT, march, of, pending, request, spans

from resources.ledger.model import PendingFile, PlannedRun, RequestKind, RunRequest, utc_text
from sensors.landing import Limits, is_arriving, plan


def planned(
    files: list[PendingFile], requests: tuple[RunRequest, ...] = (), limits: Limits = LIMITS
) -> list[PlannedRun]:
    return plan(EVENTS, files, requests, now=NOW, limits=limits)


def test_nothing_pending_plans_nothing() -> None:
    assert planned([]) == []


def test_a_quiet_date_gets_its_run_at_once() -> None:
    file = pending(march(1))

    (run,) = planned([file])

    assert (run.kind, run.dataset) == (RequestKind.INGEST, "events")
    assert spans([run]) == [(march(1), march(1))]
    assert run.files == of(file)


def test_quiet_dates_get_a_run_each_even_when_they_are_neighbours() -> None:
    files = [pending(march(2)), pending(march(1))]

    assert spans(planned(files)) == [(march(1), march(1)), (march(2), march(2))]


def test_a_date_whose_earlier_files_are_under_way_waits() -> None:
    earlier, later = pending(march(1), "a"), pending(march(1), "b")
    busy = request(march(1), files=[earlier])

    assert planned([earlier, later], (busy,)) == []


def test_a_date_below_a_range_that_is_under_way_waits() -> None:
    assert planned([pending(march(3))], (request(march(1), march(5)),)) == []


def test_a_refresh_of_a_date_does_not_keep_its_files_waiting() -> None:
    busy = request(march(1), kind=RequestKind.REFRESH)

    assert len(planned([pending(march(1))], (busy,))) == 1


def test_what_waited_for_a_busy_date_shares_the_next_run() -> None:
    files = [pending(march(1), name, after=number) for number, name in enumerate("abcd")]

    (run,) = planned(files)

    assert run.files == of(*files)


def test_a_backlog_shares_runs_over_contiguous_dates() -> None:
    files = [pending(march(day)) for day in (1, 2, 3, 5, 6, 9)]

    assert spans(planned(files)) == [
        (march(1), march(3)),
        (march(5), march(6)),
        (march(9), march(9)),
    ]


def test_a_range_never_has_more_dates_than_its_limit() -> None:
    files = [pending(march(day)) for day in range(1, 13)]

    assert spans(planned(files)) == [
        (march(1), march(5)),
        (march(6), march(10)),
        (march(11), march(12)),
    ]


def test_a_run_never_has_more_files_than_its_limit() -> None:
    files = [pending(march(day), name) for day in (1, 2, 3) for name in "abcdef"]

    runs = planned(files)

    assert spans(runs) == [(march(1), march(1)), (march(2), march(2)), (march(3), march(3))]
    assert [len(run.files) for run in runs] == [6, 6, 6]


def test_a_date_with_too_many_files_begins_with_the_oldest() -> None:
    files = [pending(march(1), str(number), after=number) for number in range(25)]

    (run,) = planned(files[::-1])

    assert run.files == of(*files[:10])


def test_one_file_a_run_makes_it_strictly_one() -> None:
    files = [pending(march(day), name, after=day) for day in range(1, 8) for name in "ab"]

    runs = planned(files, limits=STRICT)

    assert spans(runs) == [(march(day), march(day)) for day in range(1, 8)]
    assert [len(run.files) for run in runs] == [1] * 7


def test_a_file_that_must_go_alone_goes_alone() -> None:
    suspects = [pending(march(1), name, alone=True) for name in "ab"]

    (run,) = planned(suspects)

    assert len(run.files) == 1


def test_a_suspect_goes_alone_when_it_was_due_first_and_waits_otherwise() -> None:
    suspect = pending(march(1), "a", alone=True, due_in=-10)
    earlier, later = (pending(march(1), "b", due_in=seconds) for seconds in (-20, -5))

    assert planned([suspect, later])[0].files == of(suspect)
    assert planned([suspect, earlier, later])[0].files == of(earlier, later)


def test_a_date_with_a_suspect_cuts_the_range() -> None:
    files = [pending(march(day), alone=day == 3) for day in range(1, 6)]

    assert spans(planned(files)) == [
        (march(3), march(3)),
        (march(1), march(2)),
        (march(4), march(5)),
    ]


def test_a_file_that_is_not_due_waits() -> None:
    assert planned([pending(march(1), due_in=0.5)]) == []
    assert len(planned([pending(march(1), due_in=-0.5)])) == 1


def test_a_file_that_a_request_carries_is_not_planned_again() -> None:
    file = pending(march(1))
    elsewhere = request(march(9), files=[file])

    assert planned([file], (elsewhere,)) == []


def test_a_date_outside_the_partitions_is_never_planned_and_never_raises() -> None:
    start = EVENTS.start
    days = [
        start - timedelta(days=1),
        start,
        NOW.date(),
        NOW.date() + timedelta(days=1),
        NOW.date() + timedelta(days=2),
        date.max,
        date.min,
    ]
    every = Limits(max_files_per_run=10, max_dates_per_run=5, quiet_runs_per_tick=100)

    runs = planned([pending(day.isoformat()) for day in days], limits=every)

    assert [run.first_date for run in runs] == [day.isoformat() for day in days[1:4]]


def test_the_plan_does_not_depend_on_the_order_of_what_it_reads() -> None:
    files = [pending(march(day), name) for day in (1, 2, 3, 7) for name in "abc"]

    assert planned(files) == planned(files[::-1])


@pytest.mark.parametrize("ahead", [timedelta(seconds=11), timedelta(hours=3)])
def test_a_file_that_a_clock_ahead_of_this_one_put_off_is_due(ahead: timedelta) -> None:
    waits = pending(march(1), due_in=5)
    ahead_of_us = replace(waits, due_at=utc_text(NOW + ahead))

    assert planned([waits]) == []
    assert [run.files for run in planned([ahead_of_us])] == [of(ahead_of_us)]


@given(
    st.lists(
        st.builds(
            pending,
            st.integers(1, 21).map(march),
            st.text("abcdefgh", min_size=1, max_size=3),
            after=st.integers(0, 500),
            alone=st.booleans(),
            due_in=st.sampled_from([-1.0, 1.0]),
        ),
        unique_by=lambda each: each.file_id,
        max_size=60,
    ),
    st.builds(Limits, st.integers(1, 6), st.integers(1, 6), st.integers(1, 6)),
)
def test_every_plan_keeps_its_limits_and_leaves_no_due_date_out(
    files: list[PendingFile], limits: Limits
) -> None:
    runs = planned(files, limits=limits)

    by_file = {each.file_id: each for each in files}
    carried = [file.file_id for run in runs for file in run.files]
    assert len(set(carried)) == len(carried), "no file travels twice"
    assert all(by_file[each].due_at <= utc_text(NOW) for each in carried)
    covered = [day for run in runs for day in days_of(run)]
    assert len(set(covered)) == len(covered), "no date is in two runs"
    due = {each.file_date for each in files if each.due_at <= utc_text(NOW)}
    assert set(covered) == due, "every date of a range has files, every due date is covered"
    for run in runs:
        own = [by_file[file.file_id] for file in run.files]
        assert 1 <= len(own) <= limits.max_files_per_run
        assert len(days_of(run)) <= limits.max_dates_per_run
        assert {each.file_date for each in own} == set(days_of(run))
        assert len(own) == 1 or not any(each.alone for each in own)


def days_of(run: PlannedRun) -> list[str]:
    first, last = date.fromisoformat(run.first_date), date.fromisoformat(run.last_date)
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]


@pytest.mark.parametrize(
    ("due_in", "is_young"),
    [(0.0, True), (-59.0, True), (-60.0, False), (1.0, False)],
    ids=["now", "just now", "long ago", "by a clock that runs ahead"],
)
def test_a_backlog_is_arriving_while_its_first_file_came_a_moment_ago(
    due_in: float, *, is_young: bool
) -> None:
    files = [replace(pending(march(1), due_in=due_in), wait=0.0)]

    assert is_arriving(files, (), NOW, 60.0) is is_young


def test_files_that_were_in_a_run_or_are_under_way_say_nothing_of_what_arrives() -> None:
    old = replace(pending(march(1), "old", due_in=-600.0), wait=0.0)
    tried, new = replace(old, file_id="tried", attempts=1), pending(march(2))

    assert is_arriving([old, tried, new], (request(march(1), files=[old]),), NOW, 60.0)
    assert not is_arriving([old, tried, new], (), NOW, 60.0)
