"""Spans that servers record, as the attribution wants them."""

from typing import NamedTuple

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, format_span_id

from tracebench.model.exchange import ServerSpan
from tracebench.tracing.span_context import context_of
from tracebench.vocabulary import COMPONENT_ATTRIBUTE, SERVER_PARTS


class Recorded(NamedTuple):
    """A span that is not one of our roots."""

    span: ServerSpan
    is_server: bool


def recorded(span: ReadableSpan) -> Recorded:
    """Reduce a span to what a decomposition needs of it."""
    return Recorded(
        ServerSpan(
            span_id=format_span_id(context_of(span).span_id),
            parent_id=format_span_id(span.parent.span_id) if span.parent else "",
            name=span.name,
            start_ns=span.start_time or 0,
            end_ns=span.end_time or 0,
            component=_component(span),
            links=tuple(format_span_id(link.context.span_id) for link in span.links),
        ),
        span.kind is SpanKind.SERVER,
    )


def _component(span: ReadableSpan) -> str | None:
    """What the span says it is; else its name, where that is one of ours."""
    said = (span.attributes or {}).get(COMPONENT_ATTRIBUTE)
    if said is not None:
        return str(said)
    return span.name if span.name in SERVER_PARTS else None
