"""Spans of requests and components, by whatever tracer of OpenTelemetry's API there is."""

from collections.abc import Mapping, Sequence

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.util.types import AttributeValue

from server_middleware.vocabulary import COMPONENT_ATTRIBUTE


class Tracer:
    """Begins spans.

    Args:
        tracer: which makes them.
    """

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def begin_server(
        self, context: otel.Context, name: str, start_ns: int, attributes: dict[str, AttributeValue]
    ) -> trace.Span:
        """Begin the span of a request, as the sampler decides.

        Args:
            context: in which the caller's span is current.
            name: of the span.
            start_ns: since the epoch.
            attributes: of the span, which takes them over.
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
            parent: the recorded span around it.
            name: of the component.
            start_ns: since the epoch.
            context: what is current; it need not be the parent that is.
            links: to the spans that it also works for.
        """
        around, attributes = trace.set_span_in_context(parent, context), {COMPONENT_ATTRIBUTE: name}
        return self._tracer.start_span(
            name, around, attributes=attributes, links=links, start_time=start_ns
        )

    def describe(self, span: trace.Span, attributes: Mapping[str, AttributeValue]) -> None:
        """Add what has become known of a request to its span.

        Args:
            span: which this began.
            attributes: few, with names and values that need no check.
        """
        span.set_attributes(attributes)
