"""A landing zone whose notifications get lost, and what walks through it find."""

from collections.abc import Iterator
from contextlib import contextmanager

from landing_scenario import RUN, claimed, put, tick

from pipeline_assets.errors import UnsupportedFormatError
from resources.aws import Aws
from resources.landfall import Landfall
from resources.ledger.listing import ListingReport


def lose(landfall: Landfall) -> None:
    """Let nobody hear of what landed so far."""
    for batch in landfall.queue.receive(1000):
        landfall.queue.delete(batch)


def lost(landfall: Landfall, *keys: str) -> None:
    """Objects that land without a word."""
    for key in keys:
        put(landfall, key)
    lose(landfall)


def counts(report: ListingReport | None, name: str = "events") -> dict[str, tuple[int, ...]]:
    """Listed, missing, pending and dead by date."""
    assert report is not None
    return {
        each.file_date: (each.listed, each.missing, each.pending, each.dead)
        for each in report.of(name).dates
    }


def die(landfall: Landfall) -> None:
    """Let what is pending fail for good."""
    for request in tick(landfall):
        for claim in landfall.ledger.files.claim(claimed(landfall, request).run.files, "events"):
            error = UnsupportedFormatError(claim.head.key, "it is a picture.")
            landfall.ledger.files.fail(claim, error, RUN)
        landfall.ledger.requests.close("events", request.request_id, RUN)


def with_settings(landfall: Landfall, **changed: object) -> Landfall:
    """The same environment as one with other settings sees it."""
    made = Landfall()
    made.__dict__["aws"] = Aws(landfall.settings.model_copy(update=changed))
    return made


@contextmanager
def calls(landfall: Landfall) -> Iterator[list[str]]:
    """The AWS calls that are made meanwhile, by operation."""
    seen: list[str] = []

    def note(model: object, **_: object) -> None:
        seen.append(str(getattr(model, "name", "")))

    clients = (landfall.aws.s3, landfall.aws.dynamodb)
    for client in clients:
        client.meta.events.register("before-call", note)
    yield seen
    for client in clients:
        client.meta.events.unregister("before-call", note)
