"""A receiver of OTLP metrics over gRPC and HTTP, made of OpenTelemetry's own messages."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as rpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_rpc
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint

HOST = "127.0.0.1"
Key = tuple[str, str]
"""Target, and type of error (empty: none)."""


@dataclass(slots=True)
class Taken:
    """What came, in order."""

    requests: list[service.ExportMetricsServiceRequest] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def latest(self) -> dict[str, Metric]:
        """The metrics of the last export, by name."""
        (resource,) = self.requests[-1].resource_metrics
        (scope,) = resource.scope_metrics
        return {one.name: one for one in scope.metrics}

    def resource(self) -> dict[str, str]:
        (resource,) = self.requests[-1].resource_metrics
        return told(resource.resource.attributes)

    def numbers(self, name: str) -> dict[Key, int]:
        """A counter or a gauge, by target and type of error."""
        metric = self.latest().get(name)
        if metric is None:
            return {}
        points = metric.gauge.data_points if metric.HasField("gauge") else metric.sum.data_points
        return {_key(point): point.as_int for point in points}

    def histograms(self, name: str) -> dict[Key, HistogramDataPoint]:
        metric = self.latest().get(name)
        return {} if metric is None else {_key(one): one for one in metric.histogram.data_points}


def told(attributes: Any) -> dict[str, str]:
    """Attributes as text."""
    return {
        one.key: str(one.value.int_value or one.value.string_value or one.value.bool_value)
        for one in attributes
    }


def _key(point: NumberDataPoint | HistogramDataPoint) -> Key:
    found: Mapping[str, str] = told(point.attributes)
    return found["tracebench.target"], found.get("error.type", "")


class _Metrics(rpc.MetricsServiceServicer):
    def __init__(self, taken: Taken) -> None:
        self._taken = taken

    def Export(self, request: Any, context: Any) -> service.ExportMetricsServiceResponse:  # noqa: N802 - gRPC's name
        self._taken.requests.append(request)
        return service.ExportMetricsServiceResponse()


class _Traces(traces_rpc.TraceServiceServicer):
    def Export(self, request: Any, context: Any) -> traces.ExportTraceServiceResponse:  # noqa: N802 - gRPC's name
        return traces.ExportTraceServiceResponse()


@contextmanager
def over_grpc(*, metrics: bool = True) -> Iterator[tuple[str, Taken]]:
    """A server of both signals, or, as Jaeger is, of traces alone; gives its address."""
    taken = Taken()
    server = grpc.server(ThreadPoolExecutor(2))
    traces_rpc.add_TraceServiceServicer_to_server(_Traces(), server)  # type: ignore[no-untyped-call] # generated
    if metrics:
        rpc.add_MetricsServiceServicer_to_server(_Metrics(taken), server)  # type: ignore[no-untyped-call] # generated
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    try:
        yield f"{HOST}:{port}", taken
    finally:
        server.stop(None).wait()


@contextmanager
def over_http(status: int = 200) -> Iterator[tuple[str, Taken]]:
    """The same over HTTP, answering metrics with a status; gives the URL for traces."""
    taken = Taken()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.paths.append(self.path)
            is_metrics = self.path.endswith("/v1/metrics")
            if is_metrics and status == 200:
                taken.requests.append(service.ExportMetricsServiceRequest.FromString(body))
            self.send_response(status if is_metrics else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}", taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
