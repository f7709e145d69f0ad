"""From requests as bytes to spans in columns: in the receiver's process, when the load is over."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from tracebench.model.columns import Int64
from tracebench.model.span_columns import Spans, SpanTable
from tracebench.tracing.otlp.read_json import read_json
from tracebench.tracing.otlp.read_protobuf import read_into
from tracebench.tracing.receiver.store import Batch


class Digest(NamedTuple):
    """The spans of some batches."""

    spans: Spans
    counts: Int64
    """How many spans each batch gave."""
    arrivals_ns: Int64
    """When each came, on the monotonic clock."""
    size_bytes: int
    """Of the batches as they came."""
    dropped: int
    """Spans of batches for which there was no room."""


def digest(batches: Iterable[Batch], room_bytes: int) -> Digest:
    """Read batches, each span once.

    Args:
        batches: were checked.
        room_bytes: what may be kept; batches beyond it are dropped.
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
