"""Run requests in the ledger, over moto: one plan wins, one run claims, and that run ends it."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from ledger_scenario import DATASET, DAY, NEXT_DAY, OTHER_RUN, RUN, LedgerParts, id_of, ingest_of

from resources.ledger.model import PlannedRun, RequestedFile, RequestKind, RequestState, RunRequest
from resources.ledger.requests import MAX_FILES_PER_PLAN, MAX_REQUESTS_PER_PLAN, _fitting

FILE = RequestedFile(id_of(), 1, 0)


def requested(ledger: LedgerParts) -> RunRequest:
    (request,) = ledger.requests.add(DATASET, ledger.requests.open(DATASET).plan, [ingest_of(FILE)])
    return request


def standing(ledger: LedgerParts) -> list[RunRequest]:
    return list(ledger.requests.open(DATASET).requests)


def test_a_planned_run_stands_until_its_run_has_ended(ledger: LedgerParts) -> None:
    request = requested(ledger)
    assert standing(ledger) == [request]
    assert request.state is RequestState.QUEUED

    claimed = ledger.requests.claim(DATASET, request.request_id, RUN)

    assert claimed is not None
    assert (claimed.state, claimed.run_id) == (RequestState.LOADING, RUN)
    assert claimed.run == request.run
    assert standing(ledger) == [claimed]
    ledger.requests.close(DATASET, request.request_id, RUN)
    assert standing(ledger) == []


def test_of_two_plans_from_the_same_state_one_takes_effect(ledger: LedgerParts) -> None:
    plan = ledger.requests.open(DATASET).plan

    first = ledger.requests.add(DATASET, plan, [ingest_of(FILE)])
    second = ledger.requests.add(DATASET, plan, [ingest_of(FILE)])

    assert len(first) == 1
    assert second == []
    assert standing(ledger) == first


def test_a_plan_from_the_newer_state_takes_effect(ledger: LedgerParts) -> None:
    first = requested(ledger)
    ledger.requests.withdraw(first)

    again = requested(ledger)

    assert again.run == first.run
    assert again.request_id != first.request_id, "Dagster drops a run key that it knows"


def test_a_plan_without_runs_changes_nothing(ledger: LedgerParts) -> None:
    assert ledger.requests.add(DATASET, 0, []) == []
    assert ledger.requests.open(DATASET).plan == 0


def test_more_runs_than_one_transaction_takes_are_left_for_the_next_plan(
    ledger: LedgerParts,
) -> None:
    runs = [ingest_of(replace(FILE, epoch=number)) for number in range(1, 131)]

    added = ledger.requests.add(DATASET, 0, runs)

    assert len(added) == len(standing(ledger)) == MAX_REQUESTS_PER_PLAN
    assert [each.run for each in added] == runs[:MAX_REQUESTS_PER_PLAN]


@given(st.lists(st.integers(0, 60_000), max_size=120))
def test_a_plan_never_holds_more_than_a_transaction_and_always_the_first_run(
    sizes: list[int],
) -> None:
    runs = [ingest_of(*([FILE] * size)) for size in sizes]

    fitting = list(_fitting(runs))

    assert fitting == runs[: len(fitting)]
    assert bool(fitting) == bool(runs)
    assert len(fitting) <= MAX_REQUESTS_PER_PLAN
    assert len(fitting) <= 1 or sum(len(run.files) for run in fitting) <= MAX_FILES_PER_PLAN


def test_a_request_is_claimed_by_one_run_only(ledger: LedgerParts) -> None:
    request = requested(ledger)

    assert ledger.requests.claim(DATASET, request.request_id, RUN) is not None
    assert ledger.requests.claim(DATASET, request.request_id, OTHER_RUN) is None
    assert ledger.requests.claim(DATASET, request.request_id, RUN) is not None, "its own, again"


def test_a_request_that_is_not_there_is_not_claimed(ledger: LedgerParts) -> None:
    assert ledger.requests.claim(DATASET, "ingest-events-1-none", RUN) is None
    assert standing(ledger) == []


def test_only_a_queued_request_is_withdrawn(ledger: LedgerParts) -> None:
    request = requested(ledger)
    ledger.requests.claim(DATASET, request.request_id, RUN)

    assert not ledger.requests.withdraw(request)
    assert len(standing(ledger)) == 1


def test_a_withdrawn_request_is_claimed_by_nobody(ledger: LedgerParts) -> None:
    request = requested(ledger)

    assert ledger.requests.withdraw(request)

    assert ledger.requests.claim(DATASET, request.request_id, RUN) is None
    assert standing(ledger) == []
    assert not ledger.requests.withdraw(request)


def test_a_run_closes_only_its_own_request(ledger: LedgerParts) -> None:
    request = requested(ledger)
    ledger.requests.close(DATASET, request.request_id, RUN)
    assert len(standing(ledger)) == 1, "it is nobody's yet"
    ledger.requests.claim(DATASET, request.request_id, RUN)

    ledger.requests.close(DATASET, request.request_id, OTHER_RUN)

    assert len(standing(ledger)) == 1


def test_a_request_whose_files_have_ended_keeps_its_dates(ledger: LedgerParts) -> None:
    request = requested(ledger)
    claimed = ledger.requests.claim(DATASET, request.request_id, RUN)
    assert claimed is not None

    ledger.requests.drop_files(claimed, OTHER_RUN)
    assert standing(ledger)[0].run.files == (FILE,), "another run's"
    ledger.requests.drop_files(claimed, RUN)

    (bare,) = standing(ledger)
    assert (bare.run.files, bare.run_id, bare.state) == ((), RUN, RequestState.LOADING)
    assert bare.covers(DAY)
    assert not bare.covers(NEXT_DAY)


def test_a_request_that_was_closed_meanwhile_is_not_put_back_by_dropping_its_files(
    ledger: LedgerParts,
) -> None:
    request = requested(ledger)
    claimed = ledger.requests.claim(DATASET, request.request_id, RUN)
    assert claimed is not None
    ledger.requests.close(DATASET, request.request_id, RUN)

    ledger.requests.drop_files(claimed, RUN)

    assert standing(ledger) == []


def test_the_content_of_a_run_names_everything_that_makes_it_another() -> None:
    runs = [
        ingest_of(FILE),
        ingest_of(replace(FILE, attempts=1)),
        ingest_of(replace(FILE, epoch=2)),
        ingest_of(FILE, last=NEXT_DAY),
        PlannedRun(DATASET, RequestKind.REFRESH, DAY, DAY),
        PlannedRun(DATASET, RequestKind.REFRESH, DAY, DAY, versions=((DAY, 1),)),
        PlannedRun(DATASET, RequestKind.REFRESH, DAY, DAY, versions=((DAY, 2),)),
    ]

    assert len({run.content for run in runs}) == len(runs)
    assert ingest_of(FILE).content == runs[0].content
