"""The one tree of errors.

Each class takes data and builds its message: the culprit, what was expected, the mend. Whether
trying again can help is the class's property ``retryable``, and nobody else's decision.
"""

from collections.abc import Sequence
from typing import ClassVar

LONGEST_SHOWN = 200


class LandfallError(Exception):
    """Anything that Landfall reports by itself, in one clear sentence."""

    retryable: ClassVar[bool] = False
    of_environment: ClassVar[bool] = False
    """Nothing is wrong with the file or date at hand: it waits, and no attempt is counted."""

    @property
    def kind(self) -> str:
        """Name under which the error is kept in the ledger and in logs."""
        return type(self).__name__


class EnvironmentFaultError(LandfallError):
    """Something around the pipeline is not as it should be."""

    retryable = True
    of_environment = True


class ConfigurationError(EnvironmentFaultError):
    """A setting is missing or wrong."""


class AlertsTopicError(ConfigurationError):
    """SNS does not take what is sent to the topic that the settings name."""

    def __init__(self, topic: str, code: str, detail: str) -> None:
        super().__init__(
            f"SNS takes no alert for {topic} ({code}: {detail}): set LANDFALL_ALERTS_TOPIC to the "
            "name or the ARN of a standard topic in the region that is set, with a key that may be "
            "used if it is encrypted."
        )


class AwsUnreachableError(EnvironmentFaultError):
    """No answer from an AWS endpoint."""

    def __init__(self, endpoint: str, *, local: bool) -> None:
        mend = (
            "start the local AWS with `landfall up`"
            if local
            else "check AWS_ENDPOINT_URL and the network"
        )
        super().__init__(f"No answer from AWS at {endpoint}: {mend}.")


class CredentialsMissingError(EnvironmentFaultError):
    """boto3 found no usable credentials."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"No usable AWS credentials ({detail}): set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or run where a role provides them; for the local AWS unset "
            "LANDFALL_ENV and AWS_ENDPOINT_URL."
        )


class NotProvisionedError(EnvironmentFaultError):
    """A bucket, queue or table that the settings name does not exist."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(
            f"There is no {what} {name} in the region that is set: run `landfall up` for the local "
            "AWS; in a real account check AWS_REGION and the LANDFALL_* names, or create it."
        )


class AwsRefusedError(EnvironmentFaultError):
    """AWS knows who asks and does not allow it."""

    def __init__(self, operation: str, detail: str) -> None:
        super().__init__(
            f"AWS does not allow {operation} ({detail}): grant it to the role or user that runs "
            "Landfall."
        )


class NotAwsError(EnvironmentFaultError):
    """Something answers that does not speak AWS."""

    def __init__(self, operation: str, status: int) -> None:
        super().__init__(
            f"What answers {operation} with {status} is not AWS: check AWS_ENDPOINT_URL and "
            "LANDFALL_LOCAL_PORT."
        )


class AwsBusyError(EnvironmentFaultError):
    """AWS throttles, or fails on its own side."""

    def __init__(self, operation: str, detail: str) -> None:
        super().__init__(
            f"AWS did not carry out {operation} ({detail}): it is busy or out of order; nothing "
            "was lost, try again later."
        )


class PortInUseError(LandfallError):
    """The port of the local AWS belongs to another program."""

    def __init__(self, port: int, holder: str) -> None:
        super().__init__(
            f"Port {port} is taken by {holder}: stop it, or set LANDFALL_LOCAL_PORT to a free port."
        )


class LocalAwsError(LandfallError):
    """The local AWS did not start, answer or stop."""


class FileError(LandfallError):
    """One landed file could not be loaded."""

    def __init__(self, key: str, cause: str) -> None:
        self.key = key
        self.cause = cause
        super().__init__(f"{key}: {cause}")


class CorruptFileError(FileError):
    """The bytes are not what their format promises; they came whole, so trying again is vain."""


class CutDownloadError(FileError):
    """Not all bytes of an object came."""

    retryable = True


class UnsupportedFormatError(FileError):
    """Neither content nor name is one of the dataset's formats."""


class LimitExceededError(FileError):
    """A file is larger, in one respect, than a setting allows."""

    def __init__(self, key: str, what: str, found: int, limit: int, setting: str) -> None:
        super().__init__(
            key,
            f"it has {found:,} {what} where {limit:,} are allowed: land it in smaller pieces, or "
            f"raise LANDFALL_{setting} if it is sound.",
        )


class ColumnTypeError(FileError):
    """A column of a typed file cannot hold what the dataset's field needs."""

    def __init__(self, key: str, column: str, *, expected: str, found: str) -> None:
        super().__init__(
            key,
            f"its column {column!r} is of type {found} where {expected} is expected: land it again "
            "with that type, or as text.",
        )


