"""REST servers of a known time: `python -m benchmarks.fleet.server queue|crowd MS`.

A queue serves one request at a time, in the order in which they come, on whatever connections: what
is measured must not depend on how clients share connections. (A server that looks at its sockets
only between two requests prefers those it has just answered.) A crowd serves all at once. Both
answer when the time is up, not at the next millisecond or with the next request.

It prints its port.
"""

import heapq
import os
import select
import sys
import time
from typing import Final

from benchmarks.guard.server import Held, Server

_SPIN_NS: Final = 150_000
"""The last part of a wait, which a sleep would miss by its slack; a small part of a core."""


class Crowd(Server):
    """Every request is answered after the same time."""

    def __init__(self, service_ms: float) -> None:
        super().__init__("rest", service_ms)

    def _patience_s(self) -> float:
        if not self._held:
            return -1
        left_ns = self._held[0].due_ns - time.perf_counter_ns() - _SPIN_NS
        if left_ns > 0:  # `poll` counts in milliseconds
            select.select([self._epoll], (), (), left_ns / 1e9)
        return 0.0


class Queue(Crowd):
    """Requests wait until those before them are answered."""

    def __init__(self, service_ms: float) -> None:
        super().__init__(service_ms)
        self._free_ns = 0

    def _hold(self, descriptor: int, streams: list[int]) -> None:
        for stream in streams:
            began_ns = max(time.perf_counter_ns(), self._free_ns)
            self._free_ns = began_ns + self._hold_ns
            heapq.heappush(self._held, Held(self._free_ns, began_ns, descriptor, stream))


KINDS: Final = {"queue": Queue, "crowd": Crowd}

if __name__ == "__main__":
    until, _ = os.pipe()  # whoever started it ends it
    KINDS[sys.argv[1]](float(sys.argv[2])).serve(until)
