"""Client root spans, read back: an archive of spans can be analysed again."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.semconv.attributes.http_attributes import HTTP_RESPONSE_STATUS_CODE
from opentelemetry.trace import format_span_id, format_trace_id

from tracebench.model.exchange import Exchange, Outcome, Reply, Stamp, Timing, Undecomposed
from tracebench.tracing import attributes as names
from tracebench.tracing.span_context import context_of
from tracebench.vocabulary import SERVER_PROCESSING


class Root(NamedTuple):
    """A request as its root span tells it."""

    exchange: Exchange
    """Its times are epoch times; of its reply only the status is known."""
    mirror: Timing | Undecomposed


def read(span: ReadableSpan) -> Root | None:
    """Read what `spans.export` wrote; None for any other span."""
    attributes: Mapping[str, Any] = span.attributes or {}
    if names.OUTCOME not in attributes:
        return None
    return Root(_exchange(span, attributes), _mirror(attributes))


def _exchange(span: ReadableSpan, attributes: Mapping[str, Any]) -> Exchange:
    context = context_of(span)
    reached_ns = {event.name: event.timestamp for event in span.events}
    status = attributes.get(HTTP_RESPONSE_STATUS_CODE, attributes.get(names.RPC_STATUS, ""))
    return Exchange(
        trace_id=format_trace_id(context.trace_id),
        span_id=format_span_id(context.span_id),
        scheduled_ns=span.start_time or 0,
        connect_ns=attributes[names.CONNECT_NS],
        ready_ns=reached_ns.get(names.READY, 0),
        sent_ns=reached_ns.get(names.SENT, 0),
        first_byte_ns=reached_ns.get(names.FIRST_BYTE, 0),
        arrived_ns=reached_ns.get(names.ARRIVED, 0),
        done_ns=span.end_time or 0,
        write_lag_ns=attributes[names.WRITE_LAG_NS],
        outcome=Outcome(attributes[names.OUTCOME]),
        stamp=Stamp(attributes[names.STAMP]),
        reply=Reply(str(status), {}, b""),
        reason=span.status.description or "",
    )


def _mirror(attributes: Mapping[str, Any]) -> Timing | Undecomposed:
    if problem := attributes.get(names.MIRROR_PROBLEM):
        return Undecomposed[problem]
    parts_ns = {
        key.removeprefix(names.MIRROR_NS): ns
        for key, ns in attributes.items()
        if key.startswith(names.MIRROR_NS)
    }
    if not parts_ns:
        return Undecomposed.NO_TIMING
    total_ns = parts_ns.pop(SERVER_PROCESSING)
    return Timing(total_ns, parts_ns, "mirror", attributes[names.MIRROR_SCALED])
