"""Spans recorded by servers, kept until all have arrived; in columns if they fit."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final

import numpy as np

from tracebench.model.record.span import Span
from tracebench.model.record.span_columns import Spans, SpanTable, TraceIndex, is_trace_id, together
from tracebench.tracing.mapping.precedence import Trust, by_service

# Spans recorded by servers, kept until all have arrived, and retrieved by request.


class ServerSpans:
    """Spans by trace: those of the trace itself, and those of other traces that link to it."""

    def __init__(self) -> None:
        self._of_trace: defaultdict[str, list[Span]] = defaultdict(list)
        self._linked_to: defaultdict[str, list[Span]] = defaultdict(list)
        self._below: dict[str, defaultdict[str, list[Span]]] = {}

    def add(self, span: Span) -> None:
        """File a span under its own trace, and under those that it links to."""
        self._of_trace[span.trace_id].append(span)
        self._below.pop(span.trace_id, None)
        for trace_id in {link.trace_id for link in span.links} - {span.trace_id}:
            self._linked_to[trace_id].append(span)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._of_trace)

    def __iter__(self) -> Iterator[Span]:
        """Every span, as often as it arrived."""
        return chain.from_iterable(self._of_trace.values())

    def traces(self) -> list[str]:
        """The traces that have spans; those with spans that link to other traces come last."""
        batches = {span.trace_id for linked in self._linked_to.values() for span in linked}
        return sorted(self._of_trace, key=batches.__contains__)

    def of(self, trace_id: str) -> list[Span]:
        """The spans that belong to a request, each once, in order of arrival.

        A span of another trace that links to it belongs to it, with everything below: a batch span
        works for each request that it links to, although it can be the child of only one.
        """
        found = {span.span_id: span for span in self._of_trace.get(trace_id, ())}
        for batch in self._linked_to.get(trace_id, ()):
            for span in self._subtree(batch):
                found.setdefault(span.span_id, span)
        return list(found.values())

    def _subtree(self, top: Span) -> Iterator[Span]:
        children = self._children(top.trace_id)
        to_visit, seen = deque([top]), {top.span_id}
        while to_visit:
            span = to_visit.popleft()
            yield span
            below = [one for one in children.get(span.span_id, ()) if one.span_id not in seen]
            seen.update(one.span_id for one in below)
            to_visit.extend(below)

    def _children(self, trace_id: str) -> Mapping[str, list[Span]]:
        """Parent → children; cached, because a worker may put all its batches into one trace."""
        if trace_id not in self._below:
            below = self._below[trace_id] = defaultdict(list)
            for span in self._of_trace[trace_id]:
                below[span.parent_id].append(span)
        return self._below[trace_id]


def entry_of(spans: Iterable[Span], root_id: str) -> Span | None:
    """The child of our root span; if there are several, the first SERVER span, else the first.

    Its parent must be known: a span whose parent is merely remote (bit 0x200 of its flags) may be
    the child of a service in between.
    """
    children = [span for span in spans if span.parent_id == root_id]
    return min(children, key=lambda span: (span.kind != "SERVER", span.start_ns), default=None)


# Spans recorded by servers, kept until all have arrived; in columns if they fit.

_ROWS: Final = 65_536


class KeptSpans:
    """Spans of one source, in order of arrival."""

    def __init__(self) -> None:
        self._records: list[Spans] = []
        self._table = SpanTable()
        self.others: list[Span] = []
        """Spans that do not fit into columns: an id is not hexadecimal, or a time exceeds 63
        bits."""

    def add(self, span: Span) -> None:
        """Keep a span."""
        if not self._table.add(span):
            self.others.append(span)
        if len(self._table) >= _ROWS:
            self._settle()

    def take(self, spans: Spans) -> None:
        """Keep many spans."""
        self._settle()
        self._records.append(spans)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.others or len(self._table) or any(map(len, self._records)))

    def __iter__(self) -> Iterator[Span]:
        """Views of all spans, created one at a time."""
        self._settle()
        return chain(*self._records, self.others)

    def columns(self) -> Spans:
        """All spans but `others`."""
        self._settle()
        self._records = [together(self._records)]
        return self._records[0]

    def of_traces(self, trace_ids: Iterable[str]) -> ServerSpans:
        """The spans of some traces, by trace."""
        wanted, store = set(trace_ids), ServerSpans()
        index, spans = TraceIndex.of(filter(is_trace_id, wanted)), self.columns()
        ours = spans.take(index.places(spans.trace_high, spans.trace_low) >= 0)
        for span in chain(ours, (one for one in self.others if one.trace_id in wanted)):
            store.add(span)
        return store

    def trust(self) -> dict[str, Trust]:
        """The result of `by_service` for all spans."""
        spans = self.columns()
        used = np.unique(spans.said).tolist()
        return by_service(chain((spans.templates[number] for number in used), self.others))

    def _settle(self) -> None:
        if len(self._table):
            self._records.append(self._table.finished())
            self._table = SpanTable()
