"""Spans of requests and components, made by any tracer of OpenTelemetry's API."""

from collections.abc import Mapping, Sequence

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.util.types import AttributeValue

from server_middleware.vocabulary import COMPONENT_ATTRIBUTE


class Tracer:
    """Begins spans.

    Args:
        tracer: makes them.
    """

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def begin_server(
        self, context: otel.Context, name: str, start_ns: int, attributes: dict[str, AttributeValue]
    ) -> trace.Span:
        """Begin the span of a request, as the sampler decides.

        Args:
            context: the context in which the caller's span is current.
            name: the name of the span.
            start_ns: the start, in ns since the epoch.
            attributes: the attributes of the span, which takes ownership of them.
        """
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
        """Begin the span of a component.

        Args:
            parent: the recording span around it.
            name: the name of the component.
            start_ns: the start, in ns since the epoch.
            context: the current one; its span need not be the parent.
            links: to the spans that it also works for.
        """
        around, attributes = trace.set_span_in_context(parent, context), {COMPONENT_ATTRIBUTE: name}
        return self._tracer.start_span(
            name, around, attributes=attributes, links=links, start_time=start_ns
        )

    def describe(self, span: trace.Span, attributes: Mapping[str, AttributeValue]) -> None:
        """Add attributes that have become known to a request's span.

        Args:
            span: a span begun by this tracer.
            attributes: few, with names and values that need no check.
        """
        span.set_attributes(attributes)
