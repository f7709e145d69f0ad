"""Reading OTLP JSON lines back, through protobuf's own mapping."""

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

IDS = {"traceId", "spanId", "parentSpanId"}


def with_base64_ids(node: Any) -> Any:
    """Undo OTLP's deviation from protobuf's mapping."""
    if isinstance(node, list):
        return [with_base64_ids(item) for item in node]
    if isinstance(node, dict):
        return {
            key: b64encode(bytes.fromhex(value)).decode() if key in IDS else with_base64_ids(value)
            for key, value in node.items()
        }
    return node


def parse(request: Any) -> ExportTraceServiceRequest:
    return ParseDict(with_base64_ids(request), ExportTraceServiceRequest())


def requests_in(path: Path) -> Iterator[ExportTraceServiceRequest]:
    for line in path.read_bytes().decode().splitlines():
        yield parse(json.loads(line))
