"""Every setting, read from the environment when it is first needed, never at import."""

import os
import random
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline_assets.errors import ConfigurationError
from pipeline_assets.parsing.limits import Limits
from resources.local_aws.record import CRM_PATH

ENVIRONMENT_STEP = 4
MOST_WORK_RUNS = 4
"""Unless more are asked for: as many as `dagster.yaml` has, each with memory of its own."""
LONGEST_SECONDS = 365 * 24 * 60 * 60.0
"""No wait, lease or limit is longer than a year; a time plus far more is none that Python knows."""
BUCKET_NAME = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
"""Amazon S3 User Guide, "General purpose bucket naming rules"."""
QUEUE_NAME = r"[A-Za-z0-9_-]{1,80}"
"""A standard queue's, as CreateQueue takes it (Amazon SQS API reference)."""
TABLE_NAME = r"^[A-Za-z0-9_.-]{3,255}$"
"""As CreateTable takes it (Amazon DynamoDB API reference)."""
TABLE_PREFIX = r"^[A-Za-z0-9_.-]{0,200}$"
TOPIC = r"^(arn:.+|[A-Za-z0-9_-]{1,256})$"
"""A name as CreateTopic takes it (Amazon SNS API reference), or an ARN."""


def _named(folder: object) -> object:
    """Refuse a blank name, which would stand for the current folder and all that lies there."""
    if isinstance(folder, str) and not folder.strip():
        raise PydanticCustomError("blank", "name a folder, or unset the variable")
    return folder


class Environment(StrEnum):
    """Where AWS is."""

    LOCAL = "local"
    AWS = "aws"


DIFFERENT = (
    ("landing_bucket", "lake_bucket"),
    ("landing_queue", "landing_dead_letter_queue", "dead_letter_queue"),
)
"""Settings that name things which must not be the same."""


