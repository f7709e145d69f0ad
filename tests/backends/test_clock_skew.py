"""Jaeger may shift spans of a clock that seems off; what is read back is as it was recorded."""

import time
from dataclasses import dataclass

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.backends.conftest import LIMIT_S, Jaeger, eventually
from tracebench.tracing.jaeger.query_api import QueryApi

TRACE, ROOT, ENTRY = "7c" * 16, "a1" * 8, "b2" * 8
START_NS = time.time_ns() // 1_000_000_000 * 1_000_000_000
OFF_NS = 250_000_000


@dataclass(frozen=True, slots=True)
class One:
    """A span to send."""

    service: str
    id: str
    parent: str
    kind: Span.SpanKind.ValueType
    start_ns: int


CLIENT = One("tracebench", ROOT, "", Span.SPAN_KIND_CLIENT, START_NS)
SERVER = One("skewed", ENTRY, ROOT, Span.SPAN_KIND_SERVER, START_NS + OFF_NS)


def request(*spans: One) -> bytes:
    made = ExportTraceServiceRequest()
    for one in spans:
        of_resource = made.resource_spans.add()
        # Jaeger tells machines apart by these.
        for key, value in (("service.name", one.service), ("host.name", one.service)):
            attribute = of_resource.resource.attributes.add(key=key)
            attribute.value.string_value = value
        of_resource.scope_spans.add().spans.add(
            trace_id=bytes.fromhex(TRACE),
            span_id=bytes.fromhex(one.id),
            parent_span_id=bytes.fromhex(one.parent),
            name="x",
            kind=one.kind,
            start_time_unix_nano=one.start_ns,
            end_time_unix_nano=one.start_ns + 10_000_000,
        )
    return made.SerializeToString()


@pytest.mark.parametrize("old", [False, True], ids=["v3", "legacy"])
def test_spans_keep_their_clock(jaeger: Jaeger, old: bool) -> None:
    headers = {"Content-Type": "application/x-protobuf"}
    url = f"{jaeger.otlp}/v1/traces"
    requests.post(url, request(CLIENT, SERVER), headers=headers, timeout=LIMIT_S)
    api = QueryApi(jaeger.ui)
    api._trace = api._old if old else api._otlp
    spans = {span.span_id: span for span in eventually(lambda: api.spans(TRACE))}
    assert spans[ENTRY].start_ns - spans[ROOT].start_ns == OFF_NS
    api.close()


def test_jaeger_would_have_shifted_them(jaeger: Jaeger) -> None:
    adjusted = requests.get(f"{jaeger.ui}/api/traces/{TRACE}", timeout=LIMIT_S).json()
    (starts,) = ({s["spanID"]: s["startTime"] for s in one["spans"]} for one in adjusted["data"])
    assert starts[ENTRY] - starts[ROOT] < OFF_NS // 1000
