"""What a serving table is: its name and keys, and how an asset's metadata tells them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pipeline_assets.errors import ConfigurationError

TABLE_METADATA = "landfall/table"
PARTITION_KEY_METADATA = "landfall/partition_key"
SORT_KEY_METADATA = "landfall/sort_key"
GOLD_METADATA = "landfall/gold"
NEWEST_METADATA = "landfall/newest"
LOOKUPS_METADATA = "landfall/lookups"


@dataclass(frozen=True)
class ServingTable:
    """A table of partitions: its name without the settings' prefix, and its key columns."""

    name: str
    partition_key: str
    sort_key: str

    @property
    def metadata(self) -> dict[str, str]:
        """Definition metadata of its asset."""
        return {
            TABLE_METADATA: self.name,
            PARTITION_KEY_METADATA: self.partition_key,
            SORT_KEY_METADATA: self.sort_key,
        }


@dataclass(frozen=True)
class LatestTable:
    """A table that holds of each key the newest row of all event dates.

    A deployment makes it with ``key`` (text) as its partition key, no sort key, and for each of
    ``lookups`` (text) a global secondary index ``by_{column}`` that projects all attributes. The
    pipeline needs Scan, GetItem, PutItem, UpdateItem and DeleteItem on it; applications read it by
    GetItem and, through an index, Query. While an item is being settled it has the attribute
    ``_unsettled``, which is none of its columns.

    Attributes:
        name: its name without the settings' prefix.
        key: column of the partition key.
        newest: column whose greatest value wins; of equal ones the greatest ``event_date``'s.
        gold: name of the gold table that its rows come from.
        lookups: columns with an index. An item whose value is null stands in no index; nor does
            one whose value no index takes (no text, or more than 2,048 bytes of it): the item then
            lacks the attribute.
    """

    name: str
    key: str
    newest: str
    gold: str
    lookups: tuple[str, ...] = ()

    @property
    def metadata(self) -> dict[str, str]:
        """Definition metadata of its asset."""
        return {
            TABLE_METADATA: self.name,
            PARTITION_KEY_METADATA: self.key,
            NEWEST_METADATA: self.newest,
            GOLD_METADATA: self.gold,
            LOOKUPS_METADATA: ",".join(self.lookups),
        }


Table: TypeAlias = ServingTable | LatestTable


def index_name(column: str) -> str:
    """Name of the index by which a latest table's items are found by a column."""
    return f"by_{column}"


def table_of(asset: str, metadata: Mapping[str, object]) -> Table:
    """The table that an asset's definition metadata names.

    Raises:
        ConfigurationError: the metadata name no table, or not its keys.
    """
    latest = NEWEST_METADATA in metadata
    needed = (
        (PARTITION_KEY_METADATA, NEWEST_METADATA, GOLD_METADATA)
        if latest
        else (PARTITION_KEY_METADATA, SORT_KEY_METADATA)
    )
    names = (TABLE_METADATA, *needed)
    missing = [name for name in names if not isinstance(metadata.get(name), str)]
    if missing:
        raise ConfigurationError(
            f"Asset {asset} lacks the definition metadata {', '.join(missing)}: name its serving "
            "table and key columns there."
        )
    found = [str(metadata[name]) for name in names]
    if not latest:
        return ServingTable(*found)
    name, key, newest, gold = found
    lookups = str(metadata.get(LOOKUPS_METADATA) or "")
    return LatestTable(name, key, newest, gold, tuple(filter(None, lookups.split(","))))
