"""The environment that the command line starts: the local AWS, or another endpoint, made ready."""

from dataclasses import dataclass

from pipeline_assets.registry import datasets
from pipeline_assets.serving import serving_table
from resources.dynamodb_tables import LatestTable, Table
from resources.landfall import Landfall
from resources.local_aws import control
from resources.local_aws.provision import TableKeys, provision


@dataclass(frozen=True)
class Started:
    """An environment that answers and has everything that it needs."""

    endpoint: str
    home: str
    pid: int | None
    reused: bool

    @property
    def headline(self) -> str:
        """What happened, in a line."""
        if self.pid is None:
            return f"Everything stands at {self.endpoint}."
        how = "was running" if self.reused else "is running"
        return f"The local AWS {how} at {self.endpoint}; its state is in {self.home}."


def start(landfall: Landfall) -> Started:
    """Start the local AWS unless another endpoint is set, and provision what is missing.

    Raises:
        PortInUseError: another program has the local AWS's port.
        AwsUnreachableError: nothing answers at the endpoint that is set.
        ConfigurationError: the settings name a real account.
    """
    settings = landfall.settings
    local = control.up(settings) if landfall.aws.is_local else None
    tables = [serving_table(view) for dataset in datasets() for view in dataset.serving]
    provision(landfall.aws, [_keys(landfall, table) for table in tables])
    return Started(
        endpoint=landfall.aws.s3.meta.endpoint_url,
        home=str(settings.home.resolve()),
        pid=local.pid if local else None,
        reused=local.reused if local else True,
    )


def _keys(landfall: Landfall, table: Table) -> TableKeys:
    name = landfall.serving.table_name(table)
    if isinstance(table, LatestTable):
        return TableKeys(name, table.key, indexed=table.lookups)
    return TableKeys(name, table.partition_key, table.sort_key)
