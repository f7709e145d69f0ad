"""The only sink: joins client and server spans by trace id, and splits each request's time."""

from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tracebench.analysis.closure.decomposition import decompose
from tracebench.model.record.exchange import Decomposition, Exchange, Timing, Undecomposed
from tracebench.model.record.requests import Requests
from tracebench.model.record.server_times import ServerTimes
from tracebench.model.record.span import Span
from tracebench.model.record.span_columns import Spans
from tracebench.tracing.join.join import Source, join
from tracebench.tracing.join.server_spans import KeptSpans
from tracebench.tracing.mapping.mapper import Mapper
from tracebench.tracing.otlp.sdk_spans import from_sdk
from tracebench.tracing.roots import read_back
from tracebench.tracing.slow_notice import once_long

_SOURCES: Final[tuple[Source, ...]] = ("otlp", "backend")
"""Sources in order of preference."""


class JoiningExporter(SpanExporter):
    """Takes spans from any provider, and exchanges in bulk; returns a decomposition.

    Server spans may arrive before or after their root span; all are kept until the end. A request
    counts once, by its trace id, however often and by whichever way it arrives, and a server's
    spans take precedence over its mirror. Create one exporter per target.

    Args:
        mapper: maps spans to components; None: one with the built-in profiles.
    """

    def __init__(self, mapper: Mapper | None = None) -> None:
        self._mapper = mapper or Mapper()
        self._records: list[tuple[Requests, ServerTimes]] = []
        self._requests: dict[str, tuple[Exchange, Timing | Undecomposed]] = {}
        self._spans = {source: KeptSpans() for source in _SOURCES}
        self._lock = Lock()

    def add(self, requests: Requests, times: ServerTimes) -> None:
        """Take requests directly, without making a span for each.

        Args:
            requests: the record of a run.
            times: the mirror's timings of each.
        """
        with self._lock:
            self._records.append((requests, times))

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take ended spans: our root spans, and whatever else was traced."""
        records = [from_sdk(span) for span in spans]
        found = [root for record in records if (root := read_back.read(record)) is not None]
        with self._lock:
            self._requests |= {one.exchange.trace_id: (one.exchange, one.mirror) for one in found}
        self.take(records)
        return SpanExportResult.SUCCESS

    def take(self, spans: Iterable[Span] | Spans, source: Source = "otlp") -> None:
        """Take server spans; root spans are skipped, since they arrive by `export` or `add`.

        Args:
            spans: in any order, one by one or in columns; duplicates count once.
            source: whether the server sent them, or they were read from a trace backend.
        """
        with self._lock:
            if isinstance(spans, Spans):
                self._spans[source].take(spans.take(~spans.such(read_back.is_root)))
                return
            for span in spans:
                if not read_back.is_root(span):
                    self._spans[source].add(span)

    def decomposition(
        self, on_wait: Callable[[str], object] = lambda for_what: None
    ) -> Decomposition:
        """Join and decompose everything received so far.

        Args:
            on_wait: called from time to time with how much has been joined.
        """
        return decompose(*self.joined(on_wait))

    def joined(
        self, on_wait: Callable[[str], object] = lambda for_what: None
    ) -> tuple[Requests, ServerTimes]:
        """Join what has come so far: every request, and what its server said of it.

        Args:
            on_wait: as for `decomposition`.
        """
        tell = once_long(on_wait)
        with self._lock:
            requests, times = self._record()

            def told(done: int) -> None:
                tell(f"joining spans: {done:,} of {len(requests):,} requests")

            return requests, join(requests, times, self._spans, self._mapper, told)

    def _record(self) -> tuple[Requests, ServerTimes]:
        """All requests, each once."""
        if len(self._records) == 1 and not self._requests:
            return self._records[0]
        told: dict[str, tuple[Exchange, Timing | Undecomposed]] = {}
        for requests, times in self._records:
            told |= {
                one.trace_id: (one, timing) for one, timing in zip(requests, times, strict=True)
            }
        told |= self._requests
        exchanges, timings = zip(*told.values(), strict=True) if told else ((), ())
        return Requests.of(exchanges), ServerTimes.of(timings)
