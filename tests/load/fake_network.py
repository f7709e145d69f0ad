"""A network in which time passes only when it is told to: a clock, a poller, sockets, servers.

The engine runs on it as on the real one, and every stamp is known beforehand. Bytes travel for
`WAY_NS`. Code takes no time, unless a test spends some; a poll that finds nothing takes `POLL_NS`.
"""

import errno
import heapq
import os
import select
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, NamedTuple

from tracebench.load.engine.endpoint import Endpoint
from tracebench.load.engine.loop import EDGE, READABLE, WRITABLE, Clock, Loop, Waiting

US = 1_000
BEGAN_NS = 7_000_000_000
EPOCH_NS = 1_700_000_000_000_000_000
"""The wall clock at the monotonic clock's zero."""
WAY_NS = 100 * US
POLL_NS = 1 * US


class Arrived(NamedTuple):
    data: bytes
    """Empty: the end."""
    stamp_ns: int | None
    """What the kernel tells, on the monotonic clock."""


class Socket(socket.socket):
    """The engine's end of a connection; what it sends is read from a real socket's other end.

    So `sendfile` works as well. What the server says comes from a list.
    """

    def __init__(self, network: "Network", family: int) -> None:
        near, self._far = socket.socketpair()
        super().__init__(family, socket.SOCK_STREAM, fileno=near.detach())
        self.setblocking(False)
        self._far.setblocking(False)
        self._network = network
        self._error = errno.EINPROGRESS
        self.arrived: deque[Arrived] = deque()
        self.mask = 0
        """The events that are asked for."""
        self.news = True
        """Something has happened since the last poll."""
        self.room = sys.maxsize
        """So many bytes it takes."""
        self.sends = 0
        """How often `send` was called, as only the short way of mapped requests does."""

    # ── what the engine calls ────────────────────────────────────────────────────────────────

    def connect_ex(self, _address: Any, /) -> int:
        self._network.after(2 * WAY_NS, self._connected)
        return errno.EINPROGRESS

    def getsockopt(self, level: int, option: int, size: int = 0, /) -> Any:
        if (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR):
            return self._error
        raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))

    def send(self, data: Any, flags: int = 0, /) -> int:
        self.sends += 1
        return self._take(memoryview(data).tobytes())

    def sendmsg(self, buffers: Iterable[Any], *_others: Any) -> int:
        return self._take(b"".join(memoryview(one) for one in buffers))

    def recvmsg(self, _size: int, _ancillary: int = 0, _flags: int = 0, /) -> Any:
        if not self.arrived:
            raise BlockingIOError
        data, stamp_ns = self.arrived.popleft()
        if data:
            while self.arrived and self.arrived[0].data:
                more, stamp_ns = self.arrived.popleft()
                data += more
        if stamp_ns is None:
            return data, [], 0, None
        stamp = struct.pack("@qq32x", *divmod(stamp_ns + EPOCH_NS, 1_000_000_000))
        return data, [(socket.SOL_SOCKET, 37, stamp)], 0, None

    def close(self) -> None:
        self._network.sockets.pop(self.fileno(), None)
        self._far.close()
        super().close()

    def _take(self, data: bytes) -> int:
        taken = min(len(data), self.room)
        if not taken:
            raise BlockingIOError
        self.room -= taken
        return super().send(data[:taken])

    # ── what the server does ─────────────────────────────────────────────────────────────────

    def says(self, data: bytes, after_ns: int = 0) -> None:
        """Send that after a while; nothing: close."""
        self._network.after(after_ns + WAY_NS, lambda: self.arrives(data, self._network.now_ns))

    def arrives(self, data: bytes, stamp_ns: int | None) -> None:
        """Let that be there, with this stamp, if any."""
        self.arrived.append(Arrived(data, stamp_ns if data else None))
        self.news = True

    def grows(self, room: int = sys.maxsize) -> None:
        """Take so much again."""
        self.room, self.news = room, True

    # ── what the network sees ────────────────────────────────────────────────────────────────

    def drained(self) -> bytes:
        """What was sent since the last look."""
        try:
            return self._far.recv(1 << 20)
        except OSError:  # nothing, or it is closed
            return b""

    def ready(self) -> int:
        """Which of the events that are asked for there are."""
        if self._error == errno.EINPROGRESS or (self.mask & EDGE and not self.news):
            return 0
        there = WRITABLE if self.room else 0
        if self.arrived:
            there |= READABLE | (0 if self.arrived[-1].data else select.EPOLLRDHUP)
        return there & self.mask

    def _connected(self) -> None:
        self._error = errno.ECONNREFUSED if self._network.refuses else 0
        self.news = True
        if not self._error:
            self._network.accepted(self)


