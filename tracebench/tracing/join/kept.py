"""Spans that servers recorded, kept until all have come: in columns, where they fit into them."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

import numpy as np

from tracebench.model.span import Span
from tracebench.model.span_columns import Spans, SpanTable, TraceIndex, is_trace_id, together
from tracebench.tracing.join.server_spans import ServerSpans
from tracebench.tracing.mapping.precedence import Trust, by_service

_ROWS: Final = 65_536


class KeptSpans:
    """Spans of one source, in the order in which they came."""

    def __init__(self) -> None:
        self._records: list[Spans] = []
        self._table = SpanTable()
        self.others: list[Span] = []
        """Those that do not fit: their ids are no hexadecimal digits, or their times beyond 63
        bits."""

    def add(self, span: Span) -> None:
        """Keep a span."""
        if not self._table.add(span):
            self.others.append(span)
        if len(self._table) >= _ROWS:
            self._settle()

    def take(self, spans: Spans) -> None:
        """Keep many."""
        self._settle()
        self._records.append(spans)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.others or len(self._table) or any(map(len, self._records)))

    def __iter__(self) -> Iterator[Span]:
        """Views of all, made one by one."""
        self._settle()
        return chain(*self._records, self.others)

    def columns(self) -> Spans:
        """All but the others."""
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
        """What `by_service` makes of all."""
        spans = self.columns()
        used = np.unique(spans.said).tolist()
        return by_service(chain((spans.templates[number] for number in used), self.others))

    def _settle(self) -> None:
        if len(self._table):
            self._records.append(self._table.finished())
            self._table = SpanTable()
