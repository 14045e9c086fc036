"""A process that dies with a file leaves work to be done again, never work forgotten.

Each step is run once for each of its calls, over moto: the client dies just before that call is
sent, or just after it took effect. Then comes what the pipeline does anyway (the message is
delivered again, the next tick's run claims what is pending), and the end must be the right one.
"""

from dataclasses import replace

import pytest
from ledger_crashes import Deaths, Step
from ledger_scenario import (
    DATASET,
    DAY,
    KEY,
    NEXT_DAY,
    OTHER_RUN,
    ROUNDS,
    RUN,
    LedgerParts,
    corrupt,
    id_of,
    landing,
    outcome,
    requested,
)

from pipeline_assets.errors import UnknownDatasetError, UnsupportedFormatError
from resources.ledger.model import FileHead, FileState, RequestedFile

OTHER_KEY = f"events/dt={DAY}/b.csv"


def test_registering_new_objects(serial: LedgerParts, deaths: Deaths) -> None:
    def prepare() -> Step:
        landed = [serial.upload("A"), serial.upload("A", OTHER_KEY)]
        return lambda: serial.register(*landed)

    for _ in deaths(prepare):
        serial.register(landing("A"), landing("A", OTHER_KEY))
        assert {each.file_id for each in serial.pending()} == {id_of(KEY), id_of(OTHER_KEY)}
        assert {each.key for each in serial.files.of_date(DATASET, DAY)} == {KEY, OTHER_KEY}
        serial.load_all(DAY)
        assert serial.manifest() == [(KEY, "A"), (OTHER_KEY, "A")]


@pytest.mark.parametrize("before", ["landed", "loaded", "dead", "gone"])
def test_registering_an_overwrite(serial: LedgerParts, before: str, deaths: Deaths) -> None:
    def prepare() -> Step:
        serial.land("A")
        if before == "loaded":
            serial.load(DAY)
            serial.refresh()
        if before == "dead":
            serial.files.fail(serial.claim_one(), UnsupportedFormatError(KEY, "no"), RUN)
        if before == "gone":
            serial.files.gone(serial.head())
        landed = serial.upload("B")
        return lambda: serial.register(landed)

    for _ in deaths(prepare):
        serial.register(landing("B"))
        serial.load_all(NEXT_DAY)
        assert (serial.head().etag, serial.head().state) == ("B", FileState.LOADED)
        assert serial.files.dead(DATASET) == []
        assert set(serial.dirty()) == ({DAY, NEXT_DAY} if before == "loaded" else {NEXT_DAY})
        assert serial.manifest(DAY) == []
        assert serial.manifest(NEXT_DAY) == [(KEY, "B")]


def test_registering_bytes_that_a_load_found(serial: LedgerParts, deaths: Deaths) -> None:
    def prepare() -> Step:
        head = serial.land("A")
        landed = serial.upload("B")
        return lambda: serial.files.overwritten(head, landed)

    for _ in deaths(prepare):
        for _ in range(ROUNDS):
            for claim in serial.claim():
                now = serial.held[KEY]
                if now.etag == claim.head.etag:
                    serial.files.finish([(claim, outcome(claim.head, DAY))], OTHER_RUN)
                else:
                    serial.files.overwritten(claim.head, now)
        assert serial.manifest() == [(KEY, "B")], "no notification came: the pending item led on"
        assert serial.pending() == []


def test_finishing_files(serial: LedgerParts, deaths: Deaths) -> None:
    def prepare() -> Step:
        serial.land("A")
        serial.land("A", OTHER_KEY)
        loaded = [(each, outcome(each.head, DAY, NEXT_DAY)) for each in serial.claim()]
        return lambda: serial.files.finish(loaded, RUN)

    for _ in deaths(prepare):
        serial.load_all(DAY, NEXT_DAY)
        assert set(serial.dirty()) == {DAY, NEXT_DAY}
        assert serial.manifest(DAY) == [(KEY, "A"), (OTHER_KEY, "A")]
        assert serial.manifest(NEXT_DAY) == serial.manifest(DAY)
        serial.refresh_all()
        serial.assert_clean(DAY, NEXT_DAY)


def test_finishing_bytes_that_moved_to_another_date(
    serial: LedgerParts,
    deaths: Deaths,
) -> None:
    def prepare() -> Step:
        serial.land("A")
        serial.load(DAY)
        serial.refresh()
        serial.land("B")
        claim = serial.claim_one()
        return lambda: serial.files.finish([(claim, outcome(claim.head, NEXT_DAY))], RUN)

    for _ in deaths(prepare):
        serial.load_all(NEXT_DAY)
        assert set(serial.dirty()) == {DAY, NEXT_DAY}
        assert (serial.manifest(DAY), serial.manifest(NEXT_DAY)) == ([], [(KEY, "B")])


