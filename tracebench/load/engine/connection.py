"""A connection: a non-blocking socket, kernel stamps, and a codec.

The hot path is `transmit` → (the server) → `_readable`: no coroutine, no allocation per request,
few calls. `benchmarks/rest_speed.py` measures the cost of a request.
"""

import errno
import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Any, Protocol

from tracebench.load.engine import kernel
from tracebench.load.engine.dispatch import Ledger
from tracebench.load.engine.endpoint import Endpoint
from tracebench.load.engine.kernel import ANCILLARY_SIZE, arrival_wall_ns
from tracebench.load.engine.loop import READABLE, WRITABLE, Handler, Loop
from tracebench.load.wire.codec import Codec, ProtocolError, Slot
from tracebench.model.record.exchange import Lost, Stamp

READ_SIZE = 65_536
MOST_BUFFERS = 64  # join if there are more: sendmsg takes at most 1,024
_CONNECT_AGAIN_NS = 1_000_000

_KERNEL, _USER, _SHARED = Stamp.KERNEL, Stamp.USER, Stamp.SHARED  # enum look-ups are slow


class Owner(Protocol):
    """Is notified of what happens to a connection."""

    def submit(self, slot: Slot) -> None:
        """Find a connection for the slot."""

    def opened(self, connection: "Connection") -> None:
        """It can carry requests."""

    def has_room(self, connection: "Connection") -> None:
        """It is shared, and may have room for one more request."""

    def closed(self, connection: "Connection", reason: str) -> None:
        """It has closed; the slots that it carried are finished next."""

    def send_again(self, slot: Slot) -> None:
        """Find a connection for a slot whose first attempt was lost."""


