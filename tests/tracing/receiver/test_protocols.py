"""Real exporters and plain requests are answered as OTLP wants it."""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, format_trace_id

from tests.tracing.otlp_samples import request, span
from tests.tracing.receiver.talk import (
    JSON,
    PROTOBUF,
    batch,
    call,
    collected,
    connected,
    json_batch,
    new_trace,
    post,
    said,
    works,
)
from tracebench.tracing.receiver.client import Receiver
from tracebench.tracing.receiver.completeness import Roots

EXPORTERS: dict[str, Callable[[Receiver], SpanExporter]] = {
    "grpc": lambda to: OverGrpc(to.grpc_address, insecure=True),
    "grpc gzip": lambda to: OverGrpc(
        to.grpc_address, insecure=True, compression=grpc.Compression.Gzip
    ),
    "http": lambda to: OverHttp(f"http://{to.http_address}/v1/traces"),
    "http gzip": lambda to: OverHttp(
        f"http://{to.http_address}/v1/traces", compression=Compression.Gzip
    ),
    "http deflate": lambda to: OverHttp(
        f"http://{to.http_address}/v1/traces", compression=Compression.Deflate
    ),
}


@pytest.mark.parametrize("name", EXPORTERS)
def test_real_exporters(receiver: Receiver, name: str) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(EXPORTERS[name](receiver)))
    tracer = provider.get_tracer("flask")
    with tracer.start_as_current_span("client") as root:
        with (
            tracer.start_as_current_span("POST /predict", kind=SpanKind.SERVER),
            tracer.start_as_current_span("inference", attributes={"batch": 8}),
        ):
            pass
        context = root.get_span_context()
    provider.shutdown()
    trace_id = format_trace_id(context.trace_id)
    received = receiver.collect(
        Roots.of({trace_id: f"{context.span_id:016x}"}), stopped=lambda: True
    )
    spans = {one.name: one for one in received.spans}
    assert received.joined == 1
    assert spans.keys() == {"client", "POST /predict", "inference"}
    assert spans["inference"].parent_id == spans["POST /predict"].span_id
    assert spans["inference"].attributes == {"batch": 8}
    assert spans["POST /predict"].kind == "SERVER"
    assert spans["POST /predict"].scope == "flask"


def test_both_encodings_over_http(receiver: Receiver) -> None:
    one, other = new_trace(), new_trace()
    as_protobuf, as_json = post(receiver, batch(one)), post(receiver, json_batch(other), JSON)
    assert (as_protobuf.status_code, as_protobuf.content) == (200, b"")
    assert as_protobuf.headers["Content-Type"] == PROTOBUF
    assert (as_json.status_code, as_json.json()) == (200, {})
    assert as_json.headers["Content-Type"] == JSON
    assert collected(receiver, one, other).joined == 2


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
def test_media_types_may_have_parameters(receiver: Receiver, kind: str) -> None:
    assert post(receiver, json_batch(new_trace()), kind).status_code == 200


def test_compressed_json(receiver: Receiver) -> None:
    trace_id = new_trace()
    body = gzip.compress(json_batch(trace_id))
    assert post(receiver, body, JSON, Content_Encoding="gzip").status_code == 200
    assert collected(receiver, trace_id).joined == 1


def test_a_partial_success(receiver: Receiver) -> None:
    before = collected(receiver).rejected
    trace_id = new_trace()
    body = json.dumps(request(span(traceId=trace_id), span(traceId="x"))).encode()
    partial = post(receiver, body, JSON).json()["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    assert "'x'" in partial["errorMessage"]
    reply = post(receiver, batch("00" * 15), PROTOBUF)
    response = ExportTraceServiceResponse.FromString(reply.content)
    assert response.partial_success.rejected_spans == 1
    received = collected(receiver, trace_id)
    assert (received.joined, received.rejected - before) == (1, 2)


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (400, {"body": b"x"}),
        (400, {"body": b"{", "kind": JSON}),
        (400, {"body": b"x", "Content_Encoding": "gzip"}),
        (400, {"body": gzip.compress(b"x" * 999)[:20], "Content_Encoding": "gzip"}),
        (404, {"path": "/"}),
        (404, {"path": "/v1/trace"}),
        (413, {"body": bytes(9 << 20)}),
        (413, {"body": gzip.compress(bytes(9 << 20)), "Content_Encoding": "gzip"}),
        (413, {"body": zlib.compress(bytes(9 << 20)), "Content_Encoding": "deflate"}),
        (415, {"kind": "text/plain"}),
        (415, {"Content_Encoding": "br"}),
        (431, {"Name": "x" * 70_000}),
    ],
)
def test_refusals(receiver: Receiver, status: int, changes: dict[str, Any]) -> None:
    before = sum(collected(receiver).refused.values())
    reply = post(receiver, **{"body": b"", **changes})
    assert reply.status_code == status
    if reply.headers["Content-Type"] == JSON:
        assert reply.json()["message"]
    else:
        assert Status.FromString(reply.content).message
    received = collected(receiver)
    assert sum(received.refused.values()) == before + 1
    assert works(receiver)


