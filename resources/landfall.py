"""Everything that assets, sensors and the command line work with, made when first needed."""

from functools import cache, cached_property

from resources.alerts import Alerts
from resources.aws import Aws
from resources.dead_letters import DeadLetterQueue
from resources.dynamodb import ServingTableStore
from resources.lake import Lake
from resources.landing_zone import LandingBucket, LandingQueue
from resources.ledger.ledger import Ledger
from resources.settings import Settings


class Landfall:
    """AWS, the ledger, the landing zone, the lake and the serving tables of one environment."""

    @cached_property
    def aws(self) -> Aws:
        """Clients of the environment."""
        return Aws()

    @property
    def settings(self) -> Settings:
        """The environment's settings."""
        return self.aws.settings

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger."""
        return Ledger(self.aws)

    @cached_property
    def bucket(self) -> LandingBucket:
        """The landing bucket."""
        return LandingBucket(self.aws)

    @cached_property
    def queue(self) -> LandingQueue:
        """The landing queue."""
        return LandingQueue(self.aws)

    @cached_property
    def dead_letters(self) -> DeadLetterQueue:
        """The queue of dead letters."""
        return DeadLetterQueue(self.aws)

    @cached_property
    def alerts(self) -> Alerts:
        """The topic of alerts."""
        return Alerts(self.aws)

    @cached_property
    def lake(self) -> Lake:
        """The lake's tables."""
        return Lake(self.aws)

    @cached_property
    def serving(self) -> ServingTableStore:
        """The serving tables."""
        return ServingTableStore(self.aws)


@cache
def landfall() -> Landfall:
    """The one of this process; nothing is read or opened before it is used."""
    return Landfall()
