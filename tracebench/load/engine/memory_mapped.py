"""Requests in memory-mapped files, sent by reference.

`sendfile` from such a file hands pages to the socket instead of copying the body into it. With
24 KB bodies on loopback the copy is 13 % of the cost of a request; below 12 KB it is cheaper than
`sendfile`, so the whole request is copied from the mapping. The one line that changes is written
into the mapping, so each connection has its own. If those would take too much memory, all
connections share one mapping of the bodies alone, and copy the heads.
`benchmarks/rest_speed.py` shows the difference.
"""

import mmap
import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from os import sendfile
from typing import Final

from tracebench.load.engine.connection import READ_SIZE, Connection, Owner
from tracebench.load.engine.dispatch import Ledger
from tracebench.load.engine.endpoint import Endpoint
from tracebench.load.engine.kernel import ANCILLARY_SIZE, arrival_wall_ns, timespec
from tracebench.load.engine.loop import EDGE, READABLE, WRITABLE, Handler, Loop
from tracebench.load.recording.replies import Log
from tracebench.load.recording.rows import PAGE_BYTES, PLAIN, ROW_BYTES, plain_tag
from tracebench.load.wire.codec import ProtocolError, Slot
from tracebench.load.wire.http1 import Http1Codec, HttpRequest
from tracebench.load.wire.http1_pattern import Http1Pattern, Take, unknown
from tracebench.model.record.exchange import Stamp

MOST_PRIVATE_BYTES: Final = 64 << 20
"""Limit on the copies of all connections together; beyond it, the bodies are shared."""
MOST_PRIVATE: Final = 256
"""Requests; each new connection lays them out in 0.7 µs a request plus the copying."""
SMALL: Final = 16_384
"""Body size in bytes below which copying is cheaper than a separate `sendfile` call."""
BY_REFERENCE: Final = 12_288
"""Request size in bytes below which copying is cheaper than `sendfile`."""
IDS: Final = 49

BodyPart = tuple[int, int, slice]
"""The start and size of a request in the mapping, and the place of its ids."""


class Mapping:
    """Contents one after another in a memory-only file."""

    parts: list[BodyPart]
    views: list[memoryview]
    """The contents of each part; unusable once this is closed."""

    def __init__(self, contents: Sequence[bytes]) -> None:
        self.starts = [0, *accumulate(map(len, contents))]
        self.file = os.memfd_create("tracebench-request")
        os.truncate(self.file, self.starts[-1])
        self._memory = mmap.mmap(self.file, self.starts[-1])
        self.memory = memoryview(self._memory)
        for start, content in zip(self.starts, contents, strict=False):
            self.memory[start : start + len(content)] = content

    def _divide(self, parts: list[BodyPart]) -> None:
        """Set the places of the requests."""
        self.parts = parts
        self.views = [self.memory[start : start + size] for start, size, _ in parts]

    def close(self) -> None:
        """Release the memory."""
        for view in (*self.views, self.memory):
            view.release()
        self._memory.close()
        os.close(self.file)


class MappedRequests(Mapping):
    """One connection's copies of its requests.

    The ids in one may be changed once the previous request has been answered.
    """

    def __init__(self, requests: Sequence[HttpRequest]) -> None:
        contents = [one.head + bytes(IDS) + one.tail + one.body for one in requests]
        super().__init__(contents)
        parts = []
        for start, content, one in zip(self.starts, contents, requests, strict=False):
            ids_at = start + len(one.head)
            parts.append((start, len(content), slice(ids_at, ids_at + IDS)))
        self._divide(parts)

    @staticmethod
    def possible(requests: Sequence[HttpRequest], connections: int) -> bool:
        """Whether each of the connections may have copies of its own."""
        size = sum(len(one.head) + IDS + len(one.tail) + len(one.body) for one in requests)
        return len(requests) <= MOST_PRIVATE and size * connections <= MOST_PRIVATE_BYTES


class SharedBodies(Mapping):
    """The bodies of a run's requests, each once; read-only, so all connections share them."""

    def __init__(self, requests: Sequence[HttpRequest]) -> None:
        bodies = {id(one.body): one.body for one in requests}
        super().__init__(list(bodies.values()))
        starts = dict(zip(bodies, self.starts, strict=False))
        nowhere = slice(0, 0)
        self._divide([(starts[id(one.body)], len(one.body), nowhere) for one in requests])

    @staticmethod
    def pays(requests: Sequence[HttpRequest]) -> bool:
        """Whether any body is large enough for a separate `sendfile` call."""
        return any(len(one.body) >= SMALL for one in requests)


