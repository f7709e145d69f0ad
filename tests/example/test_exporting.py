"""With an endpoint, the server sends its spans: those of requests that ask for it."""

import signal
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import grpc
import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.example.pictures import COFFEE
from tests.example.programs import LIMIT_S, program, told
from tracebench.protos.inference_pb2 import PredictRequest
from tracebench.protos.inference_pb2_grpc import InferenceServiceStub

REST_TRACE, GRPC_TRACE, QUIET_TRACE = "1" * 32, "2" * 32, "3" * 32
ROOT = "a" * 16


class Collector(HTTPServer):
    """Takes OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[ExportTraceServiceRequest] = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def context(trace_id: str, flags: str = "01") -> str:
    return f"00-{trace_id}-{ROOT}-{flags}"


def ask(rest_url: str, grpc_server: str) -> None:
    for trace_id, flags in ((REST_TRACE, "01"), (QUIET_TRACE, "00"), ("", "")):
        headers = {"traceparent": context(trace_id, flags)} if trace_id else {}
        assert requests.post(rest_url, data=COFFEE, headers=headers, timeout=LIMIT_S).ok
    with grpc.insecure_channel(grpc_server) as channel:
        stub = InferenceServiceStub(channel)  # type: ignore[no-untyped-call] # generated
        metadata = [("traceparent", context(GRPC_TRACE))]
        stub.Predict(PredictRequest(image_data=COFFEE), metadata=metadata)


def serve_and_ask(endpoint: str) -> None:
    ports = ("--rest-port=0", "--grpc-port=0")
    with program("-m", "tracebench", "serve", *ports, f"--otlp-endpoint={endpoint}") as server:
        ask(*(line.split()[1] for line in told(server)))
        server.send_signal(signal.SIGTERM)  # what has not been sent yet is sent now
        assert server.communicate(timeout=LIMIT_S) == ("", "")
        assert server.returncode == 0


@pytest.fixture(scope="module")
def received() -> list[ExportTraceServiceRequest]:
    with Collector() as collector:
        thread = Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            serve_and_ask(f"http://127.0.0.1:{collector.server_port}")
        finally:
            collector.shutdown()
            thread.join()
    return collector.received


def spans(received: list[ExportTraceServiceRequest], trace_id: str) -> list[Span]:
    return [
        span
        for request in received
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
        if span.trace_id.hex() == trace_id
    ]


@pytest.mark.parametrize("trace_id", [REST_TRACE, GRPC_TRACE])
def test_a_request_that_asks_is_told_in_full(
    received: list[ExportTraceServiceRequest], trace_id: str
) -> None:
    found = spans(received, trace_id)
    (entry,) = (span for span in found if span.parent_span_id.hex() == ROOT)
    assert entry.kind == Span.SPAN_KIND_SERVER
    inside = {span.name for span in found if span.parent_span_id == entry.span_id}
    assert inside >= {"preprocessing", "inference", "postprocessing"}


def test_nobody_else_is_recorded(received: list[ExportTraceServiceRequest]) -> None:
    assert not spans(received, QUIET_TRACE)
    asked = len(spans(received, REST_TRACE)) + len(spans(received, GRPC_TRACE))
    counted = [
        len(scope.spans)
        for request in received
        for resource in request.resource_spans
        for scope in resource.scope_spans
    ]
    assert sum(counted) == asked


def test_the_server_says_its_name(received: list[ExportTraceServiceRequest]) -> None:
    for request in received:
        for resource in request.resource_spans:
            told = {one.key: one.value.string_value for one in resource.resource.attributes}
            assert told["service.name"] == "tracebench-example"