class ObjectChangedError(FileError):
    """The key holds other bytes than the ones that were registered."""

    retryable = True


class UploadRefusedError(FileError):
    """S3 does not take a file at a key."""

    def __init__(self, key: str, *, code: str, said: str) -> None:
        super().__init__(
            key,
            f"S3 did not take the file: {code} ({said or 'it said no more'}). Mend what it names; "
            "where that is the key, land the file under another name.",
        )


class ObjectGoneError(FileError):
    """The object was deleted before it was loaded."""


class ConservationError(FileError):
    """Records counted independently differ from rows written: a parser lost or made records."""

    def __init__(self, key: str, *, counted: int, written: int) -> None:
        super().__init__(
            key,
            f"{counted} records were counted but {written} rows were parsed; nothing of this "
            "attempt counts. This is a fault of the parser: please report it with the file.",
        )


class UnknownDatasetError(FileError):
    """The first part of the key names no dataset."""

    def __init__(self, key: str, known: tuple[str, ...]) -> None:
        super().__init__(
            key,
            f"no dataset is called {key.split('/', 1)[0]!r}; land the file below one of "
            f"{', '.join(f'{name}/' for name in known)} or add the dataset.",
        )


class DateRefusedError(LandfallError):
    """An event date may not be replaced; its former tables stay."""

    def __init__(self, dataset: str, event_date: str, reason: str) -> None:
        self.dataset = dataset
        self.event_date = event_date
        self.reason = reason
        super().__init__(f"{dataset} {event_date} is refused: {reason}")


class StaleWriteError(LandfallError):
    """Another writer replaced the table's partition since it was read."""

    retryable = True

    def __init__(self, key: str) -> None:
        super().__init__(
            f"{key} was replaced by another writer since it was read: nothing was overwritten."
        )


class LeaseLostError(LandfallError):
    """Another run holds the date now."""

    retryable = True


class PartitionMissingError(LandfallError):
    """A table has no object for a partition that was asked for."""

    def __init__(self, table: str, event_date: str) -> None:
        super().__init__(
            f"{table} has no partition {event_date}: materialize {table} for that date first, or "
            "choose a date that has rows."
        )


class ItemError(LandfallError):
    """A row cannot become a DynamoDB item."""


class LedgerBusyError(EnvironmentFaultError):
    """DynamoDB kept refusing part of a batch."""

    def __init__(self, table: str) -> None:
        super().__init__(
            f"DynamoDB table {table} keeps throttling: raise its capacity or lower "
            "LANDFALL_IO_THREADS."
        )


class RunDiedError(FileError):
    """The run that held the file ended without saying how."""

    retryable = True

    def __init__(self, key: str, run_id: str) -> None:
        super().__init__(
            key, f"its run {run_id} stopped without a word; that run's log may say why."
        )


class UnsupportedFrameError(LandfallError):
    """An asset handed over something that is no frame."""

    def __init__(self, asset: str, got: str) -> None:
        super().__init__(
            f"{asset} returned a {got}: return a pl.DataFrame, pl.LazyFrame, pd.DataFrame or "
            "pa.Table, or a mapping from partition to one of these."
        )


class PartitionsNotGivenError(LandfallError):
    """One frame was handed over for a run over several partitions."""

    def __init__(self, asset: str, partitions: Sequence[str]) -> None:
        super().__init__(
            f"{asset} returned one frame for the {len(partitions)} partitions "
            f"{partitions[0]} to {partitions[-1]}: return a mapping from partition to its frame."
        )


class UnexpectedPartitionError(LandfallError):
    """A frame was handed over for a partition that the run does not cover."""

    def __init__(self, asset: str, got: Sequence[str], covered: Sequence[str]) -> None:
        run = f"this run covers {covered[0]} to {covered[-1]}" if covered else "it is unpartitioned"
        mend = "only those partitions" if covered else "a single frame"
        super().__init__(f"{asset} returned frames for {', '.join(got)}, but {run}: return {mend}.")


class TableMissingError(LandfallError):
    """An unpartitioned table was never written."""

    def __init__(self, table: str) -> None:
        super().__init__(f"{table} was never written: materialize {table} first.")


class FragmentMissingError(LandfallError):
    """A manifest names a bronze fragment that is not in the lake."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(
            f"The bronze fragment {key} is missing although its manifest counts it: materialize "
            "bronze for its file's date to write it again."
        )


class ForeignObjectError(LandfallError):
    """An object at a table's key was not written by Landfall."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"{key} was not written by Landfall (it carries no digest): move it away, then "
            "materialize the partition again."
        )


