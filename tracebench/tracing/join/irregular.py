"""Requests joined one by one: their spans have links, or do not fit into columns."""

from itertools import chain

import numpy as np

from tracebench.model.record.columns import Int64
from tracebench.model.record.span import Span
from tracebench.model.record.span_columns import TraceIndex, is_trace_id
from tracebench.tracing.join.server_spans import KeptSpans, ServerSpans


class Oddities:
    """Finds irregular requests, and provides the spans of given ones.

    Args:
        index: finds requests by their trace ids.
        kept: all spans.
        rows: the request of each span in columns; −1 if it has none.
    """

    def __init__(self, index: TraceIndex, kept: KeptSpans, rows: Int64) -> None:
        self._spans, self._others, self._rows = kept.columns(), kept.others, rows
        self.is_odd = np.full(len(index), not index.is_unique)
        self._always = np.full(len(rows), not index.is_unique)
        """Spans that belong in every store."""
        linking = [*self._spans.linking(), *self._others]
        traces = TraceIndex.of(_usable({span.trace_id for span in linking}))
        if len(traces):
            self._always |= traces.places(self._spans.trace_high, self._spans.trace_low) >= 0
        linked = chain.from_iterable((one.trace_id for one in span.links) for span in linking)
        touched = index.find(_usable({span.trace_id for span in linking}.union(linked)))
        self.is_odd[touched[touched >= 0]] = True
        self._shared: ServerSpans | None = None

    def store(self, requests: Int64) -> ServerSpans:
        """A store with the spans of these requests, given by row, and everything linked to them."""
        wanted = np.zeros(len(self.is_odd) + 1, np.bool_)
        wanted[requests] = True
        ours = wanted[self._rows] & ~self._always
        store = self._with_shared()
        for span in self._spans.take(ours):
            store.add(span)
        return store

    def _with_shared(self) -> ServerSpans:
        """A store with the spans that all requests share; cached if there are any."""
        if self._shared is not None:
            return self._shared
        store = _stored(chain(self._spans.take(self._always), self._others))
        if store:
            self._shared = store
        return store


def _stored(spans: "chain[Span]") -> ServerSpans:
    store = ServerSpans()
    for span in spans:
        store.add(span)
    return store


def _usable(trace_ids: set[str]) -> list[str]:
    return sorted(filter(is_trace_id, trace_ids))
