"""Endpoints as people write them, and spans that really arrive."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import socket
from threading import Thread

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.servers import HOST, keeping, reply, serving
from tests.tracing.samples import MIRROR, REST, RUN, SUCCESS
from tracebench.model.errors import UsageError
from tracebench.system.redaction import redacted
from tracebench.tracing.otlp.destination import exporter_for
from tracebench.tracing.roots.delivery import Delivered
from tracebench.tracing.roots.export import export

Received = list[ExportTraceServiceRequest]


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("http://c:4318/v1/traces", "http://c:4318/v1/traces"),
        ("http://c:4317/v1/traces", "http://c:4317/v1/traces"),
        ("https://otlp.example.com", "https://otlp.example.com/v1/traces"),
        ("http://c:9999/api/otlp?key=1", "http://c:9999/api/otlp?key=1"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
    ],
)
def test_http_endpoints(endpoint: str, url: str) -> None:
    exporter = exporter_for(endpoint)
    assert isinstance(exporter, OverHttp)
    assert exporter._endpoint == url
    exporter.shutdown()  # type: ignore[no-untyped-call]  # it ships types without this one


@pytest.mark.parametrize(
    ("endpoint", "target", "insecure"),
    [
        ("localhost:4317", "localhost:4317", True),
        ("127.0.0.1:9", "127.0.0.1:9", True),
        ("[::1]:4317", "[::1]:4317", True),
        ("http://c:4317", "c:4317", True),
        ("http://c:4317/", "c:4317", True),
        ("https://c:4317", "c:4317", False),
        ("grpc://c", "c:4317", True),
        ("grpc://c:1234", "c:1234", True),
        ("grpcs://c:1234", "c:1234", False),
        ("grpcs://[::1]", "[::1]:4317", False),
    ],
)
def test_grpc_endpoints(endpoint: str, target: str, insecure: bool) -> None:
    exporter = exporter_for(endpoint)
    assert isinstance(exporter, OverGrpc)
    assert exporter._endpoint == target
    assert exporter._insecure is insecure
    exporter.shutdown()


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "localhost",
        ":4317",
        "localhost:",
        "localhost:0",
        "localhost:http",
        "localhost:70000",
        "http://",
        "http://:4318",
        "ftp://c:4317",
        "grpc://c:4317/v1/traces",
        "c:4317/path",
        "grpc://me:secret@c:4317",
        "http://c d:4318",
        "http://[::1:4318",
        "/v1/traces",
    ],
)
def test_malformed_endpoints(endpoint: str) -> None:
    with pytest.raises(UsageError) as caught:
        exporter_for(endpoint)
    assert repr(redacted(endpoint)) in str(caught.value)
    assert "\n" not in str(caught.value)


@contextmanager
def http_collector(received: Received, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def grpc_collector(received: Received) -> Iterator[str]:
    def take(request: ExportTraceServiceRequest, _: object) -> ExportTraceServiceResponse:
        received.append(request)
        return ExportTraceServiceResponse()

    export_method = grpc.unary_unary_rpc_method_handler(
        take,
        ExportTraceServiceRequest.FromString,
        ExportTraceServiceResponse.SerializeToString,
    )
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"Export": export_method}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def deliver(endpoint: str) -> Delivered:
    """Send 600 spans."""
    exporter = exporter_for(endpoint)
    [delivered] = export([SUCCESS] * 600, [MIRROR] * 600, REST, RUN, [exporter])
    exporter.shutdown()
    return delivered


@pytest.mark.parametrize("collector", [http_collector, grpc_collector])
def test_spans_arrive(collector: Callable[[Received], AbstractContextManager[str]]) -> None:
    received: Received = []
    with collector(received) as endpoint:
        assert deliver(endpoint) == Delivered(600, 0, "")
    batches = [request.resource_spans[0].scope_spans[0].spans for request in received]
    assert [len(batch) for batch in batches] == [512, 88]
    span = batches[1][0]
    assert span.trace_id.hex() == SUCCESS.trace_id
    names = [event.name for event in span.events]
    assert names == ["ready", "sent", "first_byte", "arrived", "done"]


def test_a_collector_that_refuses_is_counted_with_its_reason(
    capfd: pytest.CaptureFixture[str],
) -> None:
    received: Received = []
    with http_collector(received, 400) as endpoint:
        delivered = deliver(endpoint)
    reason = "Failed to export spans batch code: 400, reason: Bad Request"
    assert delivered == Delivered(0, 600, reason)
    assert len(received) == 1
    assert capfd.readouterr().err == ""


def test_a_collector_that_is_not_there_is_counted_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    with socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        delivered = deliver(f"127.0.0.1:{bound.getsockname()[1]}")
    assert (delivered.exported, delivered.failed) == (0, 600)
    assert "UNAVAILABLE" in delivered.reason
    assert capfd.readouterr().err == ""


def test_netrc_does_not_win_over_the_environments_authorization(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {HOST} login alice password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20tok")
    seen: list[bytes] = []
    with serving(keeping(seen, reply(b""))) as port:
        exporter = exporter_for(f"http://{HOST}:{port}/v1/traces")
        exporter.export(())
    assert b"authorization: bearer tok" in seen[0].lower()
    assert b"basic" not in seen[0].lower()
