"""OTLP requests as real exporters make them."""

from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

RECORDED = Path(__file__).parent.parent / "recorded"
TRACE, SPAN, PARENT = "ab" * 16, "cd" * 8, "ef" * 8
START_NS, END_NS = 1_795_332_947_061_637_949, 1_795_332_947_096_265_223


def span(**changes: Any) -> dict[str, Any]:
    """A span as OTLP JSON has it."""
    return {
        "traceId": TRACE,
        "spanId": SPAN,
        "parentSpanId": PARENT,
        "name": "POST /predict",
        "kind": 2,
        "startTimeUnixNano": str(START_NS),
        "endTimeUnixNano": str(END_NS),
        **changes,
    }


def request(*spans: dict[str, Any]) -> dict[str, Any]:
    """A request with these spans, of a service named `model`."""
    name = {"key": "service.name", "value": {"stringValue": "model"}}
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [name]},
                "scopeSpans": [{"scope": {"name": "flask"}, "spans": list(spans)}],
            }
        ]
    }


def message(count: int, trace_id: bytes = b"\xab" * 16, text: str = "") -> bytes:
    """A protobuf request with so many good spans, all children of PARENT."""
    made = ExportTraceServiceRequest()
    scope = made.resource_spans.add().scope_spans.add()
    for number in range(1, count + 1):
        scope.spans.add(
            trace_id=trace_id,
            span_id=number.to_bytes(8, "big"),
            parent_span_id=bytes.fromhex(PARENT),
            name=f"predict{text}",
            kind=2,  # SERVER
            start_time_unix_nano=START_NS,
            end_time_unix_nano=END_NS,
        )
    return made.SerializeToString()
