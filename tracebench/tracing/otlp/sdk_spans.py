"""Convert the SDK's spans to the common record."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from opentelemetry.sdk.trace import Event as SdkEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    SpanContext,
    StatusCode,
    format_span_id,
    format_trace_id,
)
from opentelemetry.trace import Link as SdkLink

from tracebench.model.record.span import NOTHING, Attributes, Event, Kind, Link, Span

# The context of an ended span.


def context_of(span: ReadableSpan) -> SpanContext:
    """The span's context; the SDK's types allow a span to be built without one."""
    return span.get_span_context() or INVALID_SPAN_CONTEXT


# Convert the SDK's spans to the common record.

_PARENT_IS_REMOTE, _PARENT_IS_LOCAL = 0x300, 0x100


def from_sdk(span: ReadableSpan) -> Span:
    """Convert an ended span."""
    context = context_of(span)
    return Span(
        trace_id=format_trace_id(context.trace_id),
        span_id=format_span_id(context.span_id),
        parent_id=format_span_id(span.parent.span_id) if span.parent else "",
        name=span.name,
        kind=cast("Kind", span.kind.name),
        start_ns=span.start_time or 0,
        end_ns=span.end_time or 0,
        attributes=_attributes(span.attributes),
        events=tuple(map(_event, span.events)),
        links=tuple(map(_link, span.links)),
        resource=_attributes(span.resource.attributes),
        scope=span.instrumentation_scope.name if span.instrumentation_scope else "",
        failed=span.status.status_code is StatusCode.ERROR,
        flags=_PARENT_IS_REMOTE if span.parent and span.parent.is_remote else _PARENT_IS_LOCAL,
        message=span.status.description or "",
    )


def _attributes(attributes: Mapping[str, object] | None) -> Attributes:
    """Attributes as they are: OTLP allows every type that the SDK does."""
    return MappingProxyType(cast("dict[str, str]", dict(attributes))) if attributes else NOTHING


def _event(event: SdkEvent) -> Event:
    return Event(event.name, event.timestamp, _attributes(event.attributes))


def _link(link: SdkLink) -> Link:
    return Link(format_trace_id(link.context.trace_id), format_span_id(link.context.span_id))
