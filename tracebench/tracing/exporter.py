"""The only sink: joins client and server spans by trace id, and splits each request's time."""

from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tracebench.analysis.closure import decompose
from tracebench.model.exchange import Decomposition, Exchange, Timing, Undecomposed
from tracebench.model.span import Span
from tracebench.tracing import roots
from tracebench.tracing.joining import Source, join
from tracebench.tracing.mapping.mapper import Mapper
from tracebench.tracing.sdk_spans import from_sdk
from tracebench.tracing.server_spans import ServerSpans

_SOURCES: Final[tuple[Source, ...]] = ("otlp", "backend")
"""Whom to believe, first who is believed first."""


class JoiningExporter(SpanExporter):
    """Takes spans through any provider, and exchanges in bulk; answers with a decomposition.

    Server spans may arrive before their root span or after it; all are kept until the end. A
    request counts once, by its trace id, however often and through whichever door it comes, and
    a server's spans are believed before its mirror. Make one exporter for each target.

    Args:
        mapper: says which spans are which component; None: the built-in profiles.
    """

    def __init__(self, mapper: Mapper | None = None) -> None:
        self._mapper = mapper or Mapper()
        self._requests: dict[str, tuple[Exchange, Timing | Undecomposed]] = {}
        self._spans = {source: ServerSpans() for source in _SOURCES}
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
        records = [from_sdk(span) for span in spans]
        found = [root for record in records if (root := roots.read(record)) is not None]
        self.add([root.exchange for root in found], [root.mirror for root in found])
        self.take(records)
        return SpanExportResult.SUCCESS

    def take(self, spans: Iterable[Span], source: Source = "otlp") -> None:
        """Take server spans; root spans among them are passed over: theirs is another door.

        Args:
            spans: in any order; one that comes twice counts once.
            source: whether the server sent them, or a trace backend was asked for them.
        """
        with self._lock:
            for span in spans:
                if not roots.is_root(span):
                    self._spans[source].add(span)

    def decomposition(self) -> Decomposition:
        """Join and decompose what has come so far."""
        with self._lock:
            pairs = list(self._requests.values())
            kept = {source: spans for source, spans in self._spans.items() if spans}
            timings = [join(exchange, mirror, kept, self._mapper) for exchange, mirror in pairs]
        return decompose([exchange for exchange, _ in pairs], timings)
