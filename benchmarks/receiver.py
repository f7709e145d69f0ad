"""How many spans the OTLP receiver takes a second: whole batches of 512, protobuf, on both doors.

Run `python -m benchmarks.receiver [SECONDS]`. Each door is loaded by processes of its own, so that
the receiver is what is busy. A span has 4 attributes, as an HTTP server's has.
"""

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import grpc
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tracebench.tracing.receiver.client import Receiver
from tracebench.tracing.receiver.completeness import Roots

BATCH, SENDERS = 512, 2
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
ROUTE = {"http.request.method": "POST", "http.route": "/predict", "url.path": "/predict"}


def batch() -> bytes:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for _ in range(BATCH):
        span = spans.add(
            trace_id=os.urandom(16),
            span_id=os.urandom(8),
            parent_span_id=os.urandom(8),
            name="POST /predict",
            kind=2,
            start_time_unix_nano=time.time_ns(),
            end_time_unix_nano=time.time_ns() + 5_000_000,
        )
        for key, value in ROUTE.items():
            span.attributes.add(key=key).value.string_value = value
        span.attributes.add(key="http.response.status_code").value.int_value = 200
    return request.SerializeToString()


def over_http(address: str) -> Callable[[bytes], object]:
    session = requests.Session()
    headers = {"Content-Type": "application/x-protobuf"}
    url = f"http://{address}/v1/traces"
    return lambda body: session.post(url, body, headers=headers).raise_for_status()


def over_grpc(address: str) -> Callable[[bytes], object]:
    return grpc.insecure_channel(address).unary_unary(TRACES, bytes, bytes)


def send(over: str, address: str, seconds: float) -> int:
    """Send batches one after the other; returns how many spans were accepted."""
    post = (over_http if over == "http" else over_grpc)(address)
    body, sent = batch(), 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        post(body)
        sent += BATCH
    return sent


def cpu_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(seconds: float) -> None:
    for over in ("http", "grpc"):
        with Receiver("127.0.0.1:0") as receiver:
            address = receiver.http_address if over == "http" else receiver.grpc_address
            before_s = cpu_s(receiver.pid)
            with ProcessPoolExecutor(SENDERS, get_context("spawn")) as pool:
                jobs = [pool.submit(send, over, address, seconds) for _ in range(SENDERS)]
                sent = sum(job.result() for job in jobs)
            busy_s = cpu_s(receiver.pid) - before_s
            received = receiver.collect(Roots.of({}))
        lost = sent - received.received
        print(
            f"{over}: {sent / seconds:,.0f} spans/s offered and answered, {lost} lost, "
            f"{sent / busy_s:,.0f} spans per second of the receiver's CPU"
        )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0)
