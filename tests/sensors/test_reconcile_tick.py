"""Walks through the landing bucket over moto: what no notification told is registered."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from landing_scenario import DAY, KEY, head, loaded, put, remove, tick
from reconcile_scenario import calls, counts, die, lose, lost, with_settings

from pipeline_assets.operations.reconcile import reconcile as walk_all
from pipeline_assets.operations.reconcile import walk_on
from pipeline_assets.registry import dataset, datasets
from resources.aws import Aws
from resources.landfall import Landfall
from resources.ledger.items import dead_key, pending_key_of
from resources.ledger.listing import FinishedWalk, Walk
from resources.ledger.model import NO_DATASET, FileState, file_id, utc_text
from resources.ledger.ticks import RECONCILE
from resources.local_aws.provision import provision
from resources.settings import Settings
from sensors import reconcile
from sensors.definitions import reconcile_sensor

NOW = datetime(2025, 3, 20, 12, tzinfo=UTC)
NEXT_DAY = "2025-03-02"
OTHER_KEY = f"events/dt={NEXT_DAY}/b.csv"
STRAY = "nobody/a.csv"
INTERVAL = 900.0


@pytest.fixture
def no_queue(settings: Settings) -> Landfall:
    """An environment whose bucket notifies nobody."""
    made = Landfall()
    made.__dict__["aws"] = Aws(settings.model_copy(update={"landing_queue": ""}))
    provision(made.aws, ())
    return made


@pytest.mark.parametrize(
    ("walk", "after", "queue", "due"),
    [
        (Walk(), 0, "queue", True),
        (Walk(1, utc_text(NOW)), 0, "queue", True),
        (Walk(1, utc_text(NOW), finished=FinishedWalk(1, "", "")), INTERVAL - 1, "queue", False),
        (Walk(1, utc_text(NOW), finished=FinishedWalk(1, "", "")), INTERVAL, "queue", True),
        (Walk(1, utc_text(NOW), finished=FinishedWalk(1, "", "")), 1, "", True),
        (Walk(1, utc_text(NOW), finished=FinishedWalk(1, "", "")), -1, "queue", True),
    ],
    ids=["the first", "under way", "rests", "due", "no queue", "begun by a clock ahead"],
)
def test_a_walk_is_due_when_it_is_under_way_or_the_former_began_long_ago(
    walk: Walk, after: float, queue: str, *, due: bool
) -> None:
    settings = Settings(landing_queue=queue, reconcile_seconds=INTERVAL)

    left = reconcile.wait(walk, settings, NOW + timedelta(seconds=after))

    assert (left == timedelta(0)) is due


def test_an_object_that_no_notification_told_is_registered_and_its_run_requested(
    landfall: Landfall,
) -> None:
    lost(landfall, KEY)
    assert tick(landfall) == []

    reconcile.tick(landfall)

    assert counts(landfall.ledger.listing.report()) == {DAY: (1, 1, 1, 0)}
    (request,) = tick(landfall)
    assert [file.file_id for file in request.run.files] == [head(landfall).file_id]


def test_what_is_known_is_counted_by_its_state_and_changed_in_nothing(landfall: Landfall) -> None:
    put(landfall)
    (request,) = tick(landfall)
    loaded(landfall, request)
    put(landfall, OTHER_KEY)
    die(landfall)
    put(landfall, f"events/dt={NEXT_DAY}/c.csv")
    tick(landfall)
    before = [head(landfall, key) for key in (KEY, OTHER_KEY)]

    report = walk_all(landfall)

    assert counts(report) == {DAY: (1, 0, 0, 0), NEXT_DAY: (2, 0, 1, 1)}
    assert report.dates[1].dead_keys == (OTHER_KEY,)
    assert [each.is_complete for each in report.dates] == [True, False]
    assert [head(landfall, key) for key in (KEY, OTHER_KEY)] == before


def test_other_bytes_at_a_known_key_are_registered_as_an_overwrite(landfall: Landfall) -> None:
    put(landfall)
    (request,) = tick(landfall)
    loaded(landfall, request)
    put(landfall, body=b"a,b\n3,4\n")
    lose(landfall)

    assert counts(walk_all(landfall)) == {DAY: (1, 1, 1, 0)}

    assert (head(landfall).epoch, head(landfall).state) == (2, FileState.LANDED)
    assert counts(walk_all(landfall)) == {DAY: (1, 0, 1, 0)}


def test_a_file_that_was_gone_and_is_listed_again_is_registered_again(landfall: Landfall) -> None:
    put(landfall)
    remove(landfall)
    tick(landfall)
    assert head(landfall).state is FileState.GONE
    lost(landfall, KEY)

    assert counts(walk_all(landfall)) == {DAY: (1, 1, 1, 0)}

    assert head(landfall).state is FileState.LANDED


def test_a_forgotten_file_stays_forgotten(landfall: Landfall) -> None:
    put(landfall)
    (request,) = tick(landfall)
    loaded(landfall, request)
    landfall.ledger.files.forget(head(landfall), "on purpose")

    report = walk_all(landfall)

    assert counts(report) == {DAY: (1, 0, 0, 0)}
    assert (report.dates[0].forgotten, report.dates[0].is_complete) == (1, True)
    assert head(landfall).state is FileState.FORGOTTEN


@pytest.mark.parametrize("key", [STRAY, "stray.csv", "!first"])
def test_an_object_below_no_dataset_is_buried_and_reported_apart(
    landfall: Landfall, key: str
) -> None:
    lost(landfall, key)

    first, second = walk_all(landfall), walk_all(landfall)

    (dead,) = landfall.ledger.files.dead(NO_DATASET)
    assert (dead.key, dead.error.kind) == (key, "UnknownDatasetError")
    assert list(counts(first, NO_DATASET).values()) == [(1, 1, 0, 1)]
    assert list(counts(second, NO_DATASET).values()) == [(1, 0, 0, 1)]
    assert counts(first) == {}


@pytest.mark.parametrize(
    "name", ["a b.csv", "a+b.csv", "100%.csv", "日本/ключ=1.csv", "a&b=c?.csv"]
)
def test_a_key_is_listed_as_it_is_whatever_its_letters(landfall: Landfall, name: str) -> None:
    keys = [f"events/dt={DAY}/{each}" for each in (name, "z")]
    lost(landfall, *keys)

    reconcile.tick(with_settings(landfall, reconcile_keys=1))

    assert [head(landfall, key).key for key in keys] == keys


def test_a_file_that_a_crash_left_out_of_every_list_is_filed_again(landfall: Landfall) -> None:
    lost(landfall, KEY, STRAY)
    walk_all(landfall)
    landfall.ledger.listing._table.batch_write(
        deletes=[pending_key_of(head(landfall)), dead_key(head(landfall, STRAY))]
    )
    assert (tick(landfall), landfall.ledger.files.dead(NO_DATASET)) == ([], [])

    report = walk_all(landfall)

    assert counts(report) == {DAY: (1, 0, 1, 0)}
    assert len(tick(landfall)) == len(landfall.ledger.files.dead(NO_DATASET)) == 1


def test_a_walk_goes_on_in_slices_over_any_number_of_ticks_and_walkers(landfall: Landfall) -> None:
    keys = [f"events/dt={DAY}/{number:03}.csv" for number in range(7)]
    lost(landfall, *keys)
    hasty = {"reconcile_keys": 3, "max_tick_seconds": 1e-9}

    walks = [reconcile.tick(with_settings(landfall, **hasty)) for _ in range(3)]

    assert [walk.after for walk in walks] == [keys[2], keys[5], keys[6]]
    assert [walk.is_under_way for walk in walks] == [True, True, False]
    assert counts(landfall.ledger.listing.report()) == {DAY: (7, 7, 7, 0)}


def test_a_tick_that_is_not_due_costs_one_read(landfall: Landfall) -> None:
    lost(landfall, KEY)
    reconcile.tick(landfall)

    with calls(landfall) as made:
        reconcile.tick(landfall)

    assert made == ["GetItem"]


def test_a_tick_that_walks_is_noted_and_one_that_rests_is_not(landfall: Landfall) -> None:
    reconcile.tick(landfall)
    noted = landfall.ledger.ticks.last(RECONCILE)
    assert noted is not None

    reconcile.tick(landfall)

    assert landfall.ledger.ticks.last(RECONCILE) == noted


def test_walking_known_objects_costs_a_listing_and_batches_whatever_their_number(
    landfall: Landfall,
) -> None:
    lost(landfall, *(f"events/dt={DAY}/{number:03}.csv" for number in range(120)))
    walk_all(landfall)
    walk = landfall.ledger.listing.begin(landfall.ledger.listing.walk())
    assert walk is not None

    with calls(landfall) as made:
        walk_on(landfall, walk)

    heads_and_pointers = 2 * 2
    lists_of_dead = len(datasets()) + 1
    assert sorted(made) == sorted(
        [
            "ListObjectsV2",
            *["BatchGetItem"] * heads_and_pointers,
            *["Query"] * lists_of_dead,
            "TransactWriteItems",
        ]
    )


def test_one_dataset_is_listed_by_itself_and_the_walk_under_way_stays(landfall: Landfall) -> None:
    lost(landfall, KEY, STRAY)
    before = landfall.ledger.listing.begin(Walk())

    report = walk_all(landfall, dataset("events"))

    assert counts(report) == {DAY: (1, 1, 1, 0)}
    assert landfall.ledger.listing.walk() == before
    assert landfall.ledger.files.head(file_id(landfall.bucket.name, STRAY)) is None


def test_without_a_queue_the_walks_alone_feed_the_ledger_and_never_rest(
    no_queue: Landfall,
) -> None:
    put(no_queue)
    assert tick(no_queue) == []
    assert (no_queue.queue.depth(), no_queue.queue.dead_letters()) == ((0, 0), 0)

    for number, key in enumerate([KEY, OTHER_KEY], 1):
        put(no_queue, key)
        assert reconcile.tick(no_queue).last_finished == number
        assert head(no_queue, key).state is FileState.LANDED

    assert len(tick(no_queue)) == 2


def test_where_the_settings_name_no_queue_a_bucket_stops_to_notify_one(
    landfall: Landfall, no_queue: Landfall
) -> None:
    provision(landfall.aws, ())
    provision(no_queue.aws, ())

    put(landfall)

    assert landfall.queue.depth() == (0, 0)


def test_the_sensor_walks_and_says_how_far_it_is(landfall: Landfall) -> None:
    lost(landfall, KEY, OTHER_KEY)
    hasty = with_settings(landfall, reconcile_keys=1, max_tick_seconds=1e-9)
    sensor = reconcile_sensor()

    with dg.instance_for_test() as instance:
        context = dg.build_sensor_context(instance, resources={"landfall": hasty})
        said = [str(sensor.evaluate_tick(context).skip_message) for _ in range(2)]

    assert said == [
        f"Walk 1 of the landing bucket: behind {KEY}.",
        "Walk 1 of the landing bucket is finished.",
    ]


def test_the_sensor_says_when_no_aws_answers(landfall: Landfall) -> None:
    away = with_settings(landfall, local_port=1)

    with dg.instance_for_test() as instance:
        context = dg.build_sensor_context(instance, resources={"landfall": away})
        said = reconcile_sensor().evaluate_tick(context).skip_message

    assert "landfall up" in str(said)
