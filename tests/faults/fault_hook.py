"""Faults within a worker process, at its AWS calls; the product knows nothing of them.

botocore asks its ``before-send`` handlers before every attempt at a request. Ours names the call,
notes it, and does what the plan says: nothing, mostly. A handler that returns a response has it
taken for the server's, so "after the response" is a request that the handler sends itself.

The plan is a JSON file, named by an environment variable because processes are forked.
"""

import json
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from fault_calls import Call, Counts, name

PLAN = "FAULT_PLAN"
PROCESS = "FAULT_PROCESS"
"""Number of the process within its trial, from 1."""
POLL_SECONDS = 0.005
PAUSE_SECONDS = 60.0
BACKOFF_SHARE = 0.05
"""botocore's waits between two attempts, in this share of their length: they are not under test."""


@dataclass(frozen=True)
class Plan:
    """What shall go wrong in one trial.

    Attributes:
        folder: where the processes of the trial leave their marks.
        record: whether every call is noted.
        action: ``kill-before``, ``kill-after``, ``pause`` or ``stop``, once, at the call ``at``.
        every: ``action`` is done each time a call's text without its ordinal is ``at``.
        throttled: share of calls that AWS answers with a fault of its own.
        jitter: longest wait before a call, in seconds.
        storm: seconds from the trial's first call in which calls are throttled.
    """

    folder: str
    record: bool = False
    action: str = ""
    at: str = ""
    every: bool = False
    seed: int = 0
    throttled: float = 0.0
    jitter: float = 0.0
    storm: float = 0.0
    clock: dict[str, float] = field(default_factory=dict)


def install(handlers: ModuleType) -> None:
    """Put the handler among botocore's own."""
    handlers.BUILTIN_HANDLERS.append(("before-send", before_send))
    os.register_at_fork(after_in_child=_forget)


@cache
def _plan() -> Plan | None:
    path = os.environ.get(PLAN)
    if path is None:
        return None
    _wait_less()
    plan = Plan(**json.loads(Path(path).read_text()))
    _shift_clock(plan)
    return plan


@cache
def _counts() -> Counts:
    return Counts()


@cache
def _storm_began(folder: str) -> float:
    mark = Path(folder, "storm")
    with suppress(FileExistsError):
        mark.touch(exist_ok=False)
    return mark.stat().st_mtime


def _forget() -> None:
    _plan.cache_clear()
    _storm_began.cache_clear()
    _counts.cache_clear()


def begin() -> None:
    """Read the plan now, before the process's first call."""
    _plan()


def _shift_clock(plan: Plan) -> None:
    seconds = plan.clock.get(os.environ.get(PROCESS, ""), 0.0)
    if seconds:
        import fault_clock  # noqa: PLC0415 - for trials with another clock only

        fault_clock.shift(seconds)


def _wait_less() -> None:
    from botocore.retries.standard import ExponentialBackoff  # noqa: PLC0415 - botocore is loading

    whole = ExponentialBackoff.delay_amount

    def shortened(backoff: Any, context: Any) -> float:
        return float(whole(backoff, context)) * BACKOFF_SHARE

    ExponentialBackoff.delay_amount = shortened  # type: ignore[method-assign,assignment]  # a patch


def before_send(request: Any, **_: object) -> Any:
    """Do what the plan says at this call; a response stands in for the server's."""
    plan = _plan()
    if plan is None:
        return None
    body = request.body.encode() if isinstance(request.body, str) else request.body
    body = body if isinstance(body, bytes) else b""
    headers = {key: _text(value) for key, value in request.headers.items()}
    call = _counts().number(*name(request.method, request.url, headers, body))
    if plan.record:
        _note(plan, "calls", str(call))
    if plan.jitter:
        time.sleep(plan.jitter * _chance(plan, call, "jitter"))
    if plan.action and _is_meant(plan, call):
        return _act(plan, request, call)
    if plan.throttled and time.time() < _storm_began(plan.folder) + plan.storm:
        return _throttle(plan, request, call)
    return None


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _note(plan: Plan, file: str, line: str) -> None:
    with Path(plan.folder, file).open("a") as notes:
        notes.write(f"{os.environ.get(PROCESS, '?')} {line}\n")


def _chance(plan: Plan, call: Call, what: str) -> float:
    """From 0 to 1, the same whenever the trial is repeated, whatever the order of its calls."""
    text = f"{plan.seed} {os.environ.get(PROCESS)} {what} {call}"
    return int.from_bytes(sha256(text.encode()).digest()[:6]) / 2**48


def _is_meant(plan: Plan, call: Call) -> bool:
    if plan.every:
        return f"{call.operation} {call.key}" == plan.at
    if str(call) != plan.at:
        return False
    try:
        Path(plan.folder, "fired").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _act(plan: Plan, request: Any, call: Call) -> Any:
    _note(plan, "faults", f"{time.monotonic()} {plan.action} {call}")
    if plan.action == "kill-before":
        os.kill(os.getpid(), signal.SIGKILL)
    if plan.action == "kill-after":
        _send(request)
        os.kill(os.getpid(), signal.SIGKILL)
    if plan.action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if plan.action == "pause":
        deadline = time.monotonic() + PAUSE_SECONDS
        while not Path(plan.folder, "go").exists() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)


def _send(request: Any) -> Any:
    from botocore.httpsession import URLLib3Session  # noqa: PLC0415 - not while botocore loads

    answer = URLLib3Session(proxies={}).send(request)
    return answer, answer.content


def _throttle(plan: Plan, request: Any, call: Call) -> Any:
    if _chance(plan, call, "throttle") >= plan.throttled:
        return None
    which = _chance(plan, call, "which")
    late = which < 1 / 3
    if late:
        _send(request)
    status, code = (500, "InternalError") if which < 2 / 3 else (503, "SlowDown")
    json_wanted = "X-Amz-Target" in request.headers
    if json_wanted and not late:
        status, code = 400, "ProvisionedThroughputExceededException"
    _note(plan, "faults", f"{time.monotonic()} {status} {'after' if late else 'before'} {call}")
    return _answer(request, status, code, json_wanted=json_wanted)


def _answer(request: Any, status: int, code: str, *, json_wanted: bool) -> Any:
    from botocore.awsrequest import AWSResponse, HeadersDict  # noqa: PLC0415 - as above

    text = (
        json.dumps({"__type": code, "message": "a fault for a test"})
        if json_wanted
        else f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>for a test</Message></Error>"
    )
    body = b"" if request.method == "HEAD" else text.encode()
    headers: Any = HeadersDict({"content-length": str(len(body))})
    return AWSResponse(request.url, status, headers, _Raw(body))


class _Raw:
    """What botocore reads a response's body from."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, amt: int = 0, **_: object) -> Any:  # noqa: ARG002 - urllib3's signature
        yield self._body

    def read(self, amt: int | None = None, **_: object) -> bytes:  # noqa: ARG002 - as above
        body, self._body = self._body, b""
        return body
