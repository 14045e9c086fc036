"""The state of walks through the landing bucket: one slice after the other, each counted once."""

from dataclasses import replace
from datetime import date, timedelta

from ledger_crashes import Deaths, Step
from ledger_scenario import DATASET, DAY, NEXT_DAY, LedgerParts, landing

from pipeline_assets.errors import UnknownDatasetError
from resources.ledger.items import dead_key, pending_key_of
from resources.ledger.listing import (
    KEYS_NAMED,
    DateListing,
    Listing,
    Slice,
    Told,
    Walk,
    merged,
)
from resources.ledger.model import NO_DATASET

TEN_YEARS = 3653
LONGEST_KEY = 1024


def on(day: str, listed: int = 1) -> DateListing:
    """What was found of one date."""
    return DateListing(DATASET, day, listed)


def part(*dates: DateListing, after: str = "b", is_last: bool = False) -> Slice:
    """What a slice found."""
    return Slice(dates, after, is_last)


def begun(listing: Listing) -> Walk:
    """The next walk."""
    walk = listing.begin(listing.walk())
    assert walk is not None
    return walk


def walked(listing: Listing, *slices: Slice) -> Walk:
    """A whole walk of so many slices; the last of them is the last."""
    walk = begun(listing)
    for number, found in enumerate(slices, 1):
        on_ = listing.advance(walk, replace(found, is_last=number == len(slices)))
        assert on_ is not None
        walk = on_
    return walk


def found(listing: Listing) -> dict[str, int]:
    """Listed objects by date, as the last finished walk reports them."""
    report = listing.report()
    assert report is not None
    return {each.file_date: each.listed for each in report.dates}


def stored_slices(ledger: LedgerParts) -> set[str]:
    """Partition keys below which slices stand."""
    table = ledger.table
    items = table._aws.dynamodb.scan(TableName=table.name)["Items"]
    return {item["pk"]["S"] for item in items if item["pk"]["S"].startswith("listing#")}


def test_before_the_first_walk_there_is_nothing_to_report(ledger: LedgerParts) -> None:
    listing = Listing(ledger.table)

    assert listing.walk() == Walk()
    assert not listing.walk().is_under_way
    assert listing.report() is None


def test_a_walk_goes_on_where_it_stopped_and_its_last_slice_finishes_it(
    ledger: LedgerParts,
) -> None:
    walk = begun(Listing(ledger.table))
    assert (walk.number, walk.after, walk.is_under_way) == (1, "", True)

    Listing(ledger.table).advance(walk, part(on(DAY, 2), after="events/b"))
    half = Listing(ledger.table).walk()
    assert (half.after, half.slices, half.is_under_way) == ("events/b", 1, True)
    assert Listing(ledger.table).report() is None
    Listing(ledger.table).advance(half, part(on(DAY, 3), on(NEXT_DAY), is_last=True))

    assert not Listing(ledger.table).walk().is_under_way
    assert found(Listing(ledger.table)) == {DAY: 5, NEXT_DAY: 1}


def test_counts_of_a_date_are_added_up_and_a_few_keys_named() -> None:
    one = replace(on(DAY, 4), missing=1, dead=2, dead_keys=("a", "b"), missing_keys=("m",))
    other = replace(on(DAY, 3), pending=1, dead=2, forgotten=1, dead_keys=("c", "d"))

    (both,) = merged([one, other])

    assert both == DateListing(
        DATASET, DAY, 7, 1, 1, 4, 1, missing_keys=("m",), dead_keys=("a", "b", "c")
    )
    assert both.known == 6
    assert not both.is_complete


def test_of_two_walkers_of_the_same_slice_one_counts(ledger: LedgerParts) -> None:
    listing = Listing(ledger.table)
    walk = begun(listing)

    first = listing.advance(walk, part(on(DAY, 2), after="b", is_last=False))
    second = listing.advance(walk, part(on(DAY, 9), after="x", is_last=True))

    assert (second, listing.walk()) == (None, first)
    assert first is not None
    listing.advance(first, part(on(DAY, 1), is_last=True))
    assert found(listing) == {DAY: 3}


def test_of_two_that_begin_the_same_walk_one_does(ledger: LedgerParts) -> None:
    listing = Listing(ledger.table)

    assert listing.begin(Walk()) is not None
    assert listing.begin(Walk()) is None

    listing.advance(listing.walk(), part(is_last=True))
    before = listing.walk()
    assert listing.begin(before) is not None
    assert listing.begin(before) is None


