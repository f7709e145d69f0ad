"""The ids of a span that has ended."""

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanContext


def context_of(span: ReadableSpan) -> SpanContext:
    """The span's context; the SDK's types allow a span to be built without one."""
    return span.get_span_context() or INVALID_SPAN_CONTEXT
