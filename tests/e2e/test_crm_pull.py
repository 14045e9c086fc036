"""Customers of the CRM and of partners, from real HTTP to the items that applications read."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest
from scenario import Pipeline, command, open_pipeline

from pipeline_assets.crm_pull import due, landing_key, pull, pull_schedule
from pipeline_assets.datasets.customers import DATASET
from pipeline_assets.serving import serving_table
from resources.crm import Crm
from resources.dynamodb_items import Item, from_attribute
from resources.dynamodb_tables import index_name
from resources.local_aws import crm_server
from resources.local_aws.crm_server import CrmServer, Customer, Fault, made_up_customers, serving

VIEW = serving_table(DATASET.serving[0])
DAY = date(2025, 3, 10)
PULL_AT = datetime(2025, 3, 10, 3, tzinfo=UTC)

pytestmark = [pytest.mark.usefixtures("local_aws"), pytest.mark.timeout(600)]


@pytest.fixture
def crm() -> CrmServer:
    return CrmServer(made_up_customers(5), token="of-the-test", page_size=2)


@pytest.fixture
def pipeline(crm: CrmServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    with serving(crm) as url:
        monkeypatch.setenv("LANDFALL_CRM_URL", url)
        monkeypatch.setenv("LANDFALL_CRM_TOKEN", "of-the-test")
        monkeypatch.setenv("LANDFALL_CRM_ATTEMPTS", "2")
        monkeypatch.setenv("LANDFALL_CRM_MAX_WAIT_SECONDS", "0")
        with open_pipeline() as opened:
            yield opened


def landed(pipeline: Pipeline, day: date) -> list[Customer]:
    """Records of a day's object."""
    key = landing_key(day)
    stored = pipeline.landfall.aws.s3.get_object(Bucket=pipeline.landfall.bucket.name, Key=key)
    return [json.loads(line) for line in gzip.decompress(stored["Body"].read()).splitlines()]


def items(pipeline: Pipeline) -> dict[str, dict[str, object]]:
    """Items of the serving table by customer."""
    name = pipeline.landfall.serving.table_name(VIEW)
    found = pipeline.landfall.aws.dynamodb.scan(TableName=name, ConsistentRead=True)["Items"]
    plain = [{key: from_attribute(value) for key, value in item.items()} for item in found]
    return {str(item["customer_id"]): item for item in plain}


def found_by_email(pipeline: Pipeline, email: str) -> list[Item]:
    answer = pipeline.landfall.aws.dynamodb.query(
        TableName=pipeline.landfall.serving.table_name(VIEW),
        IndexName=index_name("email"),
        KeyConditionExpression="email = :email",
        ExpressionAttributeValues={":email": {"S": email}},
    )
    return answer["Items"]  # type: ignore[return-value]  # the stubs' own attribute type


def partner_file(customer: Customer, updated_at: str) -> bytes:
    """A customer as a partner writes them: CSV, with names in camelCase."""
    header = "id,firstName,lastName,emailAddress,loyaltyPoints,createdAt,updatedAt"
    values = (customer["id"], "Partner", "Own", "PARTNER@example.com", 10_000)
    row = ",".join(map(str, (*values, customer["created_at"], updated_at)))
    return f"{header}\n{row}\n".encode()


def test_the_crm_and_partners_together_make_the_items(pipeline: Pipeline, crm: CrmServer) -> None:
    first, second, *_ = crm.customers
    job = pipeline.definitions.resolve_job_def("pull_customers")
    pipeline.land("customers/dt=2024-06-01/newer.csv", partner_file(first, "2025-01-01T00:00:00Z"))
    pipeline.land("customers/dt=2025-06-01/older.csv", partner_file(second, "2023-01-01T00:00:00Z"))

    run = job.execute_in_process(instance=pipeline.instance)
    assert run.success
    today = datetime.now(UTC).date()
    stored = pipeline.landfall.bucket.stat(landing_key(today))
    assert stored is not None
    (output,) = (each for each in run.all_events if each.is_successful_output)
    facts = {name: value.value for name, value in output.step_output_data.metadata.items()}
    assert facts == {
        "key": landing_key(today),
        "etag": stored.etag,
        "pages": 3,
        "records": 5,
        "size": stored.size,
        "changed": True,
    }
    report = pipeline.work()

    assert report.failed_runs == []
    made = items(pipeline)
    assert made.keys() == {each["id"] for each in crm.customers}
    assert made[str(first["id"])]["full_name"] == "Partner Own"
    assert made[str(first["id"])]["loyalty_tier"] == "platinum"
    assert made[str(second["id"])]["full_name"] == "Bruno Bianchi"
    assert len(found_by_email(pipeline, "partner@example.com")) == 1
    assert len(found_by_email(pipeline, "customer1@example.com")) == 1
    assert found_by_email(pipeline, "customer0@example.com") == []

    pipeline.landfall.aws.s3.delete_object(
        Bucket=pipeline.landfall.bucket.name, Key="customers/dt=2024-06-01/newer.csv"
    )
    crm.customers = [{**first, "last_name": "Changed"}, *crm.customers[2:]]
    assert pull(pipeline.landfall, today).changed
    assert pipeline.work().failed_runs == []

    made = items(pipeline)
    assert made[str(second["id"])]["full_name"] == "Partner Own"
    assert len(made) == 5