def test_finishing_bytes_that_are_overwritten_before_anyone_looks(
    serial: LedgerParts,
    deaths: Deaths,
) -> None:
    def prepare() -> Step:
        serial.land("A")
        claim = serial.claim_one()
        return lambda: serial.files.finish([(claim, outcome(claim.head, DAY))], RUN)

    for _ in deaths(prepare):
        serial.land("B")
        serial.fail_all()
        assert serial.head().state is FileState.DEAD
        counts = bool(serial.manifest())
        assert set(serial.dirty()) == ({DAY} if counts else set()), "what counts is refreshed"


def test_settling_a_loaded_file(serial: LedgerParts, deaths: Deaths) -> None:
    def prepare() -> Step:
        head = unsettled(serial)
        return lambda: serial.files.settle([head])

    for _ in deaths(prepare):
        serial.load_all()
        assert set(serial.dirty()) == {DAY, NEXT_DAY}
        assert serial.head().attempts == 1, "it is not loaded again"


def unsettled(serial: LedgerParts) -> FileHead:
    """A file that is loaded, but whose dates are not raised."""
    serial.land("A")
    claim = serial.claim_one()
    loaded = outcome(claim.head, DAY, NEXT_DAY)
    serial.dates.add_entries(loaded.fragments)
    head = serial.files._turn(claim, loaded, RUN)
    assert head is not None
    return head


def test_failing_a_file(serial: LedgerParts, deaths: Deaths) -> None:
    def prepare() -> Step:
        serial.land("A")
        claim = serial.claim_one()
        return lambda: serial.files.fail(claim, corrupt(), RUN)

    for _ in deaths(prepare):
        serial.fail_all()
        (dead,) = serial.files.dead(DATASET)
        assert dead.attempts == serial.settings.max_attempts


def test_failing_a_file_for_good(serial: LedgerParts, deaths: Deaths) -> None:
    def prepare() -> Step:
        serial.land("A")
        claim = serial.claim_one()
        error = UnsupportedFormatError(KEY, "no format.")
        return lambda: serial.files.fail(claim, error, RUN)

    for _ in deaths(prepare):
        for claim in serial.claim():
            serial.files.fail(claim, UnsupportedFormatError(KEY, "no format."), OTHER_RUN)
        (dead,) = serial.files.dead(DATASET)
        assert (dead.key, dead.error.kind) == (KEY, "UnsupportedFormatError")
        assert serial.pending() == []


def test_giving_up_a_dead_runs_files(serial: LedgerParts, deaths: Deaths) -> None:
    def prepare() -> Step:
        serial.land("A")
        serial.land("A", OTHER_KEY)
        files = [requested(each) for each in serial.pending()]
        planned[:] = files
        return lambda: serial.files.give_up(files, DATASET, RUN)

    planned: list[RequestedFile] = []
    for _ in deaths(prepare):
        serial.files.give_up(planned, DATASET, RUN)
        assert [(each.attempts, each.alone) for each in serial.pending()] == [(1, True)] * 2


def test_noting_that_a_file_is_gone(serial: LedgerParts, deaths: Deaths) -> None:
    def prepare() -> Step:
        serial.land("A")
        return lambda: serial.files.gone(serial.head())

    for _ in deaths(prepare):
        serial.files.gone(serial.head())
        serial.claim()
        assert (serial.head().state, serial.pending()) == (FileState.GONE, [])


def test_burying_an_object_without_a_dataset(serial: LedgerParts, deaths: Deaths) -> None:
    landed = replace(landing("A", "unknown/a.csv"), dataset="unknown")
    error = UnknownDatasetError(landed.key, (DATASET,))

    for _ in deaths(lambda: lambda: serial.files.bury(landed, error)):
        serial.files.bury(landed, error)
        assert [each.key for each in serial.files.dead("unknown")] == [landed.key]


def test_putting_back_a_dead_file(serial: LedgerParts, deaths: Deaths) -> None:
    def prepare() -> Step:
        serial.land("A")
        serial.files.fail(serial.claim_one(), UnsupportedFormatError(KEY, "no"), RUN)
        head = serial.head()
        return lambda: serial.files.put_back([head], "mended")

    for _ in deaths(prepare):
        if serial.head().state is FileState.DEAD:
            serial.files.put_back([serial.head()], "mended, said again")
        serial.register(landing("A"))
        assert serial.files.dead(DATASET) == []
        serial.load_all(DAY)
        assert serial.manifest() == [(KEY, "A")]
