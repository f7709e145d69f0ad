"""The only sink: joins client and server spans by trace id, and splits each request's time."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from threading import Lock

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import format_trace_id

from tracebench.analysis.attribution import attribute
from tracebench.analysis.closure import decompose
from tracebench.model.exchange import Decomposition, Exchange, ServerSpan, Timing, Undecomposed
from tracebench.tracing import roots
from tracebench.tracing.server_spans import Recorded, recorded
from tracebench.tracing.span_context import context_of


class JoiningExporter(SpanExporter):
    """Takes spans through any provider, and exchanges in bulk; answers with a decomposition.

    Server spans may arrive before their root span or after it; all are kept until the end. A
    request counts once, by its trace id, however often and through whichever door it comes, and
    a server's spans are believed before its mirror. Make one exporter for each target.
    """

    def __init__(self) -> None:
        self._requests: dict[str, tuple[Exchange, Timing | Undecomposed]] = {}
        self._recorded: defaultdict[str, list[Recorded]] = defaultdict(list)
        self._lock = Lock()

    def add(self, exchanges: Iterable[Exchange], timings: Iterable[Timing | Undecomposed]) -> None:
        """Take requests without the detour of a span each.

        Args:
            exchanges: in order of completion.
            timings: what the mirror said of each.
        """
        pairs = zip(exchanges, timings, strict=True)
        with self._lock:
            self._requests.update((pair[0].trace_id, pair) for pair in pairs)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take ended spans: our root spans, and whatever else was traced."""
        with self._lock:
            for span in spans:
                if root := roots.read(span):
                    self._requests[root.exchange.trace_id] = root
                else:
                    self._record(span)
        return SpanExportResult.SUCCESS

    def _record(self, span: ReadableSpan) -> None:
        """File a span under its own trace, and under those that it is linked to."""
        one = recorded(span)
        traces = {context_of(span).trace_id}
        traces.update(link.context.trace_id for link in span.links)
        for trace_id in traces:
            self._recorded[format_trace_id(trace_id)].append(one)

    def decomposition(self) -> Decomposition:
        """Join and decompose what has come so far."""
        with self._lock:
            pairs = list(self._requests.values())
            timings = [self._timing(exchange, mirror) for exchange, mirror in pairs]
        return decompose([exchange for exchange, _ in pairs], timings)

    def _timing(self, exchange: Exchange, mirror: Timing | Undecomposed) -> Timing | Undecomposed:
        spans = self._recorded.get(exchange.trace_id, ())
        entry = _entry(spans, exchange.span_id)
        if entry is None:
            return mirror
        return attribute(entry, [one.span for one in spans])


def _entry(spans: Iterable[Recorded], root_id: str) -> ServerSpan | None:
    """The child of our root span; among several a SERVER span, and the one that began first."""
    children = [one for one in spans if one.span.parent_id == root_id]
    if not children:
        return None
    return min(children, key=lambda one: (not one.is_server, one.span.start_ns)).span
