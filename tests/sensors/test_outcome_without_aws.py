"""The outcome sensors when no AWS answers."""

import dagster as dg
from outcome_scenario import Daemon
from reconcile_scenario import with_settings

from resources.landfall import Landfall
from sensors.definitions import outcome_sensors


@dg.op
def broken() -> None:
    raise dg.Failure


@dg.job
def failing() -> None:
    broken()


def test_the_sensor_of_failed_runs_says_so_and_when_the_run_is_given_back(
    landfall: Landfall,
) -> None:
    away = with_settings(landfall, local_port=1)
    with dg.instance_for_test() as instance:
        daemon = Daemon(landfall, instance)
        assert daemon.evaluate() == []
        run_id = failing.execute_in_process(instance=instance, raise_on_error=False).run_id
        sensor = outcome_sensors()[0]
        with dg.build_sensor_context(
            instance=instance,
            cursor=daemon.cursors[sensor.name],
            resources={"landfall": away},
            repository_def=dg.Definitions(jobs=[failing]).get_repository_def(),
        ) as context:
            ticked = sensor.evaluate_tick(context)

    assert not ticked.dagster_run_reactions
    assert "landfall up" in str(ticked.skip_message)
    assert f"{run_id} holds comes back after its lease" in str(ticked.skip_message)
