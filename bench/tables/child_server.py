"""Small servers on loopback, each a process of its own.

So they take no time of the process that is measured. Such a module serves calls on connections that
stay open, and prints its port as its first line.
"""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

HOST = "127.0.0.1"
LONGEST_HEAD = 1 << 20
STOP_SECONDS = 10.0

Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


@contextmanager
def child_server(module: str, *arguments: str) -> Iterator[int]:
    """Run a module that serves; gives its port, and ends it with the block.

    Raises:
        RuntimeError: it ended before it said its port.
    """
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        try:
            said = process.stdout.readline() if process.stdout else ""
            if not said:
                raise RuntimeError(f"{module} did not start")
            yield int(said)
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def serve(connected: Connected) -> None:
    """Serve until the process is ended: what a module that `child_server` runs ends in."""
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(connected))


async def _serve(connected: Connected) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await connected(reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, HOST, 0, limit=LONGEST_HEAD)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of a whole call or answer, as they came; DynamoDB's all name their length."""
    head = await reader.readuntil(_HEAD_END)
    lines = head.lower().split(b"\r\n")
    length = next((int(line[len(_LENGTH) :]) for line in lines if line.startswith(_LENGTH)), 0)
    return head, await reader.readexactly(length) if length else b""