class PartitionTooLargeError(LandfallError):
    """A partition is larger than one S3 request may be."""

    def __init__(self, key: str, *, size: int, limit: int) -> None:
        super().__init__(
            f"{key} would have {size:,} bytes, but S3 takes at most {limit:,} in one conditional "
            "write: split the dataset, or keep fewer columns."
        )


class ItemValueError(ItemError):
    """A value of a row cannot be stored in DynamoDB."""

    def __init__(self, table: str, *, key: str, column: str, reason: str) -> None:
        super().__init__(f"{table}, item {key}, column {column!r}: {reason}.")


class ItemTooLargeError(ItemError):
    """A row is larger than an item of DynamoDB may be."""

    def __init__(self, table: str, *, key: str, size: int, limit: int) -> None:
        super().__init__(
            f"{table}, item {key} has {size:,} bytes, but DynamoDB takes at most {limit:,}: serve "
            "fewer or shorter columns. No item was written."
        )


class ServingThrottledError(EnvironmentFaultError):
    """DynamoDB kept refusing writes for want of capacity."""

    def __init__(self, table: str, *, left: int, attempts: int) -> None:
        super().__init__(
            f"{table}: DynamoDB left {left} writes of a batch undone after {attempts} attempts: "
            "try again later, or raise the table's write capacity."
        )


class DatasetDeclarationError(LandfallError):
    """A dataset declares something that cannot work."""

    def __init__(self, dataset: str, cause: str) -> None:
        super().__init__(f"The dataset {dataset} is declared wrongly: {cause}.")


class ConformError(LandfallError):
    """A dataset's ``conform`` broke its promise: one row out for each row in, in order."""

    def __init__(self, dataset: str, cause: str) -> None:
        super().__init__(
            f"conform() of the dataset {dataset} {cause}; it must return the columns of its "
            "contract, one row for each row in, in the same order: mend it and refresh the date."
        )


class ContractBrokenError(LandfallError):
    """A finished table does not satisfy its contract; it must not be written."""

    def __init__(self, table: str, rule: str, *, rows: int, example: str) -> None:
        self.table = table
        self.rule = rule
        super().__init__(
            f"{table} breaks its contract: {rule} ({rows} {'case' if rows == 1 else 'cases'}, "
            f"first: {example}). The rows were checked before, so this is a fault of the transform "
            "that made the table: mend it, then refresh the date."
        )


class UnexpectedFileError(FileError):
    """Loading a file met a fault that nobody foresaw."""

    retryable = True

    def __init__(self, key: str, fault: BaseException) -> None:
        super().__init__(
            key,
            f"an unforeseen {type(fault).__name__} while loading: {fault}. The run's log has the "
            "trace; please report it with the file.",
        )


class RefreshFailedError(LandfallError):
    """A refresh met a fault that is not the date's own."""

    retryable = True

    def __init__(self, dataset: str, event_date: str, *, run_id: str, fault: str) -> None:
        super().__init__(
            f"{dataset} {event_date} could not be refreshed by run {run_id}: {fault}. Its former "
            "tables stay; that run's log has the trace."
        )


class LeaseHeldError(LandfallError):
    """Another run keeps a date for longer than anyone may wait."""

    retryable = True

    def __init__(self, dataset: str, event_date: str, *, run_id: str) -> None:
        super().__init__(
            f"{dataset} {event_date} is being refreshed by run {run_id} and that run is alive: "
            "wait for it or terminate it, then materialize the date again."
        )


class UnknownFileError(LandfallError):
    """The ledger knows no file of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The ledger knows no file {name!r}: give the whole key below the landing bucket, such "
            "as events/dt=2025-01-31/web.csv, or a file id of 16 hex digits. A file that landed a "
            "moment ago is known after the next tick."
        )


class UnregisteredFileError(UnknownFileError):
    """An object has landed that the ledger does not know yet."""

    def __init__(self, key: str, *, size: int, landed_at: str, what_next: str) -> None:
        self.key = key
        self.size = size
        self.landed_at = landed_at
        self.what_next = what_next
        LandfallError.__init__(
            self,
            f"{key} has landed ({size:,} {'byte' if size == 1 else 'bytes'}, {landed_at}), but is "
            f"not registered yet. {what_next}",
        )


class NothingToLandError(LandfallError):
    """The paths to land hold no file."""

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(f"{', '.join(paths)}: no file there; give files or folders with files.")


class NotUtf8Error(LandfallError):
    """A name that cannot be a key."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} cannot be a key, for its bytes are no UTF-8: rename the file, or give its "
            "key with --key."
        )


