"""`landfall pull`: land all customers of the CRM as today's object."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from pipeline_assets import show
from pipeline_assets.commands.terminal import json_option, out, with_landfall

if TYPE_CHECKING:
    from resources.landfall import Landfall


@click.command(short_help="Land all customers of the CRM.")
@json_option
@with_landfall
def pull(landfall: "Landfall", *, as_json: bool) -> None:
    """Land all customers of the CRM (LANDFALL_CRM_URL) as today's object."""
    from pipeline_assets.crm_pull import pull as pull_crm  # noqa: PLC0415 - takes seconds

    pulled = pull_crm(landfall, datetime.now(UTC).date())
    facts = asdict(pulled)
    said = "landed at" if pulled.changed else "stand as before at"
    headline = f"{pulled.records:,} customers {said} s3://{landfall.bucket.name}/{pulled.key}"
    show.facts(out, facts, as_json=as_json, headline=headline)
