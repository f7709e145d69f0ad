"""The event loop: readiness callbacks and timers, nothing else.

asyncio and uvloop reach the same throughput (measured), but hide the one thing a measuring
instrument must know about its own event loop: how long a callback has been waiting.
"""

import heapq
import select
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter_ns, time_ns
from typing import Final, NamedTuple, Protocol

READABLE = select.POLLIN
WRITABLE = select.POLLOUT
EDGE = getattr(select, "EPOLLET", 0) | getattr(select, "EPOLLRDHUP", 0)
"""Edge-triggered readiness, and notice of the peer's close."""
_BLOCKED_NS = 20_000  # a poll that took longer has slept: nothing was ready before it
_AT_ONCE_NS = 4_000  # a poll that took less found something ready, and so may the next one
_SPIN_NS = 150_000  # a wake-up is late by the timer slack (50 µs) and scheduling delay
_MS = 1_000_000
_LONGEST_WAIT_NS = 1_000_000_000
STALL_NS = 1_000_000
"""A loop iteration that takes longer delays replies and due requests."""

Handler = Callable[[int], None]


class Clock(NamedTuple):
    """The clocks that the engine reads, as functions called directly."""

    now_ns: Callable[[], int] = perf_counter_ns
    """Monotonic: the clock of every stamp."""
    wall_ns: Callable[[], int] = time_ns
    """The clock of the kernel's stamps."""


CLOCK: Final = Clock()


class Poller(Protocol):
    """What `select.epoll` and `select.poll` have in common."""

    def register(self, fd: int, eventmask: int, /) -> None:
        """Watch a descriptor for these events."""

    def modify(self, fd: int, eventmask: int, /) -> None:
        """Replace the events it is watched for."""

    def unregister(self, fd: int, /) -> None:
        """Stop watching it."""


class Waiting(NamedTuple):
    """How a loop waits: `poll` and `nap` both return at the first event."""

    poller: Poller
    poll: Callable[[float], list[tuple[int, int]]]
    """Wait for this many seconds at most; returns what is ready."""
    nap: Callable[[float], object]
    """Only wait, at a finer resolution."""


class Loop:
    """Calls handlers when their descriptors are ready, and timers when they expire.

    Args:
        clock: the source of its times.
        waiting: how it waits for events; None: the best that the system offers.
    """

    def __init__(self, clock: Clock = CLOCK, waiting: Waiting | None = None) -> None:
        self.now_ns, self._wall_ns = clock
        """The monotonic clock; hot paths keep their own reference to it."""
        self._handlers: dict[int, Handler] = {}
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._timers_made = 0
        self._due_ns = 0
        """When to check the timers next: none is due before."""
        self._running = False
        self._poller, self._poll, self._nap = waiting or _waiting()
        self.ready_since_ns = 0
        """The earliest time at which this iteration's events can have become ready."""
        self.epoch_ns = 0
        """The wall clock at the monotonic clock's zero, to convert kernel stamps; read anew in each
        iteration, so that a step of the wall clock spoils one iteration at most."""
        self.stalled_ns = self.longest_stall_ns = 0
        """Time taken by iterations longer than `STALL_NS`: in total, and by the longest."""

    def watch(self, descriptor: int, handler: Handler, events: int = READABLE) -> None:
        """Call `handler(events)` whenever the descriptor is ready."""
        self._handlers[descriptor] = handler
        self._poller.register(descriptor, events)

    def change(self, descriptor: int, handler: Handler, events: int) -> None:
        """Replace the handler and the events of a watched descriptor."""
        self._handlers[descriptor] = handler
        self._poller.modify(descriptor, events)

    def redirect(self, descriptor: int, handler: Handler) -> None:
        """Replace the handler of a watched descriptor, without a system call."""
        self._handlers[descriptor] = handler

    def forget(self, descriptor: int) -> None:
        """Stop watching the descriptor."""
        self._handlers[descriptor] = _ignore  # this iteration may still have an event for it
        with suppress(OSError, KeyError):  # it may not be watched yet (`Connection._connect`)
            self._poller.unregister(descriptor)

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> None:
        """Call `callback` once, at `when_ns` on the monotonic clock or a few µs later."""
        self._timers_made += 1
        heapq.heappush(self._timers, (when_ns, self._timers_made, callback))
        self._due_ns = min(self._due_ns, when_ns)

    def clear_timers(self) -> None:
        """Cancel every pending timer."""
        self._timers.clear()

    def stop(self) -> None:
        """Return from `run` before the next wait."""
        self._running = False

    def run(self) -> None:
        """Serve until `stop` is called."""
        self._running = True
        handlers, poll = self._handlers, self._poll
        now_ns, wall_ns = self.now_ns, self._wall_ns
        woke_ns, busy = now_ns(), False
        while self._running:
            previous_ns, asked_ns = woke_ns, now_ns()
            if asked_ns - woke_ns > STALL_NS:
                self._stalled(asked_ns - woke_ns)
            ready = poll(0) if busy else None  # without a timeout, it costs a fifth less
            if not ready:
                left_ns = self._due_ns - asked_ns - _SPIN_NS
                ms = left_ns // _MS
                ready = poll(ms / 1e3) if ms > 0 else self._wait_briefly(left_ns)
            self.epoch_ns = wall_ns() - (woke_ns := now_ns())
            busy = woke_ns - asked_ns < _AT_ONCE_NS and bool(ready)
            self.ready_since_ns = woke_ns if woke_ns - asked_ns > _BLOCKED_NS else previous_ns
            for descriptor, events in ready:
                handlers[descriptor](events)
            if woke_ns >= self._due_ns:
                self._call_timers(woke_ns)

    def close(self) -> None:
        """Release the loop's own descriptors."""
        self._timers.clear()
        if isinstance(self._poller, select.epoll):
            self._poller.close()

    def _wait_briefly(self, left_ns: int) -> list[tuple[int, int]]:
        """Wait for events for less than a millisecond.

        `poll` counts in whole milliseconds, so the loop naps until just before the timer, then
        polls without blocking: punctuality costs a little CPU time.
        """
        if left_ns > 0:
            self._nap(left_ns / 1e9)
        return self._poll(0)

    def _stalled(self, took_ns: int) -> None:
        self.stalled_ns += took_ns
        self.longest_stall_ns = max(self.longest_stall_ns, took_ns)

    def _call_timers(self, now_ns: int) -> None:
        while self._timers and self._timers[0][0] <= now_ns:
            heapq.heappop(self._timers)[2]()
        self._due_ns = self._timers[0][0] if self._timers else now_ns + _LONGEST_WAIT_NS


def _ignore(_events: int) -> None:
    pass


def _waiting() -> Waiting:
    """Epoll where available, else poll: the events are the same.

    `select` has the finer resolution, and can wait on an epoll descriptor.
    """
    if hasattr(select, "epoll"):
        epoll = select.epoll()
        return Waiting(epoll, epoll.poll, lambda seconds: select.select([epoll], (), (), seconds))
    poll = select.poll()
    return Waiting(poll, lambda seconds: poll.poll(seconds * 1e3), lambda _seconds: None)
