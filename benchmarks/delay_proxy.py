"""A TCP proxy of known delay: `python -m benchmarks.delay_proxy PORT TARGET_PORT MS`.

Holds every piece for half of MS in each direction, and stamps how long it really held it. At the
end (SIGTERM) it prints the sum of the two directions' medians, in ms.
"""

import asyncio
import signal
import socket
import statistics
import sys
import time

SMALLEST = 200
"""Bytes; smaller pieces (acknowledgements of HTTP/2) are held alike, but do not count."""


class Half(asyncio.Protocol):
    """One side of a proxied connection."""

    def __init__(self, hold_s: float, held_s: list[float]) -> None:
        self.hold_s, self.held_s = hold_s, held_s
        self.other: Half | None = None
        self.transport: asyncio.Transport | None = None
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(self.hold_s, self.pass_on, data, time.perf_counter())

    def pass_on(self, data: bytes, came: float) -> None:
        if len(data) >= SMALLEST:
            self.held_s.append(time.perf_counter() - came)
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


async def main(port: int, target_port: int, hold_s: float) -> None:
    loop = asyncio.get_running_loop()
    up_s: list[float] = []
    down_s: list[float] = []
    pending: set[asyncio.Task[None]] = set()

    def accept() -> Half:
        client = Half(hold_s, up_s)

        async def connect() -> None:
            server = Half(hold_s, down_s)
            server.other = client
            await loop.create_connection(lambda: server, "127.0.0.1", target_port)
            client.other = server

        task = loop.create_task(connect())
        pending.add(task)
        task.add_done_callback(pending.discard)
        return client

    server = await loop.create_server(accept, "127.0.0.1", port)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    server.close()
    print((statistics.median(up_s) + statistics.median(down_s)) * 1e3, flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 2e3))
