"""A TCP proxy of known delay: `python -m benchmarks.delay_proxy PORT TARGET_PORT MS`.

Holds every piece for half of MS in each direction, and stamps how long it really held it: from the
kernel's receive stamp until just before it is sent on. At the end (SIGTERM) it prints the sum of
the two directions' medians, in ms.
"""

import heapq
import selectors
import signal
import socket
import statistics
import sys
import time

from tracebench.load.engine import kernel

SMALLEST = 200
"""Bytes; smaller pieces (acknowledgements of HTTP/2) are held alike, but do not count."""

Held = list[float]
Piece = tuple[int, int, socket.socket, bytes, int, Held]
"""due, number, where to, what, arrived (ns), where to note how long it was held."""


class Proxy:
    def __init__(self, port: int, target_port: int, hold_ns: int) -> None:
        self.target_port, self.hold_ns = target_port, hold_ns
        self.up_ms: Held = []
        self.down_ms: Held = []
        self.pieces: list[Piece] = []
        self.number = 0
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self.selector.register(self.listener, selectors.EVENT_READ, None)

    def serve(self) -> None:
        while True:
            due_ns = self.pieces[0][0] if self.pieces else time.perf_counter_ns() + 50_000_000
            wait_s = max(0.0, (due_ns - time.perf_counter_ns()) / 1e9 - 0.001)
            for key, _ in self.selector.select(wait_s):
                if key.data is None:
                    self.accept()
                else:
                    self.receive(key.fileobj, *key.data)  # type: ignore[arg-type] # a socket
            while self.pieces and self.pieces[0][0] <= time.perf_counter_ns():
                self.pass_on(heapq.heappop(self.pieces))

    def accept(self) -> None:
        client, _ = self.listener.accept()
        server = socket.create_connection(("127.0.0.1", self.target_port))
        for here, there, held in ((client, server, self.up_ms), (server, client, self.down_ms)):
            here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            kernel.enable(here)
            self.selector.register(here, selectors.EVENT_READ, (there, held))

    def receive(self, here: socket.socket, there: socket.socket, held: Held) -> None:
        try:
            data, ancillary, _, _ = here.recvmsg(1 << 20, kernel.ANCILLARY_SIZE)
        except OSError:
            data, ancillary = b"", []
        arrived_ns = time.perf_counter_ns()
        if ancillary:
            arrived_ns -= time.time_ns() - kernel.arrival_wall_ns(ancillary[0][2])
        if not data:
            self.selector.unregister(here)
        self.number += 1
        due_ns = arrived_ns + self.hold_ns
        heapq.heappush(self.pieces, (due_ns, self.number, there, data, arrived_ns, held))

    def pass_on(self, piece: Piece) -> None:
        _, _, there, data, arrived_ns, held = piece
        if len(data) >= SMALLEST:
            held.append((time.perf_counter_ns() - arrived_ns) / 1e6)
        try:
            there.sendall(data) if data else there.shutdown(socket.SHUT_WR)
        except OSError:
            return  # that side has gone already


def main(port: int, target_port: int, delay_ms: float) -> None:
    proxy = Proxy(port, target_port, int(delay_ms / 2 * 1e6))
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit())
    try:
        proxy.serve()
    finally:
        print(statistics.median(proxy.up_ms) + statistics.median(proxy.down_ms), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
