"""AWS that throttles, cuts connections, goes away, or notifies badly."""

import random

from fault_lane import WORK_SECONDS, Place
from fault_processes import HarnessError, await_until
from fault_proxy import Cuts, proxy
from fault_trials import Kind, Outcome, Run

THROTTLED_SHARE = 0.2
CUT_SHARE = 0.1
STORM_SECONDS = 3.0
OUTAGE_SECONDS = 0.3
PAUSE_SECONDS = 30.0
COPIES = 3
DROPPED_SHARE = 0.3
MESSAGES_PER_CALL = 10


def throttling(run: Run) -> Outcome:
    """A fifth of all calls is refused, before they take effect or (5xx) after, for a while."""
    run.place.plan(seed=run.trial.seed, throttled=THROTTLED_SHARE, storm=STORM_SECONDS)
    run.work_until_idle()
    return run.judge()


def cut(run: Run) -> Outcome:
    """A tenth of all requests or responses breaks off in the middle of its body, for a while."""
    notes = run.place.folder / "faults"
    with proxy(Cuts(run.place.port, run.trial.seed, CUT_SHARE, STORM_SECONDS, notes)) as port:
        run.place.worker_port = port
        run.work_until_idle()
    return run.judge()


def restart(run: Run) -> Outcome:
    """The local AWS ends and starts again at a call, which finds it gone or back."""
    place = run.place
    place.plan(action="pause", at=run.trial.at)
    worker = place.work()
    await_until(lambda: bool(place.lines("faults")) or worker.ended.is_set(), PAUSE_SECONDS)
    place.stop_server()
    meets_nothing = run.trial.seed % 2
    if meets_nothing:
        (place.folder / "go").touch()
        worker.wait(OUTAGE_SECONDS)
    place.start_server()
    (place.folder / "go").touch()
    run.note_fault()
    worker.wait(WORK_SECONDS)
    run.work_until_idle()
    return run.judge()


def notifications(run: Run) -> Outcome:
    """Notifications come three times, in any order, and some never: a walk finds those."""
    lot = random.Random(run.trial.seed)  # noqa: S311 - repeatable, no secret
    bodies = take_messages(run.place)
    dropped = [body for body in bodies if lot.random() < DROPPED_SHARE]
    sent = [body for body in bodies if body not in dropped for _ in range(COPIES)]
    lot.shuffle(sent)
    send_messages(run.place, sent)
    run.note_fault()
    run.work_until_idle()
    return run.judge(fired=True)


def take_messages(place: Place) -> list[str]:
    """Take all messages that are visible out of the landing queue; their bodies."""
    sqs, url = place.landfall.aws.sqs, _queue_url(place)
    bodies: list[str] = []
    while True:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=MESSAGES_PER_CALL)
        messages = answer.get("Messages", [])
        if not messages:
            return bodies
        for message in messages:
            bodies.append(message["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def send_messages(place: Place, bodies: list[str]) -> None:
    """Put messages into the landing queue, in this order."""
    for body in bodies:
        place.landfall.aws.sqs.send_message(QueueUrl=_queue_url(place), MessageBody=body)


def _queue_url(place: Place) -> str:
    name = place.landfall.settings.landing_queue
    url = place.landfall.aws.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    if not url:
        raise HarnessError(f"there is no queue {name}")
    return url


WEATHER = {
    Kind.THROTTLING: throttling,
    Kind.CUT: cut,
    Kind.RESTART: restart,
    Kind.NOTIFICATIONS: notifications,
}
