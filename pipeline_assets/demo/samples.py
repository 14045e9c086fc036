"""Samples of every dataset: small files, and what a correct pipeline makes of them.

Each generator knows what it spoiled, repeated, corrected and delayed, so it says by itself what
must come out: nothing of the pipeline's own code is asked.
"""

from datetime import date
from pathlib import Path

from pipeline_assets.demo import customer_samples, event_samples, log_samples, reading_samples
from pipeline_assets.demo.expectation import DatasetSamples, Plan


def make_samples(plan: Plan, *, pulled_on: date) -> tuple[DatasetSamples, ...]:
    """Samples of each dataset.

    Args:
        plan: what is drawn from; all files' bytes follow from it.
        pulled_on: the day on which the CRM was pulled.
    """
    return (
        event_samples.samples(plan),
        log_samples.samples(plan),
        reading_samples.samples(plan),
        customer_samples.samples(plan, pulled_on=pulled_on),
    )


def write_samples(folder: Path, samples: DatasetSamples) -> None:
    """Write a dataset's files; their paths below the folder are their keys below the dataset.

    Args:
        folder: existing or new folder for the files.
        samples: what is written.
    """
    for file in samples.files:
        path = folder / file.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
