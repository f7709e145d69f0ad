"""Spans as OTLP JSON.

It is protobuf's JSON mapping with exceptions: ids are hexadecimal, not base64, and enums are
integers. Going through protobuf's messages takes 220 µs a span, writing it directly 25 µs.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from itertools import groupby
from math import isfinite, isnan
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, format_span_id, format_trace_id

from tracebench.tracing.span_context import context_of

Json = dict[str, Any]
_Scope = InstrumentationScope | None

_KNOWS_REMOTE, _IS_REMOTE = 0x100, 0x200


def request(spans: Sequence[ReadableSpan]) -> Json:
    """An ExportTraceServiceRequest, ready for `json.dumps`."""

    def origin(span: ReadableSpan) -> tuple[Resource, _Scope]:
        return span.resource, span.instrumentation_scope

    groups = groupby(spans, key=origin)
    return {"resourceSpans": [_group(*key, list(group)) for key, group in groups]}


def _group(resource: Resource, scope: _Scope, spans: Sequence[ReadableSpan]) -> Json:
    return {
        "resource": {"attributes": _attributes(resource.attributes)},
        "scopeSpans": [
            {
                "scope": _scope(scope),
                "spans": [_span(span) for span in spans],
                "schemaUrl": (scope and scope.schema_url) or "",
            }
        ],
        "schemaUrl": resource.schema_url,
    }


def _scope(scope: _Scope) -> Json:
    if scope is None:
        return {}
    return {
        "name": scope.name,
        "version": scope.version or "",
        "attributes": _attributes(scope.attributes),
    }


def _span(span: ReadableSpan) -> Json:
    context = context_of(span)
    return {
        "traceId": format_trace_id(context.trace_id),
        "spanId": format_span_id(context.span_id),
        "traceState": context.trace_state.to_header(),
        "parentSpanId": format_span_id(span.parent.span_id) if span.parent else "",
        "flags": _flags(span.parent),
        "name": span.name,
        "kind": span.kind.value + 1,  # OTLP has 0 for "unspecified"
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes(span.attributes),
        "droppedAttributesCount": span.dropped_attributes,
        "events": [_event(event) for event in span.events],
        "droppedEventsCount": span.dropped_events,
        "links": [_link(link) for link in span.links],
        "droppedLinksCount": span.dropped_links,
        "status": _status(span.status),
    }


def _flags(context: SpanContext | None) -> int:
    return _KNOWS_REMOTE | (_IS_REMOTE if context and context.is_remote else 0)


def _status(status: Status) -> Json:
    return {"code": status.status_code.value, "message": status.description or ""}


def _event(event: Event) -> Json:
    return {
        "name": event.name,
        "timeUnixNano": str(event.timestamp),
        "attributes": _attributes(event.attributes),
    }


def _link(link: Link) -> Json:
    return {
        "traceId": format_trace_id(link.context.trace_id),
        "spanId": format_span_id(link.context.span_id),
        "flags": _flags(link.context),
        "attributes": _attributes(link.attributes),
    }


def _attributes(attributes: Mapping[str, Any] | None) -> list[Json]:
    return [{"key": key, "value": _value(value)} for key, value in (attributes or {}).items()]


def _value(value: object) -> Json:
    match value:
        case str():
            return {"stringValue": value}
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": _double(value)}
        case bytes():
            return {"bytesValue": b64encode(value).decode()}
        case Mapping():
            return {"kvlistValue": {"values": _attributes(value)}}
        case Sequence():
            return {"arrayValue": {"values": [_value(item) for item in value]}}
        case _:
            return {}


def _double(value: float) -> float | str:
    """JSON has no numbers for these; protobuf's mapping has strings."""
    if isfinite(value):
        return value
    return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