Serve = Callable[[Socket, bytes], None]
"""Told what came over a connection; and once, with nothing, that it was made."""


class Network:
    """Moves time on; what the engine is given of it is a loop and an endpoint."""

    def __init__(self, serve: Serve) -> None:
        self.now_ns = BEGAN_NS
        self.refuses = False
        self.sockets: dict[int, Socket] = {}
        self.made: list[Socket] = []
        self._serve = serve
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = count()
        clock = Clock(lambda: self.now_ns, lambda: self.now_ns + EPOCH_NS)
        self.loop = Loop(clock, Waiting(self, self.poll, self.nap))
        address = ("fake", 80)
        self.endpoint = Endpoint(*address, socket.AF_INET, address, None, make_socket=self._socket)

    def after(self, span_ns: int, event: Callable[[], None]) -> None:
        """Let something happen after a while."""
        heapq.heappush(self._events, (self.now_ns + span_ns, next(self._numbers), event))

    def spend(self, span_ns: int) -> None:
        """Be busy: what happens meanwhile is found later."""
        self._look()
        until_ns = self.now_ns + span_ns
        while self.now_ns < until_ns:
            self._pass(until_ns)

    def hold_up(self, after_ns: int, span_ns: int) -> None:
        """Let the loop be busy for a while, later."""
        self.loop.call_at(self.now_ns + after_ns, lambda: self.spend(span_ns))

    def accepted(self, one: Socket) -> None:
        """Tell the server of a connection."""
        self._serve(one, b"")

    # ── the poller ───────────────────────────────────────────────────────────────────────────

    def register(self, fd: int, eventmask: int, /) -> None:
        self.sockets[fd].mask = eventmask

    def modify(self, fd: int, eventmask: int, /) -> None:
        self.sockets[fd].mask, self.sockets[fd].news = eventmask, True

    def unregister(self, fd: int, /) -> None:
        self.sockets[fd].mask = 0

    def poll(self, seconds: float) -> list[tuple[int, int]]:
        self.nap(seconds)
        found = [(fd, events) for fd, one in self.sockets.items() if (events := one.ready())]
        for fd, _ in found:
            self.sockets[fd].news = False
        return found

    def nap(self, seconds: float) -> None:
        self._look()
        until_ns = self.now_ns + max(round(seconds * 1e9), POLL_NS)
        while self.now_ns < until_ns and not any(one.ready() for one in self.sockets.values()):
            self._pass(until_ns)

    # ── time ─────────────────────────────────────────────────────────────────────────────────

    def _pass(self, until_ns: int) -> None:
        """Go on to the next event, or until then."""
        if not self._events or self._events[0][0] > until_ns:
            self.now_ns = until_ns
            return
        self.now_ns = self._events[0][0]
        while self._events and self._events[0][0] == self.now_ns:
            heapq.heappop(self._events)[2]()

    def _look(self) -> None:
        """Carry what was sent to the server."""
        for one in self.sockets.values():
            if data := one.drained():
                self.after(WAY_NS, lambda one=one, data=data: self._serve(one, data))  # type: ignore[misc] # bound now

    def _socket(self, family: int) -> Socket:
        made = Socket(self, family)
        self.sockets[made.fileno()] = made
        self.made.append(made)
        return made