class Settings(BaseSettings):
    """Settings by environment variable, ``LANDFALL_`` and the name in capitals.

    AWS's own variables (``AWS_ENDPOINT_URL``, ``AWS_REGION``, credentials, profiles) are read by
    boto3 and are not repeated here.
    """

    model_config = SettingsConfigDict(
        env_prefix="LANDFALL_", frozen=True, extra="ignore", allow_inf_nan=False
    )

    env: Environment = Field(
        Environment.LOCAL, description="`aws` uses the real account that boto3 finds."
    )
    home: Annotated[Path, BeforeValidator(_named)] = Field(
        Path(".landfall"), description="State of the local AWS and of Dagster."
    )
    local_port: int = Field(4566, ge=1, le=65535, description="Port of the local AWS.")

    landing_bucket: str = Field(
        "landfall-landing", pattern=BUCKET_NAME, description="Bucket that files land in."
    )
    lake_bucket: str = Field(
        "landfall-lake", pattern=BUCKET_NAME, description="Bucket of the tables."
    )
    landing_queue: str = Field(
        "landfall-landing",
        pattern=rf"^({QUEUE_NAME})?$",
        description="SQS queue of landing events; empty where the bucket notifies none, so that "
        "only its listing tells what landed.",
    )
    landing_dead_letter_queue: str = Field(
        "landfall-landing-dlq",
        pattern=f"^{QUEUE_NAME}$",
        description="Takes messages that ten receives could not settle.",
    )
    dead_letter_queue: str = Field(
        "landfall-dead-letters",
        pattern=f"^{QUEUE_NAME}$",
        description="Takes one message for every file that is given up.",
    )
    alerts_topic: str = Field(
        "landfall-alerts",
        pattern=TOPIC,
        description="SNS topic for alerts: its name or its ARN.",
    )
    ledger_table: str = Field(
        "landfall-ledger", pattern=TABLE_NAME, description="DynamoDB table of the ledger."
    )
    serving_prefix: str = Field(
        "landfall-",
        pattern=TABLE_PREFIX,
        description="What the names of the serving tables begin with.",
    )

    crm_url: str = Field(
        "",
        description="Address of the CRM's customers; one without a path is completed with "
        "/customers. Empty: nothing is pulled.",
    )
    crm_token: SecretStr = Field(SecretStr(""), description="Bearer token for the CRM.")
    crm_pull_hour: int = Field(
        3, ge=0, le=23, description="Hour of the day (UTC) from which on the CRM is pulled."
    )
    crm_timeout_seconds: float = Field(
        30.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="Longest silence of the CRM while it is asked for a page.",
    )
    crm_attempts: int = Field(6, ge=1, description="Attempts at a page of the CRM.")
    crm_max_wait_seconds: float = Field(
        60.0,
        ge=0,
        le=LONGEST_SECONDS,
        description="Longest wait between two of them; a CRM that asks for more ends the pull.",
    )
    crm_max_pages: int = Field(10_000, ge=1, description="Most pages of one pull.")

    max_messages_per_tick: int = Field(
        1000, ge=1, description="SQS messages that one landing tick settles at most."
    )
    max_tick_seconds: float = Field(
        8.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="A tick receives no more messages, and sends no more letters, after so long.",
    )
    landing_wait_seconds: int = Field(
        4,
        ge=0,
        le=8,
        description="So long a landing tick waits for a message, so that one that lands between "
        "two ticks need not.",
    )
    gather_seconds: float = Field(
        60.0,
        ge=0,
        le=LONGEST_SECONDS,
        description="While messages are left, no run is planned until a file has waited so long.",
    )
    max_letters_per_tick: int = Field(
        500, ge=1, description="Dead letters that one landing tick sends at most."
    )
    max_files_per_run: int = Field(500, ge=1, le=2000, description="Files that share a run.")
    max_dates_per_run: int = Field(31, ge=1, le=366, description="Partitions that share a run.")
    max_rows_per_bucket: int = Field(
        500_000,
        ge=1,
        description="Rows of an event date that are refined at a time; a date of more goes through "
        "memory in buckets.",
    )
    quiet_runs_per_tick: int = Field(
        4, ge=1, description="Up to so many dates with new files get a run each; more share runs."
    )
    max_decompressed_bytes: int = Field(
        Limits().decompressed_bytes, ge=1, description="Most bytes of a file, once decompressed."
    )
    max_decompression_ratio: int = Field(
        Limits().ratio, ge=1, description="Most bytes that each stored byte of a file may become."
    )
    max_record_bytes: int = Field(
        Limits().record_bytes,
        ge=1024,
        le=256 * 1024 * 1024,
        description="Most bytes of a record.",
    )
    max_columns: int = Field(Limits().columns, ge=1, description="Most columns of a file.")
    max_attempts: int = Field(3, ge=1, le=100, description="Attempts at a file or a date.")
    backoff_seconds: float = Field(
        5.0, ge=0, le=LONGEST_SECONDS, description="Wait after a first failed attempt."
    )
    backoff_max_seconds: float = Field(
        300.0, ge=0, le=LONGEST_SECONDS, description="Longest wait between attempts."
    )
    lease_seconds: float = Field(
        60.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="A run whose heartbeat stands still this long is taken for dead.",
    )
    request_seconds: float = Field(
        600.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="A run request that no run claims in this time is withdrawn.",
    )
    reconcile_seconds: float = Field(
        900.0,
        ge=0,
        le=LONGEST_SECONDS,
        description="The landing bucket is walked through again so long after the former walk "
        "began; without a queue at once.",
    )
    reconcile_keys: int = Field(
        2000, ge=1, le=10_000, description="Keys that are listed between two notes of the progress."
    )
    reconcile_heads: int = Field(
        200,
        ge=1,
        le=10_000,
        description="Dead files which a slice of the bucket did not list that are looked for at "
        "most between two notes of the progress.",
    )
    watch_pending_seconds: float = Field(
        3600.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="The watchdog reports a file that has waited longer.",
    )
    watch_dirty_seconds: float = Field(
        3600.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="The watchdog reports a date that was dirty longer.",
    )
    watch_tick_seconds: float = Field(
        600.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="The watchdog reports when no landing tick ended for so long.",
    )
    watch_dead: int = Field(0, ge=0, description="The watchdog reports more dead files than this.")
    watch_repeat_seconds: float = Field(
        14400.0,
        ge=0,
        le=LONGEST_SECONDS,
        description="The watchdog alerts the same again only after so long.",
    )
    work_runs: int = Field(
        default_factory=lambda: min(os.cpu_count() or 1, MOST_WORK_RUNS),
        ge=1,
        le=64,
        description="Runs of `landfall work` at once, each in its own process.",
    )
    io_threads: int = Field(8, ge=1, le=64, description="Parallel AWS calls within a run.")

    def wait_after(self, attempt: int, *, of_environment: bool = False) -> timedelta:
        """Wait after a failed attempt: exponential, half of it drawn by lot.

        A fault of the environment, which counts as no attempt, waits as after a fourth one.
        """
        step = ENVIRONMENT_STEP if of_environment else max(attempt, 1)
        longest = min(self.backoff_max_seconds, self.backoff_seconds * 2 ** (step - 1))
        return timedelta(seconds=longest * random.uniform(0.5, 1.0))  # noqa: S311 - no secret

    @property
    def limits(self) -> Limits:
        """Bounds of each landed file."""
        return Limits(
            decompressed_bytes=self.max_decompressed_bytes,
            ratio=self.max_decompression_ratio,
            record_bytes=self.max_record_bytes,
            columns=self.max_columns,
        )

    @property
    def local_crm_url(self) -> str:
        """Address of the CRM that the local AWS brings along."""
        return f"{self.local_endpoint}{CRM_PATH}"

    @property
    def local_endpoint(self) -> str:
        """Address of the local AWS."""
        return f"http://127.0.0.1:{self.local_port}"


def make_home(settings: Settings) -> Path:
    """The home's whole path, made if it is missing.

    Raises:
        ConfigurationError: it cannot be made.
    """
    home = settings.home.resolve()
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"LANDFALL_HOME={home} cannot be a folder ({error.strerror}): name one that can be "
            "written."
        ) from None
    return home


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        ConfigurationError: naming the variable, its value and what was expected.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "LANDFALL_" + "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigurationError(
            f"{name}={first['input']!r} is not usable: {first['msg']}."
        ) from None
    for names in DIFFERENT:
        _refuse_equal({name: getattr(settings, name) for name in names})
    return settings


def _refuse_equal(values: Mapping[str, str]) -> None:
    first: dict[str, str] = {}
    for name, value in values.items():
        other = first.setdefault(value, name)
        if other != name:
            one, two = (f"LANDFALL_{each.upper()}" for each in (other, name))
            raise ConfigurationError(f"{one} and {two} are both {value!r}: give each its own.")
