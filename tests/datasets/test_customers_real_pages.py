"""Real pages of a CRM, landed as the pull lands them and read by the parsers."""

import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipeline_assets.contract import validate
from pipeline_assets.crm_pull import landing_key, write_pages
from pipeline_assets.datasets.customers import DATASET
from pipeline_assets.parsing.reader import open_records
from pipeline_assets.parsing.records import Layout
from pipeline_assets.refine import refine
from resources.crm import CrmPage
from resources.crm_page import read_page

DATA = Path(__file__).parents[3] / "shared/data"
DAY = date(2025, 3, 10)

pytestmark = pytest.mark.skipif(
    not (DATA / "crm").is_dir(),
    reason="needs the real input data, shared/data beside the project",
)


def pages() -> list[CrmPage]:
    paths = sorted((DATA / "crm").glob("customers-page-*.json"))
    bodies = [read_page(path.read_bytes()) for path in paths]
    assert [body.next_page for body in bodies] == [*range(2, len(paths) + 1), None]
    return [CrmPage(number, body.records) for number, body in enumerate(bodies, 1)]


def test_real_customers_have_the_tiers_that_were_worked_out_elsewhere(tmp_path: Path) -> None:
    expected = json.loads((DATA / "expected/customers.json").read_text())
    path, key = tmp_path / "crm.jsonl.gz", landing_key(DAY)

    number, written = write_pages(pages(), path)
    layout = Layout(DATASET.fields, writing=DATASET.writing)
    with open_records(path, key=key, formats=DATASET.formats, layout=layout) as reader:
        records = pl.concat([pl.DataFrame(batch) for batch in reader])
        assert reader.counted == records.height
    bronze = records.with_columns(_file_id=pl.lit("f"))
    refined = refine(bronze, DATASET, event_date=DAY, landing_keys={"f": key})
    table = DATASET.gold[0]
    gold = table.build(refined.silver.lazy()).collect()
    validate(gold, table.contract(), table=table.name)

    assert number == 5
    assert written == records.height == expected["records"]
    assert (refined.quarantined, refined.duplicates) == (0, 0)
    assert gold["customer_id"].n_unique() == gold.height == expected["distinct_ids"]
    tiers = dict(gold["loyalty_tier"].value_counts().iter_rows())
    assert tiers == expected["tiers"]
    valid = gold.filter("phone_valid")["phone"]
    assert valid.len() > 1000
    assert valid.str.contains(r"^\+[1-9][0-9]{6,14}$").all()
