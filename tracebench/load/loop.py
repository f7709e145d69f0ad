"""The event loop: readiness callbacks and timers, nothing else.

asyncio and uvloop would do as well (measured: the same throughput), but they hide the one thing
that an instrument needs to know of its own loop: since when a callback has been waiting.
"""

import heapq
import select
from collections.abc import Callable
from time import perf_counter_ns, time_ns

READABLE = select.POLLIN
WRITABLE = select.POLLOUT
EDGE = getattr(select, "EPOLLET", 0) | getattr(select, "EPOLLRDHUP", 0)
"""Tell once what has become ready, not as long as it is; and whether the peer has closed."""
_BLOCKED_NS = 20_000  # a poll that took longer than this has slept: nothing was ready before it

Handler = Callable[[int], None]


class Loop:
    """Calls handlers when their descriptors are ready, and timers when their time has come."""

    def __init__(self) -> None:
        self._handlers: dict[int, Handler] = {}
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._timers_made = 0
        self._running = False
        self._poller, self._wait = _poller()
        self.ready_since_ns = 0
        """What is handled in this round became ready at this time at the earliest."""
        self.epoch_ns = 0
        """The wall clock at the monotonic clock's zero, read anew in each round: what takes a
        kernel stamp to the monotonic clock. A step of the wall clock spoils one round at most."""

    def watch(self, descriptor: int, handler: Handler, events: int = READABLE) -> None:
        """Call `handler(events)` whenever the descriptor is ready."""
        self._handlers[descriptor] = handler
        self._poller.register(descriptor, events)

    def change(self, descriptor: int, handler: Handler, events: int) -> None:
        """Replace the handler and the events of a watched descriptor."""
        self._handlers[descriptor] = handler
        self._poller.modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Watch the descriptor no more."""
        self._handlers[descriptor] = _ignore  # this round may have an event for it still
        self._poller.unregister(descriptor)

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> None:
        """Call back once, at `when_ns` on the monotonic clock or up to 1 ms later."""
        self._timers_made += 1
        heapq.heappush(self._timers, (when_ns, self._timers_made, callback))

    def clear_timers(self) -> None:
        """Forget every timer that has not come yet."""
        self._timers.clear()

    def stop(self) -> None:
        """Return from `run` before the next wait."""
        self._running = False

    def run(self) -> None:
        """Serve until `stop` is called."""
        self._running = True
        handlers, wait = self._handlers, self._wait
        woke_ns = perf_counter_ns()
        while self._running:
            previous_ns, asked_ns = woke_ns, perf_counter_ns()
            ready = wait(self._patience_s(asked_ns))
            self.epoch_ns = time_ns() - (woke_ns := perf_counter_ns())
            self.ready_since_ns = woke_ns if woke_ns - asked_ns > _BLOCKED_NS else previous_ns
            for descriptor, events in ready:
                handlers[descriptor](events)
            if self._timers and self._timers[0][0] <= woke_ns:
                self._call_timers(woke_ns)

    def close(self) -> None:
        """Give the descriptors of the loop itself back."""
        self._timers.clear()
        if isinstance(self._poller, select.epoll):
            self._poller.close()

    def _patience_s(self, now_ns: int) -> float:
        return max(0, self._timers[0][0] - now_ns) / 1e9 if self._timers else 1.0

    def _call_timers(self, now_ns: int) -> None:
        while self._timers and self._timers[0][0] <= now_ns:
            heapq.heappop(self._timers)[2]()


def _ignore(_events: int) -> None:
    pass


def _poller() -> tuple["select.epoll | select.poll", Callable[[float], list[tuple[int, int]]]]:
    """Epoll where there is one, else poll: the same events, but it waits in milliseconds."""
    if hasattr(select, "epoll"):
        epoll = select.epoll()
        return epoll, epoll.poll
    poll = select.poll()
    return poll, lambda seconds: poll.poll(seconds * 1e3)
