"""Small landed files, one for each date, and what gold and serving must hold of them."""

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

from bench.stage.summary import Summary, in_gold, served_on
from resources.landfall import Landfall
from resources.ledger.model import FileState, file_id

FIRST_DATE = date(2025, 3, 10)
KINDS = ("page_view", "click", "purchase", "signup")
ROWS = 20
USERS = 3


def dates(number: int) -> list[str]:
    """So many dates, in order."""
    return [(FIRST_DATE + timedelta(days=each)).isoformat() for each in range(number)]


def key(day: str) -> str:
    """Where the date's file lands."""
    return f"events/dt={day}/web.jsonl"


def put(landfall: Landfall, day: str) -> None:
    """Land the date's file."""
    lines = "".join(json.dumps(each) + "\n" for each in _rows(day))
    landfall.aws.s3.put_object(Bucket=landfall.bucket.name, Key=key(day), Body=lines.encode())


def put_all(landfall: Landfall, days: Iterable[str]) -> None:
    """Land the files of dates, several at a time."""
    with ThreadPoolExecutor(landfall.settings.io_threads) as pool:
        list(pool.map(lambda day: put(landfall, day), days))


def _rows(day: str) -> list[dict[str, str]]:
    """Valid events; the last is a duplicate of the one before, so that there is work to do."""
    rows = [
        {
            "eventId": f"{day}-{number}",
            "eventType": KINDS[number % len(KINDS)],
            "userId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"user/{number % USERS}")),
            "timestamp": f"{day}T{number % 24:02}:30:00Z",
        }
        for number in range(ROWS)
    ]
    return [*rows, rows[-1]]


def expected(day: str) -> Summary:
    """What gold and serving must hold of a date."""
    rows = _rows(day)[:ROWS]
    counts = Counter(row["eventType"] for row in rows)
    users = {kind: {row["userId"] for row in rows if row["eventType"] == kind} for kind in counts}
    return {(day, kind): (count, len(users[kind])) for kind, count in counts.items()}


def assert_served(landfall: Landfall, days: Sequence[str]) -> None:
    """Every file is loaded, and gold and serving hold exactly what they must.

    Raises:
        AssertionError: naming the date.
    """
    for day in days:
        head = landfall.ledger.files.head(file_id(landfall.bucket.name, key(day)))
        assert head is not None, day  # noqa: S101 - what the bench is for
        assert head.state is FileState.LOADED, (day, head.state)  # noqa: S101 - as above
        assert in_gold(landfall, [day]) == expected(day), day  # noqa: S101 - as above
        assert served_on(landfall, day) == expected(day), day  # noqa: S101 - as above