def test_records_land_as_received_and_the_same_ones_as_the_same_bytes(
    pipeline: Pipeline, crm: CrmServer
) -> None:
    crm.customers = [{**crm.customers[0], "vip": "yes"}, *crm.customers[1:]]

    first, again = pull(pipeline.landfall, DAY), pull(pipeline.landfall, DAY)

    assert landed(pipeline, DAY) == crm.customers
    assert (first.changed, again.changed) == (True, False)
    assert (again.etag, again.size) == (first.etag, first.size)


@pytest.mark.parametrize("faults", [[Fault(200), Fault(500), Fault(500)], [Fault(200), Fault(418)]])
def test_a_page_that_fails_fails_the_pull_and_keeps_what_stood(
    pipeline: Pipeline, crm: CrmServer, faults: list[Fault]
) -> None:
    former = list(crm.customers)
    pull(pipeline.landfall, datetime.now(UTC).date())
    crm.customers = crm.customers[:3]
    crm.faults.extend(faults)

    job = pipeline.definitions.resolve_job_def("pull_customers")
    run = job.execute_in_process(instance=pipeline.instance, raise_on_error=False)

    assert not run.success
    assert landed(pipeline, datetime.now(UTC).date()) == former


def test_a_busy_page_is_asked_for_again(pipeline: Pipeline, crm: CrmServer) -> None:
    crm.faults.extend([Fault(429, "0"), Fault(200), Fault(503)])

    assert pull(pipeline.landfall, DAY).records == 5
    assert crm.asked == [1, 1, 2, 2, 3]


def test_the_command_pulls_and_tells_its_errors(pipeline: Pipeline, crm: CrmServer) -> None:
    done = command("pull", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["records"] == len(landed(pipeline, datetime.now(UTC).date()))

    crm.faults.append(Fault(404))
    failed = command("pull")
    assert failed.returncode == 1
    assert "set LANDFALL_CRM_URL" in failed.stderr
    assert "Traceback" not in failed.stderr


def evaluated(pipeline: Pipeline, at: datetime) -> dg.RunRequest | dg.SkipReason:
    context = dg.build_schedule_context(
        instance=pipeline.instance,
        scheduled_execution_time=at,
        resources={"landfall": pipeline.landfall},
    )
    answer = pull_schedule(context)
    assert isinstance(answer, dg.RunRequest | dg.SkipReason)
    return answer


def run_as_asked(pipeline: Pipeline, at: datetime) -> bool:
    """Do what the schedule asks for at a tick; whether it succeeded."""
    request = evaluated(pipeline, at)
    assert isinstance(request, dg.RunRequest)
    job = pipeline.definitions.resolve_job_def("pull_customers")
    done = job.execute_in_process(
        instance=pipeline.instance, tags=dict(request.tags), raise_on_error=False
    )
    return done.success


def test_the_schedule_asks_for_a_pull_from_the_hour_of_the_settings_on(pipeline: Pipeline) -> None:
    """One tick may be all that is left of a day on which the daemon was down."""
    hours = [evaluated(pipeline, PULL_AT + timedelta(hours=hour)) for hour in range(-3, 25)]

    asked = [each.run_key for each in hours if isinstance(each, dg.RunRequest)]
    assert asked == ["2025-03-10"] * 21 + ["2025-03-11"]
    skipped = [at for at, each in enumerate(hours) if isinstance(each, dg.SkipReason)]
    assert skipped == [0, 1, 2, 24, 25, 26]
    assert "LANDFALL_CRM_PULL_HOUR" in str(due(pipeline.landfall, PULL_AT - timedelta(hours=1)))


def test_a_day_is_pulled_once_and_a_failed_pull_is_asked_for_again(
    pipeline: Pipeline, crm: CrmServer
) -> None:
    crm.faults.append(Fault(404))
    late = PULL_AT + timedelta(hours=2)

    assert not run_as_asked(pipeline, late)
    assert run_as_asked(pipeline, late + timedelta(hours=1))

    skipped = evaluated(pipeline, late + timedelta(hours=2))
    assert isinstance(skipped, dg.SkipReason)
    assert "2025-03-10 was asked for before" in str(skipped.skip_message)
    assert isinstance(evaluated(pipeline, PULL_AT + timedelta(days=1)), dg.RunRequest)


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELED])
def test_a_pull_that_runs_or_that_a_person_stopped_is_not_asked_for_again(
    pipeline: Pipeline, status: dg.DagsterRunStatus
) -> None:
    request = evaluated(pipeline, PULL_AT)
    assert isinstance(request, dg.RunRequest)
    job = pipeline.definitions.resolve_job_def("pull_customers")

    pipeline.instance.create_run_for_job(job, status=status, tags=dict(request.tags))

    assert isinstance(evaluated(pipeline, PULL_AT + timedelta(hours=1)), dg.SkipReason)


def test_without_an_address_the_schedule_says_why_it_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LANDFALL_CRM_URL", raising=False)
    with open_pipeline() as pipeline:
        skipped = evaluated(pipeline, PULL_AT)
        assert isinstance(skipped, dg.SkipReason)
        assert "LANDFALL_CRM_URL is not set" in str(skipped.skip_message)


def test_the_local_aws_brings_a_crm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDFALL_CRM_TOKEN", crm_server.TOKEN)
    with open_pipeline() as pipeline:
        settings = pipeline.landfall.settings
        local = settings.model_copy(update={"crm_url": settings.local_crm_url})

        pages = list(Crm(local).pages())

        records = [json.loads(record) for page in pages for record in page.records]
        assert records == made_up_customers()
        assert len(pages) == 3
