"""A process that has imported everything and executed nothing, and forks a child per request.

Importing the product takes seconds and would be most of a trial. Nothing is computed here: a fork
after one computation of Polars hangs. Requests come on standard input and answers go to standard
output, a line of JSON each; when the input ends, so do the children and the nursery.
"""

import gc
import importlib
import json
import os
import random
import select
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

WORKER_MODULES = (
    "alembic.autogenerate.compare",
    "boto3.s3.inject",
    "dagster._core.definitions.repository_definition.repository_data_builder",
    "dagster._core.execution.execute_in_process",
    "dagster._core.execution.plan.active",
    "dagster._core.executor.in_process",
    "dagster._core.instance.factory",
    "dagster._core.instance.runs.run_domain",
    "dagster._core.launcher.default_run_launcher",
    "dagster._core.run_coordinator.queued_run_coordinator",
    "dagster._core.scheduler.scheduler",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.migration",
    "dagster._core.storage.root",
    "dagster._core.storage.sqlite_storage",
    "dagster._daemon.monitoring",
    "duckdb",
    "fsspec.implementations.local",
    "hypothesis.strategies",
    "pandera.backends.polars.container",
    "pandera.backends.polars.register",
    "pandera.polars",
    "pandera.strategies.base_strategies",
    "pipeline_assets.cli",
    "pipeline_assets.definitions",
    "pipeline_assets.report",
    "pipeline_assets.work",
    "pyarrow.csv",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
    "resources.dagster_instance",
    "resources.local_aws.control",
    "rich.json",
    "sqlalchemy.dialects.sqlite",
    "upath.implementations.local",
)
SERVER_MODULES = (
    "resources.local_aws.server",
    "moto.moto_server.werkzeug_app",
    "moto.s3.responses",
    "moto.sqs.responses",
    "moto.dynamodb.responses",
    "moto.sns.responses",
    "resources.local_aws.snapshot",
    "resources.local_aws.moto_corrections",
    "resources.local_aws.metadata_headers",
    "waitress.server",
)
MODULES = {"worker": WORKER_MODULES, "server": SERVER_MODULES}
GARBAGE_THRESHOLD = 50_000
"""Objects between two collections: children are short-lived, and collecting is a tenth of one."""
ENTRIES = {
    "worker": ("pipeline_assets.cli", "main"),
    "server": ("resources.local_aws.server", "main"),
}


@dataclass(frozen=True)
class Order:
    """A process that somebody wants."""

    number: int
    arguments: list[str]
    environment: dict[str, str]
    output: str


def main(kind: str) -> None:
    """Import, then fork as asked until the input ends."""
    answers = os.dup(1)
    os.dup2(2, 1)
    for module in MODULES[kind]:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    waker, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _tell(answers, {"ready": True})
    children: dict[int, int] = {}
    unread = b""
    while True:
        readable, _, _ = select.select([0, waker], [], [])
        if waker in readable:
            os.read(waker, 1024)
            _reap(children, answers)
        if 0 in readable:
            came = os.read(0, 1 << 16)
            if not came:
                break
            *lines, unread = (unread + came).split(b"\n")
            for line in lines:
                order = Order(**json.loads(line))
                pid = _fork(kind, order, (answers, waker, woken))
                children[pid] = order.number
                _tell(answers, {"number": order.number, "pid": pid})
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _tell(answers: int, fact: dict[str, Any]) -> None:
    os.write(answers, json.dumps(fact).encode() + b"\n")


def _reap(children: dict[int, int], answers: int) -> None:
    for pid in list(children):
        ended, status, used = os.wait4(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            cpu = used.ru_utime + used.ru_stime
            _tell(answers, {"number": children.pop(pid), "code": code, "cpu": cpu})


def _fork(kind: str, order: Order, ours: Sequence[int]) -> int:
    pid = os.fork()
    if not pid:
        _become(kind, order, ours)
    return pid


def _become(kind: str, order: Order, ours: Sequence[int]) -> NoReturn:
    code: object = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        output = os.open(order.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, wanted in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, wanted)
        for mine in ours:
            os.close(mine)
        os.environ.clear()
        os.environ.update(order.environment)
        random.seed()
        if "fault_hook" in sys.modules:
            sys.modules["fault_hook"].begin()
        module, function = ENTRIES[kind]
        code = getattr(sys.modules[module], function)(order.arguments)
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001 - whatever it is, it goes into the child's output
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main(sys.argv[1])
