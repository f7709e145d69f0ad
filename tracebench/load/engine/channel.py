"""Channels: slots that share a connection, its replacements, and the choice of its type."""

import os
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from tracebench.load.engine.connection import Connection, Owner
from tracebench.load.engine.dispatch import Ledger
from tracebench.load.engine.kernel import PathState
from tracebench.load.engine.loop import Loop
from tracebench.load.engine.memory_mapped import (
    MappedConnection,
    MappedRequests,
    SharedBodies,
    SharedConnection,
)
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.engine.tls import TlsConnection
from tracebench.load.wire.codec import Slot
from tracebench.load.wire.http1 import Http1Codec, HttpRequest
from tracebench.model.record.exchange import Stamp

# A channel: slots that share one connection, and that connection's replacements.

Connect = Callable[[Owner, Ledger], Connection]


class Channel:
    """Hands exchanges to a connection, and opens a new one if none is usable.

    Args:
        connect: opens a connection.
        ledger: records how exchanges end.
        now_ns: the monotonic clock.
        alone: only one slot uses this channel.
    """

    def __init__(
        self, connect: Connect, ledger: Ledger, now_ns: Callable[[], int], *, alone: bool
    ) -> None:
        self.failure = ""
        """Why the last attempt to connect failed."""
        self.was_opened = False
        """Someone has wanted a connection."""
        self._path_states: list[PathState] = []
        self._connect, self._ledger, self._now_ns, self._alone = connect, ledger, now_ns, alone
        self._connection: Connection | None = None
        self._waiting: deque[Slot] = deque()

    def open(self) -> None:
        """Start connecting."""
        self.was_opened = True
        self._connection = self._connect(self, self._ledger)

    def renew(self) -> bool:
        """Replace a connection that can carry no more; returns whether that has to be awaited."""
        connection = self._connection
        if not self.was_opened or (connection is not None and connection.codec.reusable):
            return False
        self.failure = ""
        if connection is not None:
            self._connection = None
            connection.retire()
        self.open()
        return True

    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return self._connection is not None and self._connection.open

    def is_local(self) -> bool:
        """Whether an existing connection shows that the server is on this machine."""
        return self._connection is not None and self._connection.is_local()

    def path_states(self) -> list[PathState]:
        """TCP_INFO of every connection so far."""
        live = self._connection.path_state() if self._connection is not None else None
        return [*self._path_states, live] if live else self._path_states

    def submit(self, slot: Slot) -> None:
        """Send the slot's request as soon as a connection can carry it."""
        slot.submit = self.submit
        slot.carrier = self
        slot.asked_ns = slot.ready_ns
        self._waiting.append(slot)
        self._pump(slot.ready_ns)  # when the previous exchange ended, which may have made room

    def send_again(self, slot: Slot) -> None:
        """Resend a request whose first attempt was lost, ahead of those not yet attempted."""
        slot.submit = self.submit
        slot.carrier = self
        self._waiting.appendleft(slot)
        self._pump(slot.ready_ns)

    def abandon(self, slot: Slot) -> None:
        """Stop waiting for the slot; if none is left waiting, give up connecting."""
        self._waiting.remove(slot)
        if self._connection is not None and not self._connection.open and not self._waiting:
            self._connection.close("")

    def close(self) -> None:
        """Close the connection; nothing is in flight any more."""
        if self._connection is not None:
            self._connection.close("")

    def opened(self, connection: Connection) -> None:
        """Called by a connection once it can carry requests."""
        now_ns = self._now_ns()
        for slot in self._waiting:
            slot.connect_ns = now_ns - slot.asked_ns
        self._pump(now_ns)

    def has_room(self, _connection: Connection) -> None:
        """Called by a multiplexed connection after each read."""
        if self._waiting:
            self._pump(self._now_ns())

    def closed(self, connection: Connection, reason: str) -> None:
        """Called by a connection when it has closed."""
        if state := connection.path_state():
            self._path_states.append(state)
        if connection is self._connection:
            self._connection = None
            self.failure = reason
            if not connection.was_open:
                self.failure = reason or "the server closed the connection at once"
                self._fail_waiting(self.failure)
            elif self._waiting:
                self.open()

    def _pump(self, ready_ns: int) -> None:
        """Give waiting slots to the connection, which has had room since `ready_ns`."""
        connection = self._connection
        if connection is not None and not connection.codec.reusable:
            self._connection = None
            connection.retire()
            connection = None
        if connection is None:
            return self.open()
        while self._waiting and connection.open and connection.codec.room > 0:
            slot = self._waiting.popleft()
            slot.ready_ns = ready_ns
            slot.carrier = connection
            if self._alone:
                connection.bind(slot)
            connection.transmit(slot)

    def _fail_waiting(self, reason: str) -> None:
        waiting, self._waiting = self._waiting, deque()
        for slot in waiting:
            now_ns = self._now_ns()
            slot.error = reason
            slot.connect_ns = now_ns - slot.asked_ns
            slot.ready_ns = now_ns
            self._ledger.finished(slot, 0, now_ns, Stamp.USER)


# Which connection carries which requests.


class Connecting:
    """Connects to a target in the fastest way that supports its requests.

    Args:
        prepared: the target.
        loop: the event loop of the connections.
        connections: their number at any one time.
    """

    def __init__(self, prepared: PreparedTarget, loop: Loop, connections: int) -> None:
        self._prepared, self._loop = prepared, loop
        self._bodies: SharedBodies | None = None
        self._mapped: Connect | None = None
        """Opens connections that send requests from a memory-mapped file; None: not possible."""
        endpoint = prepared.endpoint
        if prepared.codec is Http1Codec and endpoint.tls is None and hasattr(os, "memfd_create"):
            requests = cast(Sequence[HttpRequest], prepared.repeated)
            if any(type(one) is not HttpRequest for one in requests):
                return  # they are made anew each time
            if MappedRequests.possible(requests, connections):
                self._mapped = partial(MappedConnection, loop, endpoint, requests)
            elif SharedBodies.pays(requests):
                self._bodies = SharedBodies(requests)
                self._mapped = partial(SharedConnection, loop, endpoint, requests, self._bodies)

    def __call__(self, owner: Owner, ledger: Ledger) -> Connection:
        """Start connecting."""
        if self._mapped is not None:
            return self._mapped(owner, ledger)
        endpoint = self._prepared.endpoint
        codec = self._prepared.codec(*self._prepared.repeated)
        if endpoint.tls is not None:
            return TlsConnection(self._loop, endpoint, endpoint.tls, codec, owner, ledger)
        return Connection(self._loop, endpoint, codec, owner, ledger)

    def close(self) -> None:
        """Release what the connections shared; all of them are closed."""
        if self._bodies is not None:
            self._bodies.close()
