"""The rows of the drain: what its turns came to, against each peer."""

from bench.drain.samples import drain_plan
from bench.drain.turn import HANDLERS, drains
from bench.measure import Bench, Measured, Row, Turn, at_least, at_most

GROWTH_FILES = 1000
MEBIBYTE = 1024 * 1024


def _sizes(bench: Bench) -> dict[str, int | float]:
    plan = drain_plan(bench.sizes)
    return {"files": plan.files, "rows each": plan.rows, "dates": plan.dates}


def measure_drain(bench: Bench) -> Measured:
    """A run for each file, scaled to all of them."""
    found = drains(bench)
    return Measured(
        turns=tuple(
            Turn(each.seconds, each.stock.seconds / each.stock.files * each.files) for each in found
        ),
        sizes={**_sizes(bench), "files of the peer": found[0].stock.files},
        facts={
            "files a second": found[0].files / found[0].seconds,
            "seconds of the local AWS at work": found[0].calls.busy,
        },
    )


def measure_floor(bench: Bench) -> Measured:
    """What no pipeline can spare."""
    turns = tuple(Turn(each.seconds, each.floor_seconds) for each in drains(bench))
    return Measured(turns, _sizes(bench))


def measure_handler(bench: Bench) -> Measured:
    """Warm handlers."""
    turns = tuple(Turn(each.seconds, each.handler_seconds) for each in drains(bench))
    return Measured(turns, {**_sizes(bench), "handlers": HANDLERS})


def measure_calls(bench: Bench) -> Measured:
    """Requests to AWS, counted at the server."""
    found = drains(bench)
    first = found[0]
    return Measured(
        turns=tuple(Turn(each.calls.total / each.files) for each in found),
        sizes=_sizes(bench),
        facts={name: count / first.files for name, count in first.calls.counts.items()},
    )


def measure_growth(bench: Bench) -> Measured:
    """Dagster's storage; of ours all of it, of the peer what came to an empty one."""
    found = drains(bench)
    unit = GROWTH_FILES / MEBIBYTE
    return Measured(
        turns=tuple(
            Turn(
                each.stored_bytes / each.files * unit,
                each.stock.stored_bytes / each.stock.files * unit,
            )
            for each in found
        ),
        sizes={**_sizes(bench), "files of the peer": found[0].stock.files},
    )


ROWS: tuple[Row, ...] = (
    Row(
        "drain",
        "a backlog of files to complete gold by `landfall work`",
        "one run per file by Dagster's default launcher and queue, scaled to all files",
        "s",
        at_least(50),
        measure_drain,
    ),
    Row(
        "drain-floor",
        "the same drain",
        "a GET and a PUT per file, a GET per fragment, one DuckDB pass over the files",
        "s",
        at_most(3),
        measure_floor,
    ),
    Row(
        "handler",
        "the same drain",
        "two warm processes that read, validate, deduplicate and put file by file with pandas",
        "s",
        at_least(1),
        measure_handler,
    ),
    Row(
        "calls",
        "requests to AWS per file of the drain, all services",
        "nothing",
        "requests",
        at_most(8),
        measure_calls,
    ),
    Row(
        "growth",
        "Dagster's storage per 1,000 files of the drain",
        "one run per file",
        "MiB",
        at_least(50),
        measure_growth,
    ),
)
