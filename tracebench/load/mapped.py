"""A request in a memory-mapped file, sent by reference.

`sendfile` from such a file hands pages to the socket instead of copying the body into it. With
24 KB bodies on loopback the copy is 13 % of what a request costs; the one line that changes is
written into the mapping. `benchmarks/rest_speed.py` shows the difference.
"""

import mmap
import os
from os import sendfile
from time import perf_counter_ns

from tracebench.load.connection import Connection, Finished, Owner
from tracebench.load.endpoint import Endpoint
from tracebench.load.http1 import Http1Codec, HttpRequest
from tracebench.load.loop import Loop
from tracebench.load.slot import Slot

LARGEST = 1 << 20
"""Bytes; each connection maps a copy of its own, so larger requests are copied instead."""
IDS = 49


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
        finished: Finished,
    ) -> None:
        super().__init__(loop, endpoint, Http1Codec(request), owner, finished)
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
        except BlockingIOError:
            sent = 0
        except OSError:
            return self._cannot_send()
        if sent < mapped.size:
            self._outbox.append((slot, []))
            self._wait_to_write(slot, mapped.rest(sent))

    def close(self, reason: str) -> None:
        """Close at once, and give the mapping back."""
        super().close(reason)
        self._mapped.close()
