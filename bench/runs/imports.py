"""``start``: what a fresh interpreter needs to import the pipeline, against its libraries alone."""

import sys
from collections.abc import Mapping
from statistics import median

from bench.measure import Bench, Measured, Turn
from bench.runs.dev import bytecode
from bench.stage.home import output, plain_environment

PROCESSES = 5
LIBRARIES = "dagster, polars, boto3"
PIPELINE = "pipeline_assets.definitions"
TIMED = """
import time
begin = time.perf_counter()
import {imported}
print(time.perf_counter() - begin)
import sys
assert set({names!r}.split(", ")) <= set(sys.modules)
{check}
"""
ASSETS = """
assert pipeline_assets.definitions.defs.assets
"""


def measure(bench: Bench) -> Measured:
    """Each turn is the median of several fresh processes, ours and the peer's alternately."""
    environment = plain_environment() | bytecode(bench.folder)
    _turn(environment, processes=1)  # compiles what is compiled only once
    turns = tuple(_turn(environment, PROCESSES) for _ in range(bench.sizes.turns))
    return Measured(turns, {"processes": PROCESSES})


def _turn(environment: Mapping[str, str], processes: int) -> Turn:
    pairs = [
        (_seconds(environment, PIPELINE, ASSETS), _seconds(environment, LIBRARIES))
        for _ in range(processes)
    ]
    ours, peer = zip(*pairs, strict=True)
    return Turn(median(ours), median(peer))


def _seconds(environment: Mapping[str, str], imported: str, check: str = "") -> float:
    """Seconds that a fresh interpreter takes to import; it fails if what it names is missing."""
    code = TIMED.format(imported=imported, names=imported, check=check)
    return float(output([sys.executable, "-c", code], environment).splitlines()[0])
