"""A request in a memory-mapped file, sent by reference.

`sendfile` from such a file hands pages to the socket instead of copying the body into it. With
24 KB bodies on loopback the copy is 13 % of what a request costs; the one line that changes is
written into the mapping. `benchmarks/rest_speed.py` shows the difference.
"""

import mmap
import os
from collections.abc import Sequence
from itertools import accumulate
from os import sendfile
from time import perf_counter_ns

from tracebench.load.codec import ProtocolError
from tracebench.load.connection import READ_SIZE, Connection, Owner
from tracebench.load.endpoint import Endpoint
from tracebench.load.http1 import Http1Codec, HttpRequest
from tracebench.load.ledger import Ledger
from tracebench.load.loop import EDGE, READABLE, Handler, Loop
from tracebench.load.shape import Match, shape, unknown
from tracebench.load.slot import Slot
from tracebench.load.stamps import ANCILLARY_SIZE, timespec
from tracebench.model.exchange import Stamp

LARGEST = 1 << 20
"""Bytes of all requests; each connection maps a copy of its own, so larger ones are copied."""
MOST = 256
"""Requests; laying them out takes each new connection 0.7 µs a request, and their copy."""
IDS = 49
MOST_SHAPES = 8
"""So many kinds of replies are learnt on a connection; then the server is known to vary them."""


Part = tuple[int, int, slice]
"""Of a request: where it starts, its size, and where its ids are."""


class MappedRequests:
    """One connection's copies of its requests, one after the other in one file.

    The ids of one may be changed once the last was answered.
    """

    def __init__(self, requests: Sequence[HttpRequest]) -> None:
        contents = [one.head + bytes(IDS) + one.tail + one.body for one in requests]
        starts = [0, *accumulate(map(len, contents))]
        self.parts: list[Part] = []
        for start, content, one in zip(starts, contents, requests, strict=False):
            ids_at = start + len(one.head)
            self.parts.append((start, len(content), slice(ids_at, ids_at + IDS)))
        self.file = os.memfd_create("tracebench-request")
        os.truncate(self.file, starts[-1])
        self._memory = mmap.mmap(self.file, starts[-1])
        self._memory[:] = b"".join(contents)
        self.memory = memoryview(self._memory)

    @staticmethod
    def possible(requests: Sequence[HttpRequest]) -> bool:
        """Whether this system can, and the requests are of a size for it."""
        size = sum(len(one.head) + len(one.body) for one in requests)
        return hasattr(os, "memfd_create") and size <= LARGEST and len(requests) <= MOST

    def rest(self, variant: int, sent: int) -> bytes:
        """What is left of a request after `sent` bytes."""
        start, size, _ = self.parts[variant]
        return bytes(self.memory[start + sent : start + size])

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
        requests: Sequence[HttpRequest],
        owner: Owner,
        ledger: Ledger,
    ) -> None:
        super().__init__(loop, endpoint, Http1Codec(*requests), owner, ledger)
        self._mapped = MappedRequests(requests)
        self._alike: Match = unknown
        self._shapes = 0

    def transmit(self, slot: Slot) -> None:
        """Send the slot's request; see `Connection.transmit`."""
        if not self.codec.reusable:
            return self._owner.submit(slot)
        self.codec.begin(slot)
        start, size, ids_at = self._mapped.parts[slot.variant]
        self._mapped.memory[ids_at] = slot.ids
        slot.sent_ns = perf_counter_ns()
        try:
            sent = sendfile(self._descriptor, self._mapped.file, start, size)
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
        self._outbox.append((slot, []))
        self._wait_to_write(slot, self._mapped.rest(slot.variant, sent))

    def bind(self, slot: Slot) -> None:
        """Let the slot send through this connection, and read its replies the short way."""
        super().bind(slot)
        self._reader = self._cycle(slot)
        self._loop.change(self._descriptor, self._reader, READABLE | EDGE)

    def _cycle(self, slot: Slot) -> Handler:
        """A reader for the one slot of this connection: the whole hot path in one closure.

        It does what `_readable`, `Ledger.finished` and `transmit` do, for a reply of a known shape
        in one read, where the slot goes on at once; all else it leaves to them. The calls and
        look-ups that it saves are a sixth of what a request costs.
        """
        recvmsg, codec, ledger, loop = self._recvmsg, self.codec, self._ledger, self._loop
        draw, descriptor, mapped = ledger.draw, self._descriptor, self._mapped
        (start, size, ids_at), file, memory = mapped.parts[0], mapped.file, mapped.memory

        def readable(events: int) -> None:
            try:
                data, ancillary, _, _ = recvmsg(READ_SIZE, ANCILLARY_SIZE)
            except OSError as error:
                return self._cannot_read(error)
            known = self._alike(data)
            done_ns = perf_counter_ns()
            seconds, ns = timespec(ancillary[0][2]) if ancillary else (0, 0)
            arrived_ns = seconds * 1_000_000_000 + ns - loop.epoch_ns
            if (
                known is None
                or events != READABLE
                or not slot.sent_ns <= arrived_ns <= done_ns
                or codec.kept
                or not (codec.open and codec.reusable)
                or slot.connect_ns
                or slot.write_lag_ns
                or not (ledger.started < ledger.most_started and done_ns < ledger.until_ns)
            ):
                return self._take(events, data, arrived_ns, done_ns)
            if ledger.choose is not None:
                return self._turn(slot, data, arrived_ns, done_ns)
            row = (slot.ids, slot.scheduled_ns, slot.sent_ns, arrived_ns, done_ns, data)
            ledger.rows.append(row)
            ledger.started += 1
            ledger.heard_ns = slot.scheduled_ns = slot.ready_ns = done_ns
            slot.ids = memory[ids_at] = draw()
            slot.sent_ns = perf_counter_ns()
            try:
                if (sent := sendfile(descriptor, file, start, size)) < size:
                    self._partly_sent(slot, sent)
            except OSError as error:
                self._refused(slot, error)

        return readable

    def _turn(self, slot: Slot, data: bytes, arrived_ns: int, done_ns: int) -> None:
        """Go on to another of several requests."""
        ledger = self._ledger
        slot.reply, slot.first_byte_ns = (data,), arrived_ns
        ledger.write(slot, arrived_ns, done_ns, Stamp.KERNEL, None)
        ledger.heard_ns = done_ns
        ledger.start(slot, done_ns, done_ns)

    def _take(self, events: int, data: bytes, arrived_ns: int, read_ns: int) -> None:
        """The general road, for bytes that have been read."""
        if not data:
            return self._end_of_file()
        if events != READABLE or len(data) == READ_SIZE:
            # There may be more to read, or the end: let the loop tell as long as there is.
            self._loop.change(self._descriptor, self._reader, READABLE)
        try:
            touched = self.codec.receive(data)
        except ProtocolError as error:
            return self.close(str(error))
        if self._shapes < MOST_SHAPES and self.codec.reusable and touched[0].reply == (data,):
            self._shapes += 1
            self._alike = shape(data) or unknown
        self._settle(touched, arrived_ns, read_ns, perf_counter_ns())

    def close(self, reason: str) -> None:
        """Close at once, and give the mapping back."""
        super().close(reason)
        self._mapped.close()
