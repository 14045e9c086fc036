"""Fields that files have and no contract names: which of them were seen before."""

import logging
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from botocore.exceptions import BotoCoreError, ClientError

from pipeline_assets.errors import LandfallError
from resources.ledger.codec import Item
from resources.ledger.table import Condition, ConditionFailedError, LedgerTable

LOGGER = logging.getLogger(__name__)
NAMES_KEPT = 2_000
"""Names of a dataset, 17 bytes each whatever their length: far below DynamoDB's 400 KB an item."""
HASH_BYTES = 8
ATTEMPTS = 20
"""Tries at an item that other runs change at the same time."""


class KnownFields:
    """The ledger's lists of unknown fields, one item for each dataset.

    Names are kept as hashes of 64 bits. Should a new name share one with a known name, nothing is
    lost but its warning.
    """

    def __init__(self, table: LedgerTable) -> None:
        self._table = table

    def unseen(self, dataset: str, names: Iterable[str]) -> list[str]:
        """Those of the names that were not seen before, in their order."""
        seen = set(_hashes(self._read(dataset)))
        return [name for name in names if _hash(name) not in seen]

    def learn(self, dataset: str, names: Iterable[str]) -> None:
        """Remember names; beyond ``NAMES_KEPT`` new ones are new each time.

        A fault is logged and never raised: the names are new once more, and what was loaded stays.
        """
        wanted = [_hash(name) for name in sorted(set(names))]
        try:
            done = any(self._add(dataset, wanted) for _ in range(ATTEMPTS))
        except (LandfallError, ClientError, BotoCoreError) as fault:
            LOGGER.warning("Unknown fields of %s will be told again: %s", dataset, fault)
            return
        if not done:
            LOGGER.warning("Unknown fields of %s will be told again: others kept changing", dataset)

    def _add(self, dataset: str, wanted: Sequence[str]) -> bool:
        before = self._read(dataset)
        seen = _hashes(before)
        known = set(seen)
        added = [each for each in wanted if each not in known][: max(0, NAMES_KEPT - len(seen))]
        if not added:
            return True
        turn = int(str(before["turn"])) if before else 0
        item: Item = {**_key(dataset), "turn": turn + 1, "hashes": [*seen, *added]}
        same = Condition("attribute_not_exists(#turn) OR #turn = :turn", {"turn": turn})
        try:
            self._table.put(item, same)
        except ConditionFailedError:
            return False
        return True

    def _read(self, dataset: str) -> Item | None:
        return self._table.get(*_key(dataset).values())


def _key(dataset: str) -> dict[str, str]:
    return {"pk": f"fields#{dataset}", "sk": "unknown"}


def _hash(name: str) -> str:
    # JSON may spell half a surrogate pair, which has no UTF-8.
    return blake2b(name.encode(errors="surrogatepass"), digest_size=HASH_BYTES).hexdigest()


def _hashes(item: Item | None) -> list[str]:
    hashes = item.get("hashes") if item else None
    return [str(each) for each in hashes] if isinstance(hashes, list) else []
