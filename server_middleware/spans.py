"""How the spans of requests and components are begun, under the provider that is configured."""

import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Protocol

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.util.types import AttributeValue

from tracebench.vocabulary import COMPONENT_ATTRIBUTE

_NAME: Final = "server_middleware"


class Tracer(Protocol):
    """Begins spans."""

    def begin_server(
        self, context: otel.Context, name: str, start_ns: int, attributes: dict[str, AttributeValue]
    ) -> trace.Span:
        """Begin a request's, below what is current in a context, in ns since the epoch."""

    def begin_component(
        self,
        parent: trace.Span,
        name: str,
        start_ns: int,
        context: otel.Context,
        links: Sequence[trace.Link] = (),
    ) -> trace.Span:
        """Begin a component's, below a recorded span, in ns since the epoch."""


@lru_cache(maxsize=1)
def tracer_of(provider: trace.TracerProvider) -> Tracer | None:
    """What begins spans for a provider: None where nobody configured one."""
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    tracer = provider.get_tracer(_NAME)
    if "opentelemetry.sdk.trace" in sys.modules:
        from server_middleware import lean  # it needs the SDK, which an app may do without

        return lean.tracer_for(tracer, _NAME) or _ApiTracer(tracer)
    return _ApiTracer(tracer)


class _ApiTracer:
    """Any tracer of OpenTelemetry's API."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def begin_server(
        self, context: otel.Context, name: str, start_ns: int, attributes: dict[str, AttributeValue]
    ) -> trace.Span:
        kind = trace.SpanKind.SERVER
        return self._tracer.start_span(name, context, kind, attributes, start_time=start_ns)

    def begin_component(
        self,
        parent: trace.Span,
        name: str,
        start_ns: int,
        context: otel.Context,
        links: Sequence[trace.Link] = (),
    ) -> trace.Span:
        around, attributes = trace.set_span_in_context(parent, context), {COMPONENT_ATTRIBUTE: name}
        return self._tracer.start_span(
            name, around, attributes=attributes, links=links, start_time=start_ns
        )
