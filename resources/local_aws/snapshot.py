"""moto's state in one file: moto has no persistence of its own.

The file is one line of JSON (format and moto's version) and a pickle of the backends. The pickle
is only read from the home that wrote it, never from anywhere else.
"""

import importlib.metadata
import io
import json
import os
import pickle
import threading
from pathlib import Path
from typing import IO, Any

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.dynamodb.models import dynamodb_backends
from moto.s3.models import s3_backends
from moto.s3.utils import _VersionedKeyStore
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from pipeline_assets.errors import LocalAwsError

FORMAT = 1
# Whoever adds a service of AWS to Landfall adds it here too.
SERVICES: dict[str, BackendDict[Any]] = {
    "s3": s3_backends,
    "sqs": sqs_backends,
    "dynamodb": dynamodb_backends,
    "sns": sns_backends,
}
_LOCK_TYPES = {type(threading.Lock()): threading.Lock, type(threading.RLock()): threading.RLock}


class _BackendPickler(pickle.Pickler):
    """Writes what pickle cannot, or would write wrongly."""

    def reducer_override(self, obj: Any) -> Any:  # noqa: ANN401  # pickle's own signature
        # Nobody holds a lock in the next process: it is written as a new, free one.
        if type(obj) in _LOCK_TYPES:
            return _LOCK_TYPES[type(obj)], ()
        if isinstance(obj, threading.Condition):
            return threading.Condition, ()
        # Its items() show the newest version of each key alone: pickle would drop the others.
        if isinstance(obj, _VersionedKeyStore):
            return _VersionedKeyStore, (), dict(obj), None, None, dict.update
        return NotImplemented


def save(path: Path) -> None:
    """Write the backends, whole or not at all. No request may run meanwhile.

    Raises:
        OSError: the disk is full or the home is gone; the former snapshot stays.
    """
    # moto remembers every object it ever made, for a page that nobody opens here.
    reset_model_data()
    temporary = path.with_suffix(".writing")
    with temporary.open("wb") as file:
        file.write(json.dumps(_header()).encode() + b"\n")
        _BackendPickler(file, protocol=pickle.HIGHEST_PROTOCOL).dump(_state())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load(path: Path) -> None:
    """Put the backends of a snapshot in the place of the empty ones; no file, no data.

    Raises:
        LocalAwsError: another moto wrote the snapshot, or it is not one.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        _refuse_other_versions(path, file)
        try:
            state = pickle.load(file)  # noqa: S301  # our own file, see above
        except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError) as error:
            raise _unreadable(path, str(error)) from error
    _restore(state)


def _header() -> dict[str, Any]:
    return {"landfall_local_aws": FORMAT, "moto": importlib.metadata.version("moto")}


def _refuse_other_versions(path: Path, file: IO[bytes]) -> None:
    try:
        found = json.loads(file.readline(io.DEFAULT_BUFFER_SIZE))
    except ValueError:
        raise _unreadable(path, "it does not begin with its version") from None
    if found != _header():
        raise _unreadable(path, f"{found} wrote it, but this is {_header()}")


def _unreadable(path: Path, reason: str) -> LocalAwsError:
    return LocalAwsError(
        f"The data of the local AWS in {path} cannot be used: {reason}. Forget it with "
        "`landfall reset`, or install the version that wrote it."
    )


def _state() -> dict[str, Any]:
    backends = {
        service: {account: dict(regions) for account, regions in accounts.items()}
        for service, accounts in SERVICES.items()
    }
    return {"backends": backends, "bucket_accounts": s3_backends.bucket_accounts}


def _restore(state: dict[str, Any]) -> None:
    for service, accounts in state["backends"].items():
        for account, regions in accounts.items():
            for region, backend in regions.items():
                SERVICES[service][account][region] = backend
    s3_backends.bucket_accounts.update(state["bucket_accounts"])