class MappedConnection(Connection):
    """A plaintext HTTP/1.1 connection that sends its requests from a memory-mapped file.

    Once the pattern of the replies is known, one closure handles a reply and sends the next request
    (the fast path); anything unusual is left to the general methods (the slow path). The calls and
    look-ups it saves are a sixth of the cost of a request.
    """

    codec: Http1Codec
    _turns = False
    """The next request is started by `_turn`, as it may differ or is not mapped whole."""

    def __init__(
        self,
        loop: Loop,
        endpoint: Endpoint,
        requests: Sequence[HttpRequest],
        owner: Owner,
        ledger: Ledger,
        mapped: Mapping | None = None,
    ) -> None:
        super().__init__(loop, endpoint, Http1Codec(*requests), owner, ledger)
        self._turns = self._turns or ledger.choose is not None
        self._mapped = mapped or MappedRequests(requests)
        self._log: Log
        """The log of the replies that need no parser; unset while there are none."""
        self._take: Take = unknown
        self._bound: Slot
        self._left = (0, 0)
        """Start and size of the unsent rest of a partly sent request."""

    def transmit(self, slot: Slot) -> None:
        """Send the slot's request; see `Connection.transmit`."""
        if not self.codec.reusable:
            return self._owner.submit(slot)
        self.codec.begin(slot)
        _, size, ids_at = self._mapped.parts[slot.variant]
        self._mapped.memory[ids_at] = slot.ids
        send = self._sender(slot.variant)
        slot.sent_ns = self._now_ns()
        try:
            sent = send()
        except OSError as error:
            return self._refused(slot, error)
        if sent < size:
            self._partly_sent(slot, sent)

    def _refused(self, slot: Slot, error: OSError) -> None:
        if isinstance(error, BlockingIOError):
            self._partly_sent(slot, 0)
        else:
            self._cannot_send()

    def _partly_sent(self, slot: Slot, sent: int) -> None:
        start, size, _ = self._mapped.parts[slot.variant]
        self._left = start + sent, size - sent
        self._outbox.append((slot, []))
        self._reader = self._general
        self._loop.change(self._descriptor, self._writable, READABLE | WRITABLE)

    def _wait_to_write(self, slot: Slot | None, rest: bytes) -> None:
        """Send the rest once the socket is writable, and read the reply on the slow path."""
        self._reader = self._general
        super()._wait_to_write(slot, rest)

    def _cannot_send(self) -> None:
        """Read the reply on the slow path; see `Connection._cannot_send`."""
        self._reader = self._general
        super()._cannot_send()

    def _flush(self) -> None:
        """Continue a partly sent request, still by reference."""
        if self._outbox[0][1]:
            return super()._flush()
        start, size = self._left
        try:
            sent = sendfile(self._descriptor, self._mapped.file, start, size)
        except BlockingIOError:
            return None
        except OSError:
            return self._cannot_send()
        self._left = start + sent, size - sent
        if sent == size:
            self._outbox.popleft()
        return None

    def bind(self, slot: Slot) -> None:
        """Let the slot send through this connection, and read its replies on the fast path."""
        super().bind(slot)
        self._bound = slot
        self._short: Handler = self._general
        """The fast path, for replies of the known pattern; `_general` while there is none."""
        self._reader = self._general
        self._loop.change(self._descriptor, self._reader, READABLE | EDGE)

    def _general(self, events: int) -> None:
        """Read a reply on the slow path: its pattern is unknown, or its request was unusual."""
        try:
            data, ancillary, _, _ = self._recvmsg(READ_SIZE, ANCILLARY_SIZE)
        except OSError as error:
            return self._cannot_read(error)
        read_ns = self._now_ns()
        arrived_ns = arrival_wall_ns(ancillary[0][2]) - self._loop.epoch_ns if ancillary else 0
        self._parse(events, data, arrived_ns, read_ns)

    def _cycle(self, slot: Slot, take: Take, log: Log) -> Handler:
        """The fast path: `_readable`, `Ledger.finished` and `transmit` in one closure."""
        recvmsg, ledger, loop, now_ns = self._recvmsg, self._ledger, self._loop, self._now_ns
        draw, tag, send = ledger.draw, plain_tag(slot.number, log.number), self._sender(0)
        (_, size, ids_at), memory, turns = self._mapped.parts[0], self._mapped.memory, self._turns

        def readable(events: int) -> None:
            try:
                data, ancillary, _, _ = recvmsg(READ_SIZE, ANCILLARY_SIZE)
            except OSError as error:
                return self._cannot_read(error)
            text, done_ns = take(data), now_ns()
            seconds, ns = timespec(ancillary[0][2]) if ancillary else (0, 0)
            arrived_ns = seconds * 1_000_000_000 + ns - loop.epoch_ns
            if (
                text is None
                or events != READABLE
                or not (sent_ns := slot.sent_ns) <= arrived_ns <= done_ns < ledger.until_ns
                or (drawn := ledger.started) >= ledger.most_started
            ):
                return self._parse(events, data, arrived_ns, done_ns)
            if turns:
                return self._turn(slot, data, arrived_ns, done_ns)
            due_ns, draw_before = slot.scheduled_ns, slot.draw
            slot.draw, ledger.started = drawn, drawn + 1
            ledger.heard_ns = slot.scheduled_ns = slot.ready_ns = done_ns
            slot.ids = memory[ids_at] = draw()
            slot.sent_ns = now_ns()
            try:
                if (sent := send()) < size:
                    self._partly_sent(slot, sent)
            except OSError as error:
                self._refused(slot, error)
            record, at = ledger.recorder, ledger.recorder.at
            PLAIN(record.page, at, due_ns, sent_ns, arrived_ns, done_ns, draw_before, tag)
            log.texts += text
            record.at = at = at + ROW_BYTES
            if at == PAGE_BYTES:
                record.turn()

        return readable

    def _sender(self, variant: int) -> Callable[[], int]:
        """A function that sends one of the requests, and returns how many bytes were taken."""
        start, size, _ = self._mapped.parts[variant]
        if size < BY_REFERENCE:
            return partial(self._socket.send, self._mapped.views[variant])
        return partial(sendfile, self._descriptor, self._mapped.file, start, size)

    def _turn(self, slot: Slot, data: bytes, arrived_ns: int, done_ns: int) -> None:
        """Record the reply, and start the next request, which may be a different one."""
        ledger = self._ledger
        slot.reply, slot.first_byte_ns = (data,), arrived_ns
        ledger.recorder.write(slot, arrived_ns, done_ns, Stamp.KERNEL)
        ledger.heard_ns = done_ns
        ledger.start(slot, done_ns, done_ns)

    def _parse(self, events: int, data: bytes, arrived_ns: int, read_ns: int) -> None:
        """The slow path, from the point where bytes have been read."""
        if not data:
            return self._end_of_file()
        if events != READABLE or len(data) == READ_SIZE:
            # There may be more to read, or the end: go level-triggered until it is read.
            self._loop.change(self._descriptor, self._reader, READABLE)
        try:
            touched = self.codec.receive(data)
        except ProtocolError as error:
            return self.close(str(error))
        replies = self._ledger.recorder.replies
        self._settle(touched, arrived_ns, read_ns, self._now_ns())
        if (log := replies.latest) is not None and isinstance(log.form, Http1Pattern):
            self._know(log, log.form, data)
        if not self._closed and self._reader != (reader := self._fitting()):
            self._reader = reader
            self._loop.redirect(self._descriptor, reader)

    def _know(self, log: Log, form: Http1Pattern, reply: bytes) -> None:
        """Take replies like this one without a parser from now on."""
        if self._take is unknown or log is not self._log:
            take = form.alike(reply)
        elif self._take(reply) is None:
            take = form.any_size
        else:
            return
        if take is not unknown:
            self._log, self._take = log, take
            self._short = self._cycle(self._bound, take, log)

    def _fitting(self) -> Handler:
        """The handler for the next reply."""
        return self._short if self._is_usual() else self._general

    def _is_usual(self) -> bool:
        """Whether the request in flight was sent whole at once, on a kept-alive connection."""
        codec, slot = self.codec, self._bound
        sent = codec.open and not self._outbox and not slot.write_lag_ns
        return sent and codec.reusable and not codec.kept and not slot.connect_ns

    def close(self, reason: str) -> None:
        """Close at once, and release the mapping."""
        super().close(reason)
        self._mapped.close()


