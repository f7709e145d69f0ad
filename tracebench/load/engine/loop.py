"""The event loop: readiness callbacks and timers, nothing else.

asyncio and uvloop would do as well (measured: the same throughput), but they hide the one thing
that an instrument needs to know of its own loop: since when a callback has been waiting.
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
"""Tell once what has become ready, not as long as it is; and whether the peer has closed."""
_BLOCKED_NS = 20_000  # a poll that took longer than this has slept: nothing was ready before it
_SPIN_NS = 150_000  # a wake-up is late by the timer's slack (50 µs) and the scheduler's mood
_MS = 1_000_000
_LONGEST_WAIT_NS = 1_000_000_000
STALL_NS = 1_000_000
"""A round that takes longer keeps replies waiting, and what is due."""

Handler = Callable[[int], None]


class Clock(NamedTuple):
    """The clocks that the engine reads, as functions that are called without any detour."""

    now_ns: Callable[[], int] = perf_counter_ns
    """Monotonic: of every stamp."""
    wall_ns: Callable[[], int] = time_ns
    """The kernel's stamps are read from this one."""


CLOCK: Final = Clock()


class Poller(Protocol):
    """Knows which descriptors are ready, as `select.epoll` and `select.poll` do."""

    def register(self, fd: int, eventmask: int, /) -> None:
        """Watch a descriptor for these events."""

    def modify(self, fd: int, eventmask: int, /) -> None:
        """Watch it for others."""

    def unregister(self, fd: int, /) -> None:
        """Watch it no more."""


class Waiting(NamedTuple):
    """How a loop waits: both ways end with the first event."""

    poller: Poller
    poll: Callable[[float], list[tuple[int, int]]]
    """Wait for so many seconds at most; gives what is ready."""
    nap: Callable[[float], object]
    """Only wait, with a finer clock."""


class Loop:
    """Calls handlers when their descriptors are ready, and timers when their time has come.

    Args:
        clock: what its times are read from.
        waiting: how it waits for events; None: as the system can.
    """

    def __init__(self, clock: Clock = CLOCK, waiting: Waiting | None = None) -> None:
        self.now_ns, self._wall_ns = clock
        """The monotonic clock; whoever reads it often keeps it as his own."""
        self._handlers: dict[int, Handler] = {}
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._timers_made = 0
        self._due_ns = 0
        """When to look at the timers next: none is due before."""
        self._running = False
        self._poller, self._poll, self._nap = waiting or _waiting()
        self.ready_since_ns = 0
        """What is handled in this round became ready at this time at the earliest."""
        self.epoch_ns = 0
        """The wall clock at the monotonic clock's zero, read anew in each round: what takes a
        kernel stamp to the monotonic clock. A step of the wall clock spoils one round at most."""
        self.stalled_ns = self.longest_stall_ns = 0
        """How long rounds took that were longer than `STALL_NS`: all together, and the longest."""

    def watch(self, descriptor: int, handler: Handler, events: int = READABLE) -> None:
        """Call `handler(events)` whenever the descriptor is ready."""
        self._handlers[descriptor] = handler
        self._poller.register(descriptor, events)

    def change(self, descriptor: int, handler: Handler, events: int) -> None:
        """Replace the handler and the events of a watched descriptor."""
        self._handlers[descriptor] = handler
        self._poller.modify(descriptor, events)

    def redirect(self, descriptor: int, handler: Handler) -> None:
        """Replace the handler of a watched descriptor, which costs no system call."""
        self._handlers[descriptor] = handler

    def forget(self, descriptor: int) -> None:
        """Watch the descriptor no more."""
        self._handlers[descriptor] = _ignore  # this round may have an event for it still
        with suppress(OSError, KeyError):  # it may wait to be watched (`Connection._connect`)
            self._poller.unregister(descriptor)

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> None:
        """Call back once, at `when_ns` on the monotonic clock or a few µs later."""
        self._timers_made += 1
        heapq.heappush(self._timers, (when_ns, self._timers_made, callback))
        self._due_ns = min(self._due_ns, when_ns)

    def clear_timers(self) -> None:
        """Forget every timer that has not come yet."""
        self._timers.clear()

    def stop(self) -> None:
        """Return from `run` before the next wait."""
        self._running = False

    def run(self) -> None:
        """Serve until `stop` is called."""
        self._running = True
        handlers, poll = self._handlers, self._poll
        now_ns, wall_ns = self.now_ns, self._wall_ns
        woke_ns = now_ns()
        while self._running:
            previous_ns, asked_ns = woke_ns, now_ns()
            if asked_ns - woke_ns > STALL_NS:
                self._stalled(asked_ns - woke_ns)
            left_ns = self._due_ns - asked_ns - _SPIN_NS
            ready = poll(left_ns // _MS / 1e3) if left_ns >= _MS else self._wait_briefly(left_ns)
            self.epoch_ns = wall_ns() - (woke_ns := now_ns())
            self.ready_since_ns = woke_ns if woke_ns - asked_ns > _BLOCKED_NS else previous_ns
            for descriptor, events in ready:
                handlers[descriptor](events)
            if woke_ns >= self._due_ns:
                self._call_timers(woke_ns)

    def close(self) -> None:
        """Give the descriptors of the loop itself back."""
        self._timers.clear()
        if isinstance(self._poller, select.epoll):
            self._poller.close()

    def _wait_briefly(self, left_ns: int) -> list[tuple[int, int]]:
        """Wait for events for less than a millisecond.

        Polls count in whole milliseconds, so the rest of the way to a timer is slept in a nap,
        and the end of it spent polling without a wait: to be on time costs a little of the CPU.
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
    """Epoll where there is one, else poll: the same events.

    `select` has the finer clock, and may be asked about an epoll.
    """
    if hasattr(select, "epoll"):
        epoll = select.epoll()
        return Waiting(epoll, epoll.poll, lambda seconds: select.select([epoll], (), (), seconds))
    poll = select.poll()
    return Waiting(poll, lambda seconds: poll.poll(seconds * 1e3), lambda _seconds: None)