class Connection:
    """One plaintext connection to the target, from connect to close."""

    def __init__(
        self, loop: Loop, endpoint: Endpoint, codec: Codec, owner: Owner, ledger: Ledger
    ) -> None:
        self.codec = codec
        self.open = self.was_open = False
        self._loop, self._owner, self._ledger = loop, owner, ledger
        self._now_ns = loop.now_ns
        self._retiring = self._closed = False
        self._attentive = True
        """After a read, `_after_reading` has work to do."""
        self._crossed_since_ns = sys.maxsize
        """Requests sent since then may have crossed the peer's FIN or RST."""
        self._reader: Handler = self._readable
        self._outbox: deque[tuple[Slot | None, list[bytes]]] = deque()
        self._socket = sock = endpoint.make_socket(endpoint.family)
        self._recvmsg = sock.recvmsg
        self._receive: Callable[[bytes], Sequence[Slot]] = codec.receive
        self._descriptor = sock.fileno()
        self._closing_ns = endpoint.closing_ns
        self._connect_error = endpoint.bind(sock)
        if self._connect_error:
            loop.watch(self._descriptor, self._connected, WRITABLE)
        else:
            self._connect(endpoint.address)

    # ── opening ──────────────────────────────────────────────────────────────────────────────

    def _connect(self, address: Any) -> None:
        """Start connecting; retry while the backlog of a Unix socket is full."""
        if self._closed:
            return
        self._connect_error = self._socket.connect_ex(address)
        if self._connect_error == errno.EAGAIN and self._is_unix():
            again_ns = self._now_ns() + _CONNECT_AGAIN_NS
            self._loop.call_at(again_ns, partial(self._connect, address))
        else:
            self._loop.watch(self._descriptor, self._connected, WRITABLE)

    def _connected(self, _events: int) -> None:
        error = self._connect_error
        if error in (0, errno.EINPROGRESS):
            error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self.close(os.strerror(error).lower())
        else:
            self._established()

    def _established(self) -> None:
        """The transport is connected: send the codec's preface."""
        self._loop.change(self._descriptor, self._reader, READABLE)
        if preface := self.codec.preface():
            self._send(None, [preface])
        self._check_open()

    def _check_open(self) -> None:
        if not self.open and self.codec.established and not self._closed:
            self.open = self.was_open = True
            self._attentive = self.codec.multiplexed
            self._owner.opened(self)

    # ── requests out ─────────────────────────────────────────────────────────────────────────

    def transmit(self, slot: Slot) -> None:
        """Send the slot's request, or hand it back if this connection can carry no more.

        `sent_ns` is stamped just before the first byte leaves.
        """
        codec = self.codec
        if not codec.reusable or (codec.multiplexed and codec.room <= 0):
            return self._owner.submit(slot)
        self._send(slot, codec.request(slot, slot.ids))

    def bind(self, slot: Slot) -> None:
        """Let the slot send through this connection from now on, bypassing its channel."""
        slot.submit = self.transmit

    def abandon(self, slot: Slot) -> None:
        """Give up an exchange that has already been recorded."""
        farewell = self.codec.cancel(slot)
        if farewell is None:
            self.close("")
        else:
            self._send(None, farewell)

    def retire(self) -> None:
        """Finish the exchanges in flight, then close."""
        self._retiring = self._attentive = True
        self._close_if_idle()

    def close(self, reason: str) -> None:
        """Close at once; every exchange in flight fails for this reason."""
        if self._closed:
            return
        self._closed = True
        self.open = False
        self._loop.forget(self._descriptor)
        lost = self.codec.end_of_file()
        self._owner.closed(self, reason)
        self._socket.close()
        for slot in lost:
            slot.reply, slot.error = None, reason
        self._end(lost)

    def _is_unix(self) -> bool:
        return self._socket.family not in (socket.AF_INET, socket.AF_INET6)

    def is_local(self) -> bool:
        """Whether the server is on this machine: both ends have the same address, or loopback's."""
        if self._is_unix():
            return True
        try:
            near, far = self._socket.getsockname()[0], self._socket.getpeername()[0]
            return bool(near == far or ip_address(far).is_loopback)
        except (OSError, ValueError):  # no longer connected; an address with a zone
            return False

    def path_state(self) -> kernel.PathState | None:
        """TCP_INFO, while the connection exists."""
        return kernel.path_state(self._socket)

    def _send(self, slot: Slot | None, buffers: list[bytes]) -> None:
        self._outbox.append((slot, buffers))
        if len(self._outbox) == 1:
            self._flush()

    def _flush(self) -> None:
        """Send the outbox in order, until the socket would block."""
        outbox = self._outbox
        while outbox:
            slot, buffers = outbox[0]
            if len(buffers) > MOST_BUFFERS:
                buffers = [b"".join(buffers)]
            if slot is not None and not slot.sent_ns:
                slot.sent_ns = self._now_ns()
            try:
                sent = self._socket.sendmsg(buffers)
            except BlockingIOError:
                sent = 0
            except OSError:
                return self._cannot_send()
            if sent < sum(map(len, buffers)):
                return self._wait_to_write(slot, b"".join(buffers)[sent:])
            outbox.popleft()

    def _wait_to_write(self, slot: Slot | None, rest: bytes) -> None:
        self._outbox[0] = (slot, [rest])
        self._loop.change(self._descriptor, self._writable, READABLE | WRITABLE)

    def _writable(self, events: int) -> None:
        if events & WRITABLE:
            slot = self._outbox[0][0]
            if slot is not None:
                slot.write_lag_ns += self._now_ns() - self._loop.ready_since_ns
            self._flush()
            if not self._outbox:
                self._loop.change(self._descriptor, self._reader, READABLE)
        if events & ~WRITABLE:
            self._readable(events)

    def _cannot_send(self) -> None:
        """The server has closed its side; a reply, or the reason, may still be unread."""
        self._outbox.clear()
        self.codec.reusable = False
        self._loop.change(self._descriptor, self._reader, READABLE)

    # ── replies in ───────────────────────────────────────────────────────────────────────────

    def _readable(self, _events: int) -> None:
        now_ns = self._now_ns
        try:
            data, ancillary, _, _ = self._recvmsg(READ_SIZE, ANCILLARY_SIZE)
            read_ns = now_ns()
            if not data:
                return self._end_of_file()
            touched = self._receive(data)
        except (OSError, ProtocolError) as error:
            return self._cannot_read(error)
        arrived_ns = arrival_wall_ns(ancillary[0][2]) - self._loop.epoch_ns if ancillary else 0
        self._settle(touched, arrived_ns, read_ns, now_ns())

    def _settle(self, touched: Sequence[Slot], arrived_ns: int, read_ns: int, done_ns: int) -> None:
        """Stamp the slots that a read belonged to, and pass on those that are finished.

        Args:
            touched: the slots, ending with the one whose bytes came last.
            arrived_ns: when the kernel received the bytes; 0 if unknown.
            read_ns: when they were read.
            done_ns: when they were parsed.
        """
        if self._outbox and not self.codec.multiplexed:
            self.codec.reusable = False  # answered before the request was fully sent
        for slot in touched:
            if slot.sent_ns <= arrived_ns <= done_ns:
                came_ns, stamp = arrived_ns, _KERNEL if slot is touched[-1] else _SHARED
            else:
                came_ns, stamp = read_ns, _USER
            if not slot.first_byte_ns:
                slot.first_byte_ns = came_ns
            if slot.stream is not None:
                slot.stream.mark(came_ns, stamp)
                tired = self._ledger.tired
                if tired is not None and slot.reply is None and not slot.error and tired(slot):
                    continue
            if slot.reply is not None:
                self._ledger.finished(slot, came_ns, done_ns, stamp)
            elif slot.error:
                self._failed(slot, came_ns, done_ns, stamp)
        if self._attentive:
            self._after_reading()

    def _after_reading(self) -> None:
        if (answers := self.codec.outgoing()) and not self._closed:
            self._send(None, answers)
        if not self.open:
            self._check_open()
        if self._retiring:
            self._close_if_idle()
        elif self.open:
            self._owner.has_room(self)

    def _cannot_read(self, error: OSError | ProtocolError) -> None:
        if isinstance(error, ProtocolError):
            self.close(str(error))
        elif not isinstance(error, BlockingIOError):
            if isinstance(error, ConnectionError):
                self._peer_closed()
            self.close((error.strerror or str(error)).lower())

    def _end_of_file(self) -> None:
        self._peer_closed()
        ended = self.codec.end_of_file()
        self.close("")
        self._end(ended)

    # ── lost requests ────────────────────────────────────────────────────────────────────────

    def _peer_closed(self) -> None:
        """Note that a FIN or RST came in this loop iteration: the kernel stamps neither."""
        crossing_ns = kernel.crossing_ns(self.path_state(), self._closing_ns)
        self._crossed_since_ns = self._loop.ready_since_ns - crossing_ns

    def _failed(self, slot: Slot, came_ns: int, done_ns: int, stamp: Stamp) -> None:
        """Resend a request if the server cannot have started on it; else record the failure."""
        if self._was_in_vain(slot, done_ns):
            slot.begin_again(done_ns)
            self._owner.send_again(slot)
        else:
            slot.unanswered = None
            self._ledger.finished(slot, came_ns, done_ns, stamp)

    def _was_in_vain(self, slot: Slot, now_ns: int) -> bool:
        """Whether a first attempt crossed the peer's close, or was refused unprocessed."""
        if slot.unanswered is None or slot.lost is not None:
            return False
        left_ns = slot.sent_ns or now_ns  # 0: still queued behind others
        return slot.unanswered is not Lost.CLOSED or left_ns >= self._crossed_since_ns

    def _end(self, slots: Sequence[Slot]) -> None:
        """Finish the slots that end with the connection; a bare FIN carries no stamp."""
        now_ns = self._now_ns()
        for slot in slots:
            slot.first_byte_ns = slot.first_byte_ns or now_ns
            if slot.reply is not None:
                self._ledger.finished(slot, now_ns, now_ns, _USER)
            else:
                self._failed(slot, now_ns, now_ns, _USER)

    def _close_if_idle(self) -> None:
        if not self._closed and not self.codec.busy():
            self.close("")