class SameKeyError(LandfallError):
    """Two files would land at one key, and the second would replace the first."""

    def __init__(self, key: str, one: str, other: str) -> None:
        super().__init__(
            f"{one} and {other} would both land at {key}: land them one at a time with --key, or "
            "from a folder that holds both."
        )


class RefreshDiedError(LandfallError):
    """The run that refreshed a date ended without saying how."""

    retryable = True

    def __init__(self, dataset: str, event_date: str, run_id: str) -> None:
        super().__init__(
            f"{dataset} {event_date}: its run {run_id} stopped without a word while refreshing it; "
            "that run's log may say why. Its former tables stay."
        )


class HeaderError(FileError):
    """The first line of a CSV file is no header."""

    def __init__(self, key: str, header: str, fields: Sequence[str]) -> None:
        shown = header if len(header) <= LONGEST_SHOWN else header[:LONGEST_SHOWN] + "..."
        super().__init__(
            key,
            f"its first line {shown!r} names none of the fields {', '.join(fields)}: land it again "
            "with a header line.",
        )


class FragmentsLeftError(EnvironmentFaultError):
    """S3 did not delete fragments that were to be deleted."""

    def __init__(self, key: str, detail: str) -> None:
        super().__init__(
            f"S3 did not delete {key} ({detail}): allow s3:DeleteObject on the lake bucket, then "
            "repeat the command."
        )


class WrongSelectionError(LandfallError):
    """It is not clear which files are meant."""


class NothingSelectedError(LandfallError):
    """No file is as asked for."""

    def __init__(self, wanted: str) -> None:
        super().__init__(
            f"The ledger knows no {wanted}: `landfall status` shows what there is. A file that "
            "landed a moment ago is known after the next tick."
        )


class UnknownRowError(LandfallError):
    """A file has no such row, or none at all now."""

    def __init__(self, key: str, row: int | str, reason: str) -> None:
        super().__init__(f"{key} has no row {row}: {reason}")


class RunCanceledError(EnvironmentFaultError):
    """A person, or the end of the process around it, stopped a run: nobody's fault."""

    def __init__(self, what: str, run_id: str) -> None:
        super().__init__(
            f"{what}: its run {run_id} was stopped from outside. No attempt is counted; it is "
            "taken up again by itself."
        )


class RunNotStartedError(EnvironmentFaultError):
    """A run failed before it took up what it was requested for."""

    def __init__(self, what: str, run_id: str) -> None:
        super().__init__(
            f"{what}: its run {run_id} failed before it began; that run's events say why. No "
            "attempt is counted; another run is requested by itself."
        )


class OtherBytesError(FileError):
    """Other bytes landed at a key while it was to be forgotten."""

    def __init__(self, key: str) -> None:
        super().__init__(
            key,
            "other bytes landed there just now, so nothing was forgotten: look at it with "
            "`landfall explain`, then forget it again if these must go too.",
        )


class ServingContendedError(EnvironmentFaultError):
    """Other runs kept changing the items that one wanted to change."""

    def __init__(self, table: str, *, left: int, attempts: int) -> None:
        super().__init__(
            f"{table}: {left} items were changed by others in each of {attempts} attempts: nothing "
            "was lost, refresh the date again. If no other run is at work, another program writes "
            "to the table: stop it."
        )


class CrmUnreachableError(EnvironmentFaultError):
    """The CRM did not answer, or not to the end."""

    def __init__(self, page: int, url: str, detail: str) -> None:
        super().__init__(
            f"Page {page} of the CRM ({url}) did not come: {detail}. Check LANDFALL_CRM_URL and "
            "the network, then pull again; nothing was landed."
        )


class CrmBusyError(EnvironmentFaultError):
    """The CRM asks for patience, or fails on its own side."""

    def __init__(self, page: int, url: str, status: int, wait_seconds: float | None) -> None:
        self.wait_seconds = wait_seconds
        """What its Retry-After asks for; ``None`` where it has none that can be read."""
        super().__init__(
            f"The CRM answers page {page} ({url}) with {status}: it is busy or out of order; pull "
            "again later. Nothing was landed."
        )


class CrmRefusedError(LandfallError):
    """The CRM will not give a page, however often it is asked."""

    def __init__(self, page: int, url: str, status: int, mend: str) -> None:
        super().__init__(
            f"The CRM refuses page {page} ({url}) with {status}: {mend}. Nothing was landed."
        )


class CrmPageError(LandfallError):
    """A page of the CRM is not what was agreed on."""

    def __init__(self, page: int, url: str, cause: str) -> None:
        super().__init__(
            f"Page {page} of the CRM ({url}) is not usable: {cause}. Nothing was landed."
        )
