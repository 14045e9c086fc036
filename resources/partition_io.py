"""What both IO managers share: partitions of a run, frames by annotation, metadata per partition.

The only place between Dagster's contexts and the stores, which know nothing of Dagster.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import dagster as dg

from pipeline_assets.errors import PartitionMissingError, TableMissingError
from resources.frames import (
    Frame,
    FrameKind,
    FrameRequest,
    concatenate,
    requested_frame,
    values_by_partition,
)

Facts: TypeAlias = Mapping[str, str | int | bool | None]


@dataclass(frozen=True)
class StoredAsset:
    """An asset as its store needs to know it: key and definition metadata."""

    path: tuple[str, ...]
    metadata: Mapping[str, object]

    def __str__(self) -> str:
        return "/".join(self.path)


class PartitionIOManager(dg.IOManager, ABC):
    """An IO manager whose assets hand over one frame for each partition of the run.

    In: a frame, or a mapping from partition to frame, which a run over several partitions must
    hand over; ``None`` or a missing partition writes nothing. Out: see `requested_frame`.
    """

    @property
    @abstractmethod
    def threads(self) -> int:
        """How many partitions are written or read at a time."""

    @abstractmethod
    def write_partition(self, asset: StoredAsset, partition: str | None, value: object) -> Facts:
        """Store one partition; the facts become the materialization's metadata."""

    @abstractmethod
    def read_partition(
        self, asset: StoredAsset, partition: str | None, kind: FrameKind
    ) -> Frame | None:
        """One partition as a frame of that kind; ``None`` when nothing is stored."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Store every partition that was handed over.

        Raises:
            PartitionsNotGivenError: one frame for a run over several partitions.
            UnexpectedPartitionError: a partition outside the run.
        """
        asset = StoredAsset(tuple(context.asset_key.path), context.definition_metadata)
        partitions = context.asset_partition_keys if context.has_asset_partitions else None
        values = values_by_partition(str(asset), partitions, obj)
        for partition, facts in self.write_partitions(asset, values):
            _record(context, partition, facts)

    def write_partitions(
        self, asset: StoredAsset, values: Mapping[str | None, object]
    ) -> Iterator[tuple[str | None, Facts]]:
        """Store partitions; yields the facts of each that was stored."""
        with ThreadPoolExecutor(self.threads) as pool:
            # Every partition is tried before the first failure is raised.
            running = {
                partition: pool.submit(self.write_partition, asset, partition, value)
                for partition, value in values.items()
            }
        for partition, written in running.items():
            yield partition, written.result()

    def load_input(self, context: dg.InputContext) -> Frame | dict[str, Frame] | None:
        """The upstream's partitions of this run, as the downstream's annotation asks.

        Raises:
            PartitionMissingError: a frame was asked for and no partition of the run is stored.
            TableMissingError: the same, for an unpartitioned asset.
        """
        upstream = context.upstream_output
        metadata = upstream.definition_metadata if upstream else {}
        asset = StoredAsset(tuple(context.asset_key.path), metadata)
        request = requested_frame(context.dagster_type.typing_type)
        if context.has_asset_partitions:
            return self._load_partitions(asset, sorted(context.asset_partition_keys), request)
        frame = self.read_partition(asset, None, request.kind)
        if frame is None and not request.optional:
            raise TableMissingError(str(asset))
        return frame

    def _load_partitions(
        self, asset: StoredAsset, partitions: Sequence[str], request: FrameRequest
    ) -> Frame | dict[str, Frame] | None:
        if request.by_partition:
            return self._stored(asset, partitions, request.kind)
        # Parts for pandas are joined in Arrow: see `concatenate`.
        kind = FrameKind.ARROW if request.kind is FrameKind.PANDAS else request.kind
        stored = self._stored(asset, partitions, kind)
        if stored:
            return concatenate(list(stored.values()), request.kind)
        if request.optional:
            return None
        span = partitions[0] if len(partitions) == 1 else f"{partitions[0]} to {partitions[-1]}"
        raise PartitionMissingError(str(asset), span)

    def _stored(
        self, asset: StoredAsset, partitions: Sequence[str], kind: FrameKind
    ) -> dict[str, Frame]:
        with ThreadPoolExecutor(self.threads) as pool:
            frames = pool.map(lambda key: self.read_partition(asset, key, kind), partitions)
            found = zip(partitions, frames, strict=True)
            return {key: frame for key, frame in found if frame is not None}


def _record(context: dg.OutputContext, partition: str | None, facts: Facts) -> None:
    if partition is None:
        context.add_output_metadata(facts)
        return
    context.step_context.add_asset_metadata(
        facts, asset_key=context.asset_key, partition_key=partition
    )