def test_a_walk_is_reported_until_the_next_is_finished_and_then_its_counts_go(
    ledger: LedgerParts,
) -> None:
    listing = Listing(ledger.table)
    walked(listing, part(on(DAY, 1)))
    second = begun(listing)
    second = listing.advance(second, part(on(DAY, 2))) or second
    assert found(listing) == {DAY: 1}

    listing.advance(second, part(on(DAY, 3), is_last=True))
    assert found(listing) == {DAY: 5}
    walked(listing, part(on(NEXT_DAY)))

    assert found(listing) == {NEXT_DAY: 1}
    assert stored_slices(ledger) == {"listing#00000002", "listing#00000003"}


def test_a_walk_that_is_given_up_counts_for_nothing_and_leaves_nothing(ledger: LedgerParts) -> None:
    listing = Listing(ledger.table)
    walked(listing, part(on(DAY, 1)))
    listing.advance(begun(listing), part(on(DAY, 9)))

    third = begun(listing)
    assert third.is_under_way
    assert found(listing) == {DAY: 1}
    listing.advance(third, part(on(DAY, 2), is_last=True))
    assert found(listing) == {DAY: 2}

    begun(listing)
    assert stored_slices(ledger) == {"listing#00000003"}


def test_a_walker_that_dies_at_any_call_leaves_a_walk_that_counts_each_slice_once(
    serial: LedgerParts, deaths: Deaths
) -> None:
    listing = Listing(serial.table)
    slices = {"": part(on(DAY, 2), after="b"), "b": part(on(DAY, 3), is_last=True)}

    def walk_all() -> None:
        walk = begun(listing) if not listing.walk().is_under_way else listing.walk()
        while walk.is_under_way:
            walk = listing.advance(walk, slices[walk.after]) or listing.walk()

    def prepare() -> Step:
        walk_all()
        walk_all()
        return walk_all

    for _ in deaths(prepare):
        if listing.walk().is_under_way:
            walk_all()
        assert found(listing) == {DAY: 5}
        walk_all()
        assert found(listing) == {DAY: 5}
        assert len(stored_slices(serial)) == 2


def test_ten_years_of_dates_fit_with_keys_as_long_as_they_can_be(ledger: LedgerParts) -> None:
    listing = Listing(ledger.table)
    keys = tuple(f"{number:0{LONGEST_KEY}}" for number in range(KEYS_NAMED))
    dates = tuple(
        replace(
            on((date(2015, 1, 1) + timedelta(number)).isoformat(), 10**9),
            dead=10**8,
            dead_keys=keys,
            missing_keys=keys,
        )
        for number in range(TEN_YEARS)
    )

    walked(listing, part(*dates, after=keys[0]), part(dates[0]))

    report = listing.report()
    assert report is not None
    assert [each.file_date for each in report.dates] == [each.file_date for each in dates]
    assert [each.listed for each in report.dates[:2]] == [2 * 10**9, 10**9]
    assert len(report.dates[0].dead_keys) == KEYS_NAMED
    failing = {each.file_date: each.dead for each in report.dates}
    told = Told(DATASET, report.number, report.ended_at, failing)
    listing.tell(told)
    assert listing.told(DATASET) == told


def test_nothing_was_told_of_a_dataset_at_first(ledger: LedgerParts) -> None:
    assert Listing(ledger.table).told(DATASET) == Told(DATASET)


def test_a_pending_or_buried_file_that_no_list_has_is_found(ledger: LedgerParts) -> None:
    stray = replace(landing("A", "nobody/a.csv"), dataset=NO_DATASET)
    ledger.files.bury(stray, UnknownDatasetError(stray.key, (DATASET,)))
    ledger.land("A")
    heads = [ledger.head(), ledger.head(stray.key)]
    listing = Listing(ledger.table)
    assert listing.unfiled(heads) == set()

    ledger.table.batch_write(deletes=[pending_key_of(heads[0]), dead_key(heads[1])])

    assert listing.unfiled(heads) == {head.file_id for head in heads}


def test_a_loaded_file_is_in_no_list_and_misses_in_none(ledger: LedgerParts) -> None:
    ledger.land("A")
    ledger.load(DAY)

    assert Listing(ledger.table).unfiled([ledger.head()]) == set()
