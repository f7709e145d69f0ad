"""Requests received but not yet fetched, as bytes, and their conversion to columns."""

from collections import Counter, deque
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np

from tracebench.model.record.columns import Int64
from tracebench.model.record.span_columns import Spans, SpanTable
from tracebench.tracing.otlp.read_json import read_json
from tracebench.tracing.otlp.read_protobuf import read_into
from tracebench.tracing.receiver.settings import Bounds

# Requests received but not yet fetched: bytes, up to a limit, and counts.

Encoding: TypeAlias = Literal["protobuf", "json"]

RECEIVED, REJECTED = "received", "rejected"
FORWARDED, FORWARD_FAILED, FORWARD_WAITING = "forwarded", "forward_failed", "forward_waiting"
SPAN_COUNTS: Final = (RECEIVED, REJECTED, FORWARDED, FORWARD_FAILED, FORWARD_WAITING)
_DIGESTIBLE_BYTES: Final = 4 << 20
"""About 16,000 spans: reading them blocks the event loop."""


class Batch(NamedTuple):
    """One request, checked but not read."""

    encoding: Encoding
    arrived_ns: int
    """On the monotonic clock, which all processes of a machine share."""
    spans: int
    body: bytes


class Store:
    """Keeps batches until they are fetched.

    `counts` has the numbers of spans under SPAN_COUNTS; every other name is the reason why a
    request or a connection was refused.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.counts: Counter[str] = Counter()
        self.problem = ""
        """Why the first of the rejected spans cannot be used."""
        self._bounds = bounds
        self._batches: deque[Batch] = deque()
        self._bytes = self._spans = 0

    def add(self, batch: Batch) -> bool:
        """Keep a batch; False if there is no room for it."""
        kept_bytes = self._bytes + len(batch.body)
        kept_spans = self._spans + batch.spans
        if kept_bytes > self._bounds.kept_bytes or kept_spans > self._bounds.kept_spans:
            return False
        self._bytes, self._spans = kept_bytes, kept_spans
        self._batches.append(batch)
        return True

    def take(self) -> list[Batch]:
        """Hand over the oldest batches, up to a number of bytes, and free their room."""
        taken: list[Batch] = []
        taken_bytes = 0
        while self._batches and taken_bytes < _DIGESTIBLE_BYTES:
            batch = self._batches.popleft()
            taken.append(batch)
            taken_bytes += len(batch.body)
            self._spans -= batch.spans
        self._bytes -= taken_bytes
        return taken


# Conversion of requests to columns of spans: in the receiver's process, after the load.


class Digest(NamedTuple):
    """The spans of some batches."""

    spans: Spans
    counts: Int64
    """How many spans each batch had."""
    arrivals_ns: Int64
    """When each batch arrived, on the monotonic clock."""
    size_bytes: int
    """Size of the batches as received."""
    dropped: int
    """Spans of batches for which there was no room."""


def digest(batches: Iterable[Batch], room_bytes: int) -> Digest:
    """Read batches, each span once.

    Args:
        batches: already checked.
        room_bytes: how much may be kept; batches beyond it are dropped.
    """
    table, counts, arrivals_ns = SpanTable(), list[int](), list[int]()
    size_bytes = dropped = 0
    for batch in batches:
        if size_bytes + len(batch.body) > room_bytes:
            dropped += batch.spans
            continue
        size_bytes += len(batch.body)
        counts.append(_read(table, batch))
        arrivals_ns.append(batch.arrived_ns)
    spans = table.finished()
    return Digest(
        spans, np.array(counts, np.int64), np.array(arrivals_ns, np.int64), size_bytes, dropped
    )


def _read(table: SpanTable, batch: Batch) -> int:
    if batch.encoding == "protobuf":
        return read_into(table, batch.body)
    return sum(map(table.add, read_json(batch.body)))
