"""The ledger as a whole."""

from resources.aws import Aws
from resources.ledger.dates import Dates
from resources.ledger.files import Files
from resources.ledger.requests import Requests
from resources.ledger.runs import Runs
from resources.ledger.table import LedgerTable


class Ledger:
    """One table, four kinds of items."""

    def __init__(self, aws: Aws) -> None:
        table = LedgerTable(aws)
        self.dates = Dates(table, aws.settings)
        self.files = Files(table, self.dates, aws.settings)
        self.requests = Requests(table)
        self.runs = Runs(table, aws.settings)
