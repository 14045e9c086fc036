"""How much the bench measures; the defaults take less than half an hour on two cores.

Where a bound names a size, the default is that size. Of what grows in proportion a peer does a
part, which is scaled up or compared by the piece.
"""

from collections.abc import Mapping
from typing import Final

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1024 * 1024
PREFIX: Final = "LANDFALL_BENCH_"


class Sizes(BaseSettings):
    """Sizes by environment variable, ``LANDFALL_BENCH_`` and the name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    turns: int = Field(3, ge=1, description="Turns of ours and the peer in rows of seconds.")
    long_turns: int = Field(1, ge=1, description="Turns in rows of minutes.")

    latency_files: int = Field(10, ge=2, description="Files landed one by one.")
    latency_peer_files: int = Field(6, ge=1, description="The same on the peer's side.")
    rate_runs: int = Field(24, ge=4, description="Runs of `run-rate` on our side.")
    rate_peer_runs: int = Field(8, ge=2, description="Runs of `run-rate` on the peer's side.")

    drain_files: int = Field(2000, ge=20, description="Files of the drain.")
    drain_rows: int = Field(1000, ge=1, description="Rows of each of them.")
    drain_dates: int = Field(20, ge=1, description="Dates that they are of.")
    drain_peer_files: int = Field(20, ge=2, description="Files that one run each is measured on.")

    large_bytes: int = Field(1024 * MIB, ge=MIB, description="The large CSV.")
    memory_small_bytes: int = Field(256 * MIB, ge=MIB, description="The smallest for `memory`.")
    memory_large_bytes: int = Field(3072 * MIB, ge=MIB, description="The largest for `memory`.")
    frame_rows: int = Field(1_000_000, ge=100, description="Rows of the frame.")

    tick_small: int = Field(1000, ge=100, description="Objects in the smaller bucket.")
    tick_large: int = Field(100_000, ge=1000, description="Objects in the larger bucket.")
    tick_new: int = Field(100, ge=1, description="Objects that are new to the tick.")

    backfill_dates: int = Field(365, ge=2, description="Dates of the backfill.")
    backfill_peer_dates: int = Field(5, ge=1, description="Dates that one run each is measured on.")

    serving_items: int = Field(100_000, ge=100, description="Items for DynamoDB.")
    serving_peer_items: int = Field(20_000, ge=100, description="Items that the peer writes.")
    serving_delay_ms: float = Field(10.0, ge=0, description="What the proxy adds to each call.")


def unusable(error: ValidationError) -> str:
    """What is wrong with sizes that were given, in a line each."""
    return "; ".join(
        f"{PREFIX}{str(each['loc'][0]).upper()}={each['input']!r} is not usable: {each['msg']}"
        for each in error.errors()
    )


def unknown_sizes(environment: Mapping[str, str]) -> list[str]:
    """Variables that look like sizes and are none."""
    known = {f"{PREFIX}{name.upper()}" for name in Sizes.model_fields}
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
