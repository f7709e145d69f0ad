"""Talking to a receiver without an exporter in between."""

import json
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import grpc
import requests

from tests.tracing.otlp_samples import PARENT, message, request, span
from tracebench.tracing.receiver.client import Received, Receiver
from tracebench.tracing.receiver.completeness import Roots

PROTOBUF, JSON = "application/x-protobuf", "application/json"
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def post(
    receiver: Receiver, body: bytes, kind: str = PROTOBUF, path: str = "/v1/traces", **headers: str
) -> requests.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(
        f"http://{receiver.http_address}{path}",
        body,
        headers={"Content-Type": kind, **named},
        timeout=20,
    )


def call(receiver: Receiver, body: bytes, method: str = TRACES, **options: Any) -> bytes:
    with grpc.insecure_channel(receiver.grpc_address) as channel:
        reply: bytes = channel.unary_unary(method, bytes, bytes)(body, timeout=20, **options)
        return reply


def new_trace() -> str:
    return uuid.uuid4().hex


def batch(trace_id: str, spans: int = 1, text: str = "") -> bytes:
    return message(spans, bytes.fromhex(trace_id), text)


def json_batch(trace_id: str) -> bytes:
    return json.dumps(request(span(traceId=trace_id))).encode()


def collected(receiver: Receiver, *trace_ids: str) -> Received:
    """What has come by now: of these traces, entry spans are there already."""
    return receiver.collect(Roots.of(dict.fromkeys(trace_ids, PARENT)), stopped=lambda: True)


def works(receiver: Receiver) -> bool:
    """Whether spans still come in, through both doors."""
    one, other = new_trace(), new_trace()
    assert post(receiver, batch(one)).status_code == 200
    call(receiver, batch(other))
    return collected(receiver, one, other).joined == 2


@contextmanager
def connected(receiver: Receiver) -> Iterator[socket.socket]:
    host, port = receiver.http_address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=20) as raw:
        yield raw


def said(raw: socket.socket) -> bytes:
    """All that a server says until it closes."""
    pieces = []
    with suppress(ConnectionError):
        while piece := raw.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def resident_mb(pid: int) -> float:
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
