"""The daily pull of the CRM: all its pages become one object of the landing bucket.

From there it takes the way of every landed file. The object is landed only when the last page has
come, so a pull that fails leaves what stood; another one of the same day overwrites it.
"""

import gzip
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from pipeline_assets.datasets.customers import DATASET
from pipeline_assets.upload import Upload, upload
from resources.landfall import Landfall

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resources.crm import CrmPage

EVERY_HOUR = "0 * * * *"
"""The schedule's ticks. From which of them on it pulls is a setting, and none is read at import."""
PULL_TAG = "landfall/crm_pull"
"""Tag of a run that the schedule asked for: its day."""


@dataclass(frozen=True)
class Pulled:
    """What a pull came to.

    Attributes:
        key: where the records were landed.
        etag: what S3 calls the object's content.
        pages: pages that the CRM has.
        records: records on them.
        size: bytes of the object.
        changed: whether the object was not there, or held something else.
    """

    key: str
    etag: str
    pages: int
    records: int
    size: int
    changed: bool


def landing_key(day: date) -> str:
    """Where the customers of a day are landed."""
    return f"{DATASET.name}/dt={day.isoformat()}/crm.jsonl.gz"


def write_pages(pages: "Iterable[CrmPage]", path: Path) -> tuple[int, int]:
    """Write records as gzipped JSON lines; equal records give equal bytes.

    Returns:
        How many pages and records there were.
    """
    number = records = 0
    # A name or a time in the header would make each pull other bytes.
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file,
    ):
        for page in pages:
            number = page.number
            records += len(page.records)
            file.writelines(record.encode() + b"\n" for record in page.records)
    return number, records


def pull(landfall: Landfall, day: date) -> Pulled:
    """Land all customers of the CRM as the object of a day.

    Raises:
        ConfigurationError: address or token of the CRM are missing or not usable.
        CrmUnreachableError, CrmBusyError, CrmRefusedError, CrmPageError: a page failed; nothing
            was landed.
    """
    from resources.crm import Crm  # noqa: PLC0415 - its HTTP client, which no other run needs

    key = landing_key(day)
    with tempfile.TemporaryDirectory(prefix="landfall-crm-") as folder:
        path = Path(folder) / "crm.jsonl.gz"
        pages, records = write_pages(Crm(landfall.settings).pages(), path)
        former = landfall.bucket.stat(key)
        size = path.stat().st_size
        upload(landfall, [Upload(path, key, size)], lambda: None)
    stored = landfall.bucket.stat(key)
    etag = stored.etag if stored else ""
    changed = former is None or former.etag != etag
    return Pulled(key, etag, pages, records, size, changed)


@dg.op
def pull_pages(context: dg.OpExecutionContext, landfall: dg.ResourceParam[Landfall]) -> None:
    """Land all customers of the CRM as today's object."""
    pulled = pull(landfall, datetime.now(UTC).date())
    context.log.info("%d records of %d pages: %s", pulled.records, pulled.pages, pulled.key)
    context.add_output_metadata(asdict(pulled))


@dg.job(description="Pulls all customers of the CRM and lands them as today's object.")
def pull_customers() -> None:
    """Pull the CRM."""
    pull_pages()


def due(landfall: Landfall, at: datetime) -> str | None:
    """Why nothing is to be pulled at a tick of the schedule; ``None`` if something is."""
    settings = landfall.settings
    if not settings.crm_url:
        return "LANDFALL_CRM_URL is not set: there is no CRM to pull."
    hour = at.astimezone(UTC).hour
    if hour < settings.crm_pull_hour:
        return (
            f"The CRM is pulled from {settings.crm_pull_hour:02}:00 UTC on "
            "(LANDFALL_CRM_PULL_HOUR)."
        )
    return None


def is_settled(instance: dg.DagsterInstance, day: str) -> bool:
    """Whether a day's last scheduled pull waits, runs, succeeded or was canceled: not if it failed.

    A schedule's run key would not do: Dagster looks for it among the runs of the same tick only.
    """
    last = instance.get_runs(dg.RunsFilter(tags={PULL_TAG: day}), limit=1)
    return bool(last) and last[0].status is not dg.DagsterRunStatus.FAILURE


@dg.schedule(
    name="pull_customers_daily",
    job=pull_customers,
    cron_schedule=EVERY_HOUR,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description=(
        "Pulls the CRM once a day, at LANDFALL_CRM_PULL_HOUR (UTC) or, if the daemon was down, "
        "later that day. A pull that failed is asked for again at each later hour of its day."
    ),
)
def pull_schedule(
    context: dg.ScheduleEvaluationContext, landfall: dg.ResourceParam[Landfall]
) -> dg.RunRequest | dg.SkipReason:
    """Ask for the day's pull, or say why there is none."""
    at = context.scheduled_execution_time
    day = at.astimezone(UTC).date().isoformat()
    reason = due(landfall, at)
    if reason is None and is_settled(context.instance, day):
        reason = f"The pull of {day} was asked for before."
    if reason is not None:
        return dg.SkipReason(reason)
    return dg.RunRequest(run_key=day, tags={PULL_TAG: day})
