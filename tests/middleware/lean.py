"""Lean spans, and the SDK's own that they are compared with."""

from typing import Any

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState

from server_middleware.spans.api_tracer import Tracer
from server_middleware.spans.configured_tracer import tracer_of
from server_middleware.spans.lean_tracer import LeanTracer
from tests.middleware.span_samples import PARENT_ID, TRACE_ID

START_NS, END_NS, OWN_ID = 1_000, 2_000, 0x1234
ABOVE = SpanContext(TRACE_ID, PARENT_ID, True, TraceFlags(0x01), TraceState([("vendor", "x")]))
LINK = trace.Link(SpanContext(TRACE_ID, 7, False))


class OneId(RandomIdGenerator):
    def generate_span_id(self) -> int:
        return OWN_ID


class Started(SpanProcessor):
    """Sees what processors see when a span begins."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self.ending: list[tuple[str, bool]] = []

    def on_start(self, span: Any, parent_context: otel.Context | None = None) -> None:
        self.seen.append((span.name, span.kind, dict(span.attributes), span.parent, parent_context))
        span.set_attribute("said", "at the start")

    def _on_ending(self, span: Any) -> None:
        self.ending.append((span.name, span.is_recording()))


def provider_of(exporter: InMemorySpanExporter, **options: Any) -> TracerProvider:
    resource = Resource({"service.name": "model"})
    provider = TracerProvider(id_generator=OneId(), resource=resource, **options)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def lean(provider: TracerProvider) -> LeanTracer:
    tracer = tracer_of(provider)
    assert isinstance(tracer, LeanTracer)
    return tracer


def begun_both(lean_tracer: Tracer, sdk: trace.Tracer, kind: SpanKind) -> list[trace.Span]:
    """A lean span and one of the SDK's, begun alike."""
    above = trace.NonRecordingSpan(ABOVE)
    context = trace.set_span_in_context(above, otel.Context())
    if kind is SpanKind.SERVER:
        said: dict[str, Any] = {"url.path": "/predict", "server.port": 80}
        return [
            lean_tracer.begin_server(context, "POST", START_NS, dict(said)),
            sdk.start_span("POST", context, kind, said, start_time=START_NS),
        ]
    said, links = {"tracebench.component": "inference"}, [LINK]
    return [
        lean_tracer.begin_component(above, "inference", START_NS, context, links),
        sdk.start_span("inference", context, kind, said, links, START_NS),
    ]
