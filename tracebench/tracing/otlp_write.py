"""Records → OTLP as JSON: the reverse of otlp_json.py."""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, Final

from tracebench.model.span import Attributes, Span, Value
from tracebench.tracing.otlp_span import KINDS, STATUS_ERROR

_KIND_NUMBERS: Final = {kind: number for number, kind in enumerate(KINDS)}


def request(spans: Iterable[Span]) -> dict[str, Any]:
    """One ExportTraceServiceRequest; neighbours of one origin stand together."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource)},
                "scopeSpans": [{"scope": {"name": scope}, "spans": list(map(_span, together))}],
            }
            for (resource, scope), together in groupby(spans, lambda one: (one.resource, one.scope))
        ]
    }


def _span(span: Span) -> dict[str, Any]:
    written: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id,
        "flags": span.flags,
        "name": span.name,
        "kind": _KIND_NUMBERS[span.kind],
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": _attributes(span.attributes),
        "events": [
            {
                "name": event.name,
                "timeUnixNano": str(event.time_ns),
                "attributes": _attributes(event.attributes),
            }
            for event in span.events
        ],
        "links": [{"traceId": link.trace_id, "spanId": link.span_id} for link in span.links],
    }
    if span.failed or span.message:
        written["status"] = {
            "code": STATUS_ERROR if span.failed else 0,
            "message": span.message,
        }
    return {key: value for key, value in written.items() if value not in ("", 0, [])}


def _attributes(attributes: Attributes) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in attributes.items()]


def _value(value: Value) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case bytes():
            return {"bytesValue": b64encode(value).decode()}
        case None:
            return {}
        case Mapping():
            return {"kvlistValue": {"values": _attributes(value)}}
    return {"arrayValue": {"values": [_value(one) for one in value]}}
