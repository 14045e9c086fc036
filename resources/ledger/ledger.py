"""The ledger as a whole."""

from resources.aws import Aws
from resources.ledger.dates import Dates
from resources.ledger.fields import KnownFields
from resources.ledger.files import Files
from resources.ledger.listing import Listing
from resources.ledger.requests import Requests
from resources.ledger.runs import Runs
from resources.ledger.table import LedgerTable
from resources.ledger.ticks import Notices, Ticks


class Ledger:
    """One table, and a class for each kind of item in it."""

    def __init__(self, aws: Aws) -> None:
        table = LedgerTable(aws)
        self.dates = Dates(table, aws.settings)
        self.files = Files(table, self.dates, aws.settings)
        self.listing = Listing(table)
        self.requests = Requests(table)
        self.runs = Runs(table, aws.settings)
        self.ticks = Ticks(table)
        self.notices = Notices(table)
        self.fields = KnownFields(table)
