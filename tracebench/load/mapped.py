"""A request in a memory-mapped file, sent by reference.

`sendfile` from such a file hands pages to the socket instead of copying the body into it. With
24 KB bodies on loopback the copy is 13 % of what a request costs; the one line that changes is
written into the mapping. `benchmarks/rest_speed.py` shows the difference.
"""

import mmap
import os
from os import sendfile
from time import perf_counter_ns, time_ns

from httptools import HttpParserError

from tracebench.load.codec import ProtocolError
from tracebench.load.connection import READ_SIZE, Connection, Owner
from tracebench.load.endpoint import Endpoint
from tracebench.load.http1 import SHORT, Http1Codec, HttpRequest
from tracebench.load.ledger import Ledger
from tracebench.load.loop import EDGE, READABLE, Handler, Loop
from tracebench.load.slot import Slot
from tracebench.load.stamps import ANCILLARY_SIZE, timespec
from tracebench.model.exchange import Stamp

LARGEST = 1 << 20
"""Bytes; each connection maps a copy of its own, so larger requests are copied instead."""
IDS = 49
_KERNEL = Stamp.KERNEL


class MappedRequest:
    """One connection's copy of the request. Its ids may be changed once the last was answered."""

    def __init__(self, request: HttpRequest) -> None:
        content = request.head + bytes(IDS) + request.tail + request.body
        self.size = len(content)
        self.ids_at = slice(len(request.head), len(request.head) + IDS)
        self.file = os.memfd_create("tracebench-request")
        os.truncate(self.file, self.size)
        self._memory = mmap.mmap(self.file, self.size)
        self._memory[:] = content
        self.memory = memoryview(self._memory)

    @staticmethod
    def possible(request: HttpRequest) -> bool:
        """Whether this system can, and the request is of a size for it."""
        return hasattr(os, "memfd_create") and len(request.body) <= LARGEST

    def rest(self, sent: int) -> bytes:
        """What is left after `sent` bytes."""
        return bytes(self.memory[sent:])

    def close(self) -> None:
        """Give the memory back."""
        self.memory.release()
        self._memory.close()
        os.close(self.file)


class MappedConnection(Connection):
    """A connection whose requests are sent from a mapping: HTTP/1.1 in the clear."""

    codec: Http1Codec

    def __init__(
        self,
        loop: Loop,
        endpoint: Endpoint,
        request: HttpRequest,
        owner: Owner,
        ledger: Ledger,
    ) -> None:
        super().__init__(loop, endpoint, Http1Codec(request), owner, ledger)
        self._mapped = MappedRequest(request)

    def transmit(self, slot: Slot) -> None:
        """Send the slot's request; see `Connection.transmit`."""
        if not self.codec.reusable:
            return self._owner.submit(slot)
        self.codec.begin(slot)
        mapped = self._mapped
        mapped.memory[mapped.ids_at] = slot.ids
        slot.sent_ns = perf_counter_ns()
        try:
            sent = sendfile(self._descriptor, mapped.file, 0, mapped.size)
        except OSError as error:
            return self._refused(slot, error)
        if sent < mapped.size:
            self._partly_sent(slot, sent)

    def _refused(self, slot: Slot, error: OSError) -> None:
        if isinstance(error, BlockingIOError):
            self._partly_sent(slot, 0)
        else:
            self._cannot_send()

    def _partly_sent(self, slot: Slot, sent: int) -> None:
        self._outbox.append((slot, []))
        self._wait_to_write(slot, self._mapped.rest(sent))

    def bind(self, slot: Slot) -> None:
        """Let the slot send through this connection, and read its replies the short way."""
        super().bind(slot)
        self._reader = self._cycle(slot)
        self._loop.change(self._descriptor, self._reader, READABLE | EDGE)

    def _cycle(self, slot: Slot) -> Handler:
        """A reader for the one slot of this connection: the whole hot path in one closure.

        It does what `_readable`, `Ledger.finished`, `Ledger.start` and `transmit` do, for a reply
        that comes whole, in one read, with a plausible stamp; all else it leaves to them. The
        calls and look-ups that it saves are a tenth of what a request costs.
        """
        recvmsg, codec, ledger = self._recvmsg, self.codec, self._ledger
        feed, draw = codec.feed, ledger.draw
        descriptor, file, size = self._descriptor, self._mapped.file, self._mapped.size
        memory, ids_at = self._mapped.memory, self._mapped.ids_at

        def readable(events: int) -> None:
            try:
                data, ancillary, _, _ = recvmsg(READ_SIZE, ANCILLARY_SIZE)
                wall_ns, now_ns = time_ns(), perf_counter_ns()
                if not data:
                    return self._end_of_file()
                feed(data)
            except (OSError, HttpParserError) as error:
                return self._broken(error)
            seconds, ns = timespec(ancillary[0][2]) if ancillary else (0, 0)
            arrived_ns = now_ns - wall_ns + seconds * 1_000_000_000 + ns
            done_ns = perf_counter_ns()
            whole = codec.completed == 1 and codec.open and not codec.kept and len(data) <= SHORT
            more = ledger.started < ledger.most and done_ns < ledger.until_ns
            plausible = slot.sent_ns <= arrived_ns <= done_ns
            if not (whole and more and plausible and codec.reusable and events == READABLE):
                return self._after_feeding(events, data, arrived_ns, now_ns)
            ledger.rows.append((slot.ids, slot.scheduled_ns, slot.connect_ns, slot.ready_ns, slot.sent_ns, slot.first_byte_ns or arrived_ns, arrived_ns, done_ns, slot.write_lag_ns, _KERNEL, None, (data,), ""))  # fmt: skip # noqa: E501 - a line a field would bury the path
            ledger.started += 1
            ledger.heard_ns = slot.scheduled_ns = slot.ready_ns = done_ns
            slot.ids = memory[ids_at] = draw()
            slot.connect_ns = slot.first_byte_ns = slot.write_lag_ns = 0
            codec.completed = 0
            slot.sent_ns = perf_counter_ns()
            try:
                sent = sendfile(descriptor, file, 0, size)
            except OSError as error:
                return self._refused(slot, error)
            if sent < size:
                self._partly_sent(slot, sent)

        return readable

    def _broken(self, error: OSError | HttpParserError) -> None:
        if isinstance(error, OSError):
            self._cannot_read(error)
        else:
            self.close(f"not HTTP/1.1: {error}")

    def _after_feeding(self, events: int, data: bytes, arrived_ns: int, read_ns: int) -> None:
        """The general road, for bytes that the parser has had already."""
        if events != READABLE or len(data) == READ_SIZE:
            # There may be more to read, or the end: let the loop tell as long as there is.
            self._loop.change(self._descriptor, self._reader, READABLE)
        try:
            touched = self.codec.fed(data)
        except ProtocolError as error:
            return self.close(str(error))
        self._settle(touched, arrived_ns, read_ns, perf_counter_ns())

    def close(self, reason: str) -> None:
        """Close at once, and give the mapping back."""
        super().close(reason)
        self._mapped.close()
