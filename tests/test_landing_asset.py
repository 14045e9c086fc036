"""What Dagster is told of walks through the landing bucket, from plain data."""

from datetime import date, timedelta

import dagster as dg

from pipeline_assets.landing_asset import DATES_SHOWN, DATES_TOLD_AT_ONCE, news
from resources.ledger.listing import DateListing, ListingReport, Told

AT_ONCE = timedelta(0)
PAUSE = timedelta(minutes=15)
FIRST, SECOND = "2025-03-01", "2025-03-02"
DEAD_KEY = f"events/dt={SECOND}/b.csv"


def day(number: int) -> str:
    return (date(2015, 1, 1) + timedelta(number)).isoformat()


def sound(file_date: str, listed: int = 3, missing: int = 0, pending: int = 0) -> DateListing:
    return DateListing("events", file_date, listed, missing, pending)


def broken(file_date: str = SECOND, dead: int = 1) -> DateListing:
    return DateListing("events", file_date, 3, dead=dead, dead_keys=(DEAD_KEY,))


def walk(*dates: DateListing, number: int = 1) -> ListingReport:
    return ListingReport(number, "2025-03-20T12:00:00.000Z", "2025-03-20T12:01:00.000Z", dates)


def told_of(*walks: ListingReport) -> tuple[list[list[dg.AssetCheckEvaluation]], Told]:
    """What is told of walks one after the other, and what is told by then."""
    told = Told("events")
    events = []
    for each in walks:
        new, told = news(each, told, AT_ONCE)
        events.append(new)
    return events, told


def day_of(event: dg.AssetCheckEvaluation) -> str | None:
    """The date that an evaluation is about; ``None`` for the whole."""
    found = event.metadata.get("file_date")
    return str(found.value) if found else None


def verdicts(events: list[dg.AssetCheckEvaluation]) -> list[tuple[str | None, bool]]:
    return [(day_of(each), each.passed) for each in events]


def test_no_evaluation_names_a_partition_for_dagster_stores_only_one_of_each() -> None:
    with dg.instance_for_test() as instance:
        (first, second), _ = told_of(walk(broken()), walk(sound(SECOND), number=2))

        for event in [*first, *second]:
            instance.report_runless_asset_event(event)

    assert len(first) == len(second) == 2


def test_a_sound_bucket_is_told_in_one_evaluation_of_the_whole() -> None:
    ((event,),), _ = told_of(walk(sound(FIRST, missing=1, pending=2), sound(SECOND)))

    assert (event.passed, day_of(event)) == (True, None)
    assert event.asset_check_key == dg.AssetCheckKey(dg.AssetKey(["landing", "events"]), "complete")
    assert {name: event.metadata[name].value for name in ("listed", "known", "missing")} == {
        "listed": 6,
        "known": 5,
        "missing": 1,
    }
    assert "2 to be loaded" in str(event.description)
    assert "1 new to the ledger" in str(event.description)


def test_an_incomplete_date_is_told_with_its_keys_and_the_mend_and_before_the_whole() -> None:
    (events,), _ = told_of(walk(sound(FIRST), broken()))

    assert verdicts(events) == [(SECOND, False), (None, False)]
    for event in events:
        assert DEAD_KEY in str(event.description)
        assert "landfall replay" in str(event.description)


def test_a_date_is_told_again_only_when_it_changes() -> None:
    walks = [
        walk(broken(), number=1),
        walk(broken(), number=2),
        walk(broken(dead=2), number=3),
        walk(sound(SECOND), number=4),
        walk(sound(SECOND), number=5),
    ]

    events, told = told_of(*walks)

    whole_fails, whole_passes = (None, False), (None, True)
    assert [verdicts(each) for each in events] == [
        [(SECOND, False), whole_fails],
        [whole_fails],
        [(SECOND, False), whole_fails],
        [(SECOND, True), whole_passes],
        [whole_passes],
    ]
    assert (told.number, told.failing) == (5, {})


def test_an_incomplete_date_whose_objects_were_all_deleted_is_complete() -> None:
    events, _ = told_of(walk(broken()), walk(number=2))

    assert verdicts(events[1]) == [(SECOND, True), (None, True)]


def test_many_incomplete_dates_are_told_over_several_ticks_and_the_whole_at_last() -> None:
    many = 2 * DATES_TOLD_AT_ONCE + 1
    report = walk(*(broken(day(number)) for number in range(many)))
    told = Told("events")
    days: list[str | None] = []

    for _ in range(3):
        assert told.number == 0
        events, told = news(report, told, AT_ONCE)
        assert len(events) <= DATES_TOLD_AT_ONCE + 1
        days += [day_of(each) for each in events]

    assert days == [*map(day, range(many)), None]
    assert told.number == report.number


def test_walks_that_follow_each_other_at_once_are_told_only_when_something_changes() -> None:
    _, told = news(walk(sound(FIRST)), Told("events"), PAUSE)

    silent, told = news(walk(sound(FIRST, 4), number=2), told, PAUSE)
    changed, told = news(walk(broken(), number=3), told, PAUSE)

    assert (silent, told.number) == ([], 3)
    assert verdicts(changed) == [(SECOND, False), (None, False)]


def test_the_table_has_incomplete_dates_first_then_the_newest_and_an_end() -> None:
    dates = [sound(day(number)) for number in range(3653)]
    dates[5] = broken(day(5))
    dates[7] = sound(day(7), missing=1)

    (events,), _ = told_of(walk(*dates))

    table = events[-1].metadata["by_date"]
    assert isinstance(table, dg.TableMetadataValue)
    days = [record.data["file_date"] for record in table.records]
    assert days[:4] == [day(5), day(7), day(3652), day(3651)]
    assert len(days) == DATES_SHOWN
    assert (events[-1].metadata["dates"].value, events[-1].metadata["incomplete_dates"].value) == (
        3653,
        1,
    )
