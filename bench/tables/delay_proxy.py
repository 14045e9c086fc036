"""A proxy that adds a wait to each call, as a network does: ``python -m bench.tables.delay_proxy``.

Calls on different connections wait at the same time; each connection of a client has one of its own
to the server.
"""

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from bench.tables.child_server import HOST, LONGEST_HEAD, child_server, message, serve


@contextmanager
def delayed(server_port: int, milliseconds: float) -> Iterator[int]:
    """The port of a proxy in front of a server; it ends with the block."""
    with child_server("bench.tables.delay_proxy", str(server_port), str(milliseconds)) as port:
        yield port


def main() -> None:
    """Relay until the process is ended."""
    parser = argparse.ArgumentParser(prog="bench.tables.delay_proxy", description=__doc__)
    parser.add_argument("server_port", type=int)
    parser.add_argument("milliseconds", type=float)
    options = parser.parse_args()
    seconds = options.milliseconds / 1000

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(
            HOST, options.server_port, limit=LONGEST_HEAD
        )
        try:
            while True:
                call = await message(reader)
                await asyncio.sleep(seconds)
                to_server.write(b"".join(call))
                writer.write(b"".join(await message(from_server)))
        finally:
            to_server.close()

    serve(relay)


if __name__ == "__main__":
    main()