def test_only_post(receiver: Receiver) -> None:
    with connected(receiver) as raw:
        raw.sendall(b"GET /v1/traces HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 405 " in said(raw)


def test_metrics_and_logs_are_taken_and_dropped(receiver: Receiver) -> None:
    for signal, service in (("metrics", "MetricsService"), ("logs", "LogsService")):
        assert post(receiver, b"anything", path=f"/v1/{signal}").status_code == 200
        method = f"/opentelemetry.proto.collector.{signal}.v1.{service}/Export"
        assert call(receiver, b"anything", method) == b""


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\x0a\xff", grpc.StatusCode.INVALID_ARGUMENT),
        (b"\x1f\x8b\x00", grpc.StatusCode.INVALID_ARGUMENT),
        (bytes(9 << 20), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (gzip.compress(bytes(9 << 20)), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_refusals_over_grpc(receiver: Receiver, body: bytes, code: grpc.StatusCode) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        call(receiver, body)
    assert failed.value.code() is code
    assert works(receiver)


def test_what_finds_no_room_may_come_again(tight: Receiver) -> None:
    body = batch(new_trace(), 10, "x" * 9000)
    statuses = [post(tight, body) for _ in range(5)]
    assert [one.status_code for one in statuses] == [200, 200, 200, 429, 429]
    assert statuses[-1].headers["Retry-After"] == "2"
    with pytest.raises(grpc.RpcError) as failed:
        call(tight, body)
    (details,) = [
        one.value for one in failed.value.trailing_metadata() if one.key.endswith("-details-bin")
    ]
    assert Status.FromString(details).details[0].type_url.endswith("google.rpc.RetryInfo")
    received = collected(tight)
    assert (received.received, received.refused) == (30, {"no room": 3})
    assert post(tight, body).status_code == 200


def test_chunks_keep_alive_pipelining_and_expect(receiver: Receiver) -> None:
    traces = [new_trace() for _ in range(4)]
    bodies = [batch(one) for one in traces]
    head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\n".encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in bodies[0]) + b"0\r\n\r\n"
    whole = [head + b"Content-Length: %d\r\n\r\n" % len(one) + one for one in bodies]
    with connected(receiver) as raw:
        raw.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + whole[1] + whole[2])
        raw.sendall(head + b"Expect: 100-continue\r\nConnection: close\r\n")
        raw.sendall(b"Content-Length: %d\r\n\r\n" % len(bodies[3]))
        raw.sendall(bodies[3])
        replies = said(raw)
    assert replies.count(b"HTTP/1.1 200 OK") == 4
    assert replies.count(b"HTTP/1.1 100 Continue") == 1
    assert collected(receiver, *traces).joined == 4


def test_an_upgrade_is_declined(receiver: Receiver) -> None:
    traces = [new_trace(), new_trace()]
    body = b"".join(
        f"POST /v1/traces HTTP/1.1\r\nContent-Type: {PROTOBUF}\r\nConnection: Upgrade\r\n"
        f"Upgrade: h2c\r\nContent-Length: {len(batch(one))}\r\n\r\n".encode()
        + batch(one)
        for one in traces
    )
    with connected(receiver) as raw:
        raw.sendall(body + b"bad\r\n\r\n")
        replies = said(raw)
    assert replies.count(b"HTTP/1.1 200 OK") == 2
    assert collected(receiver, *traces).joined == 2