class SharedConnection(MappedConnection):
    """A connection that sends each head itself, and bodies from the mapping shared by all."""

    _turns = True

    def __init__(
        self,
        loop: Loop,
        endpoint: Endpoint,
        requests: Sequence[HttpRequest],
        bodies: SharedBodies,
        owner: Owner,
        ledger: Ledger,
    ) -> None:
        super().__init__(loop, endpoint, requests, owner, ledger, bodies)
        self._requests = requests

    def transmit(self, slot: Slot) -> None:
        """Send the slot's request; see `Connection.transmit`."""
        request = self._requests[slot.variant]
        if len(request.body) < SMALL or not self.codec.reusable:
            return Connection.transmit(self, slot)
        self.codec.begin(slot)
        head = request.head + slot.ids + request.tail
        slot.sent_ns = self._now_ns()
        try:
            if (sent := self._sent(head)) < len(head):
                self._outbox.append((slot, []))
                return self._wait_to_write(slot, head[sent:] + request.body)
            start, size, _ = self._mapped.parts[slot.variant]
            sent = sendfile(self._descriptor, self._mapped.file, start, size)
        except OSError as error:
            return self._refused(slot, error)
        if sent < size:
            self._partly_sent(slot, sent)
        return None

    def _sent(self, head: bytes) -> int:
        """Send the head, held back for the body that follows at once; returns the size taken."""
        try:
            return self._socket.send(head, socket.MSG_MORE)
        except BlockingIOError:
            return 0

    def close(self, reason: str) -> None:
        """Close at once; the mapping is shared, so it stays open."""
        Connection.close(self, reason)
