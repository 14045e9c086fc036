"""The process of the local AWS: ``python -m resources.local_aws.server --port P --home DIR``."""

import argparse
import fcntl
import logging
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from pipeline_assets.errors import LandfallError, LocalAwsError, PortInUseError
from resources.local_aws.application import Application
from resources.local_aws.record import (
    DATA_FILE,
    RECORD_FILE,
    SERVER_LOCK_FILE,
    ServerRecord,
    read_record,
    write_record,
)

if TYPE_CHECKING:
    from waitress.server import BaseWSGIServer

HOST = "127.0.0.1"
THREADS = 16
CONNECTIONS = 500
SNAPSHOT_SECONDS = 30.0
# Snapshots stop all requests: they may take this share of the time at most.
SNAPSHOT_SHARE = 0.1
# "Amazon S3 objects overview" and "Uploading objects": one PutObject takes 5 GB at most.
MAX_BODY_BYTES = 5 * 1024**3
MOTO_SETTINGS = {
    # Above its buffer moto keeps an open file for each object, and runs out of descriptors.
    "MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": str(2**40),
    "MOTO_DISABLE_GLOBAL_CORS": "true",
}

log = logging.getLogger("landfall.local_aws")


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, then write the data; 1 when it cannot be served or written."""
    parser = argparse.ArgumentParser(prog="resources.local_aws.server", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True, help="folder of its data and log")
    parser.add_argument("--snapshot-seconds", type=float, default=SNAPSHOT_SECONDS)
    parser.add_argument("--detach", action="store_true", help="serve in the background")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    # Every request that waits for the lock would log a line about the depth of the queue.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    # The home is let go last: whoever waits for that finds the error in the log.
    with ExitStack() as held:
        try:
            _hold_home(options.home, held)
            if options.detach:
                _detach()
            _serve(options.home, options.port, options.snapshot_seconds)
        except LandfallError as error:
            log.error("%s", error)  # noqa: TRY400  # the sentence says it all
            return 1
    return 0


def _hold_home(home: Path, held: ExitStack) -> None:
    home.mkdir(parents=True, exist_ok=True)
    lock = held.enter_context((home / SERVER_LOCK_FILE).open("ab"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = read_record(home)
        where = f" on port {other.port} (process {other.pid})" if other else ""
        raise LocalAwsError(
            f"A local AWS already serves {home}{where}: stop it with `landfall down` first."
        ) from None
    # A killed server leaves its record behind, and its process id may be another's by now.
    (home / RECORD_FILE).unlink(missing_ok=True)


def _detach() -> None:
    """Carry on in a child of nobody; the lock goes with it, the caller has no child to reap."""
    if os.fork():
        os._exit(0)


def _serve(home: Path, port: int, snapshot_seconds: float) -> None:
    _configure_moto()
    # moto reads its settings when it is imported.
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415
        DomainDispatcherApplication,
        create_backend_app,
    )

    from resources.local_aws import moto_corrections, moto_speed, snapshot  # noqa: PLC0415

    data = home / DATA_FILE
    snapshot.load(data)
    moto_corrections.announce_delete_markers()
    moto_corrections.read_the_clock_fast()
    moto_speed.hasten()
    record = ServerRecord(str(home), os.getpid(), port, datetime.now(UTC).isoformat())
    application = Application(DomainDispatcherApplication(create_backend_app), record)
    server = _listen(application, port)
    write_record(home, record)
    _stop_on_signals(application)
    keeper = threading.Thread(target=_keep, args=(application, data, snapshot_seconds), daemon=True)
    keeper.start()
    server.run()
    _finish(application, home)


def _listen(application: Application, port: int) -> "BaseWSGIServer":
    from waitress.server import create_server  # noqa: PLC0415  # not needed to refuse a home

    from resources.local_aws.metadata_headers import MetadataChannel  # noqa: PLC0415

    try:
        server = create_server(
            application,
            host=HOST,
            port=port,
            threads=THREADS,
            connection_limit=CONNECTIONS,
            max_request_body_size=MAX_BODY_BYTES,
            asyncore_use_poll=True,
            ident=None,
        )
    except OSError as error:
        raise PortInUseError(port, f"another program ({error})") from None
    server.channel_class = MetadataChannel
    return server


def _configure_moto() -> None:
    os.environ.update(MOTO_SETTINGS)
    for name in list(os.environ):
        # A profile or endpoint of the caller would reach moto's own boto3.
        if name.startswith("AWS_"):
            del os.environ[name]


def _stop_on_signals(application: Application) -> None:
    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        application.close()
        # waitress takes this for the wish to end, and lets running requests finish.
        raise SystemExit

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _keep(application: Application, data: Path, seconds: float) -> NoReturn:
    from resources.local_aws import snapshot  # noqa: PLC0415  # after moto's settings

    saved, cost = application.writes, 0.0
    while True:
        time.sleep(max(seconds, cost / SNAPSHOT_SHARE))
        with application.turn:
            if application.writes == saved:
                continue
            started = time.monotonic()
            try:
                snapshot.save(data)
            except OSError as error:
                log.warning("The data could not be written to %s: %s", data, error)
            saved, cost = application.writes, time.monotonic() - started


def _finish(application: Application, home: Path) -> None:
    from resources.local_aws import snapshot  # noqa: PLC0415  # after moto's settings

    with application.turn:
        try:
            snapshot.save(home / DATA_FILE)
        except OSError as error:
            raise LocalAwsError(
                f"The data of the local AWS could not be written to {home / DATA_FILE} ({error}): "
                "what was written since the last snapshot is lost; make room on the disk."
            ) from error
    (home / RECORD_FILE).unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
