"""Dead files whose objects were deleted: what a walk ends without a notification, and what not."""

import pytest
from landing_scenario import DAY, KEY, head, put, remove, tick
from reconcile_scenario import calls, die, lose, lost, with_settings

from pipeline_assets.operations import deletions
from pipeline_assets.operations.deletions import Stretch
from pipeline_assets.operations.reconcile import reconcile
from pipeline_assets.registry import dataset
from resources.landfall import Landfall
from resources.ledger.model import NO_DATASET, FileState
from resources.local_aws.provision import provision
from sensors.reconcile import tick as walk_tick

STRAY = "nobody/a.csv"
KEYS = [f"events/dt={DAY}/{number}.csv" for number in range(4)]


@pytest.fixture
def no_queue(landfall: Landfall) -> Landfall:
    """The same environment, whose bucket notifies nobody any more."""
    made = with_settings(landfall, landing_queue="")
    provision(made.aws, ())
    return made


def dead(landfall: Landfall, *keys: str) -> None:
    """Objects that landed and were given up."""
    for key in keys:
        put(landfall, key)
    walk_tick(landfall)
    die(landfall)
    assert states(landfall, *keys) == [FileState.DEAD] * len(keys)


def removed(landfall: Landfall, *keys: str) -> None:
    """Objects that are deleted without a word."""
    for key in keys:
        remove(landfall, key)
    lose(landfall)


def states(landfall: Landfall, *keys: str) -> list[FileState]:
    return [head(landfall, key).state for key in keys]


@pytest.mark.parametrize("key", [KEY, STRAY])
def test_without_a_queue_a_dead_file_whose_object_was_deleted_is_gone_after_a_walk(
    no_queue: Landfall, key: str
) -> None:
    dead(no_queue, key)
    remove(no_queue, key)

    walk_tick(no_queue)

    assert states(no_queue, key) == [FileState.GONE]
    assert no_queue.ledger.files.dead("events") == no_queue.ledger.files.dead(NO_DATASET) == []


def test_a_deletion_whose_notification_got_lost_is_found_by_a_walk(landfall: Landfall) -> None:
    dead(landfall, KEY)
    removed(landfall, KEY)
    assert (tick(landfall), states(landfall, KEY)) == ([], [FileState.DEAD])

    reconcile(landfall)

    assert states(landfall, KEY) == [FileState.GONE]


def test_a_file_that_ended_and_lands_again_is_registered_again(no_queue: Landfall) -> None:
    dead(no_queue, KEY)
    remove(no_queue)
    walk_tick(no_queue)
    put(no_queue)

    walk_tick(no_queue)

    assert (states(no_queue, KEY), head(no_queue).epoch) == ([FileState.LANDED], 2)


def test_dead_files_that_are_listed_are_not_asked_for(no_queue: Landfall) -> None:
    dead(no_queue, KEY, STRAY)

    with calls(no_queue) as made:
        walk_tick(no_queue)

    assert "HeadObject" not in made
    assert states(no_queue, KEY, STRAY) == [FileState.DEAD] * 2


def test_a_loaded_or_waiting_file_is_not_ended_by_a_walk(landfall: Landfall) -> None:
    lost(landfall, KEY)
    walk_tick(landfall)
    removed(landfall, KEY)

    reconcile(landfall)

    assert states(landfall, KEY) == [FileState.LANDED]


@pytest.mark.parametrize("keys", [1, 2, 2000])
def test_each_deleted_object_is_found_and_asked_for_once_whatever_slice_it_was_in(
    no_queue: Landfall, keys: int
) -> None:
    dead(no_queue, *KEYS)
    for key in (KEYS[0], KEYS[2], KEYS[3]):
        remove(no_queue, key)

    sliced = with_settings(no_queue, reconcile_keys=keys)

    with calls(sliced) as made:
        reconcile(sliced)

    assert made.count("HeadObject") == 3
    assert states(no_queue, *KEYS) == [
        FileState.GONE,
        FileState.DEAD,
        FileState.GONE,
        FileState.GONE,
    ]


def test_so_many_are_asked_for_in_a_slice_and_the_others_in_the_next_walk(
    no_queue: Landfall,
) -> None:
    dead(no_queue, *KEYS)
    for key in KEYS[1:]:
        remove(no_queue, key)
    few = with_settings(no_queue, reconcile_heads=2)

    with calls(few) as made:
        walk_tick(few)

    assert made.count("HeadObject") == 2
    assert states(no_queue, *KEYS).count(FileState.GONE) == 2
    walk_tick(few)
    assert states(no_queue, *KEYS) == [FileState.DEAD] + [FileState.GONE] * 3


def test_a_slice_reads_a_bounded_part_of_many_dead_files_and_walks_come_to_all(
    no_queue: Landfall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletions, "DEAD_READ", 2)
    dead(no_queue, *KEYS)
    for key in KEYS:
        remove(no_queue, key)

    walk_tick(no_queue)
    assert states(no_queue, *KEYS).count(FileState.GONE) == 2
    walk_tick(no_queue)

    assert states(no_queue, *KEYS) == [FileState.GONE] * 4


def test_the_dead_files_of_a_walk_cost_no_heads_where_all_are_listed(no_queue: Landfall) -> None:
    dead(no_queue, KEY)
    with calls(no_queue) as few:
        walk_tick(no_queue)
    dead(no_queue, *KEYS)
    with calls(no_queue) as more:
        walk_tick(no_queue)

    assert "HeadObject" not in more
    assert more.count("BatchGetItem") == few.count("BatchGetItem")


def test_what_lands_while_its_key_is_asked_for_stays(landfall: Landfall) -> None:
    dead(landfall, KEY)
    removed(landfall, KEY)
    landed: list[str] = []

    def land(**_: object) -> None:
        if not landed:
            landed.append(KEY)
            put(landfall, KEY, b"a,b\n5,6\n")
            tick(landfall)

    landfall.aws.s3.meta.events.register("after-call.s3.HeadObject", land)
    reconcile(landfall)

    assert landed == [KEY]
    assert (states(landfall, KEY), head(landfall).epoch) == ([FileState.LANDED], 2)


def test_dead_files_of_a_bucket_that_is_not_walked_stay_and_take_no_others_turn(
    no_queue: Landfall,
) -> None:
    elsewhere = with_settings(
        no_queue, landing_bucket=f"{no_queue.bucket.name}-2", reconcile_heads=1
    )
    provision(elsewhere.aws, ())
    dead(no_queue, KEYS[0])
    dead(elsewhere, KEYS[1])
    remove(elsewhere, KEYS[1])

    walk_tick(elsewhere)

    assert states(elsewhere, KEYS[1]) == [FileState.GONE]
    assert states(no_queue, KEYS[0]) == [FileState.DEAD]


def test_listing_one_dataset_leaves_the_dead_files_of_others(no_queue: Landfall) -> None:
    dead(no_queue, KEY, STRAY)
    remove(no_queue, KEY)
    remove(no_queue, STRAY)

    reconcile(no_queue, dataset("events"))

    assert states(no_queue, KEY, STRAY) == [FileState.GONE, FileState.DEAD]


def test_a_stretch_has_the_keys_behind_its_first_up_to_its_last_below_its_prefix() -> None:
    keys = ["a", "b/1", "b/\uffff", "b/\U00010000", "c"]

    assert [key for key in keys if key in Stretch("a", "b/\uffff")] == keys[1:3]
    assert [key for key in keys if key in Stretch("b/\uffff", None)] == keys[3:]
    assert [key for key in keys if key in Stretch("", None, "b/")] == keys[1:4]
