"""A REST server that serves one request at a time: `python -m benchmarks.fleet.queue_server MS`.

Requests are served in the order in which they come, on whatever connections: what is measured must
not depend on how clients share connections. A server that looks at its sockets only between two
requests prefers those it has just answered. It prints its port.
"""

import heapq
import os
import sys
import time
from typing import Final

from benchmarks.guard.server import Held, Server

_SPIN_NS: Final = 2_000_000
"""`poll` counts in milliseconds; the core is the server's own."""


class Queue(Server):
    """Requests wait until those before them are answered."""

    def __init__(self, service_ms: float) -> None:
        super().__init__("rest", service_ms)
        self._free_ns = 0

    def _hold(self, descriptor: int, streams: list[int]) -> None:
        for stream in streams:
            began_ns = max(time.perf_counter_ns(), self._free_ns)
            self._free_ns = began_ns + self._hold_ns
            heapq.heappush(self._held, Held(self._free_ns, began_ns, descriptor, stream))

    def _patience_s(self) -> float:
        if not self._held:
            return -1
        left_ns = self._held[0].due_ns - time.perf_counter_ns()
        return max(0.0, (left_ns - _SPIN_NS) / 1e9)


if __name__ == "__main__":
    until, _ = os.pipe()  # whoever started it ends it
    Queue(float(sys.argv[1])).serve(until)
