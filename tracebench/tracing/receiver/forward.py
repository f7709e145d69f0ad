"""Forwarding of received batches: a bounded queue, and one sending thread."""

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Queue
from threading import Thread
from typing import Any, Final

import grpc
import requests
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tracebench.tracing.otlp.destination import Destination, destination_of
from tracebench.tracing.receiver.intake import MEDIA_TYPE_OF
from tracebench.tracing.receiver.over_grpc import TRACES
from tracebench.tracing.receiver.store import FORWARD_FAILED, FORWARD_WAITING, FORWARDED, Batch

_TIMEOUT_S: Final = 10.0
_IDS: Final = ("traceId", "spanId", "parentSpanId")


class Forwarder:
    """Sends batches to another receiver, unchanged; those beyond the queue count as failed.

    Args:
        url: an endpoint, written as for --otlp-endpoint.
        queued_bytes: how much may be queued.
        counts: number of spans by outcome; those under `forward_waiting` are queued or in flight.

    Raises:
        UsageError: the URL is malformed.
    """

    def __init__(self, url: str, queued_bytes: int, counts: Counter[str]) -> None:
        self._send = sender(destination_of(url))
        self._counts = counts
        self._room_bytes = queued_bytes
        self._queue: Queue[Batch] = Queue()
        self._done: Queue[tuple[str, Batch]] = Queue()
        Thread(target=self._run, name="forward", daemon=True).start()

    def put(self, batch: Batch) -> None:
        """Queue a batch."""
        self.settle()
        if len(batch.body) > self._room_bytes:
            self._counts[FORWARD_FAILED] += batch.spans
            return
        self._room_bytes -= len(batch.body)
        self._counts[FORWARD_WAITING] += batch.spans
        self._queue.put(batch)

    def settle(self) -> None:
        """Count what was sent since the last call; only one thread may count."""
        with suppress(Empty):
            while True:
                outcome, batch = self._done.get_nowait()
                self._room_bytes += len(batch.body)
                self._counts[FORWARD_WAITING] -= batch.spans
                self._counts[outcome] += batch.spans

    def _run(self) -> None:
        while True:
            batch = self._queue.get()
            try:
                self._send(batch)
                self._done.put((FORWARDED, batch))
            except (requests.RequestException, grpc.RpcError, ValueError):
                self._done.put((FORWARD_FAILED, batch))


def sender(endpoint: Destination) -> Callable[[Batch], object]:
    """A function that sends one batch, and raises on failure."""
    return _over_http(endpoint.address) if endpoint.http else _over_grpc(endpoint)


def _over_http(url: str) -> Callable[[Batch], object]:
    session = requests.Session()
    session.trust_env = False  # no proxy

    def send(batch: Batch) -> None:
        headers = {"Content-Type": MEDIA_TYPE_OF[batch.encoding]}
        session.post(url, batch.body, headers=headers, timeout=_TIMEOUT_S).raise_for_status()

    return send


def _over_grpc(endpoint: Destination) -> Callable[[Batch], object]:
    if endpoint.secure:
        channel = grpc.secure_channel(endpoint.address, grpc.ssl_channel_credentials())
    else:
        channel = grpc.insecure_channel(endpoint.address)
    export = channel.unary_unary(f"/{TRACES}/Export", bytes, bytes)

    def send(batch: Batch) -> None:
        body = batch.body if batch.encoding == "protobuf" else to_protobuf(batch.body)
        export(body, timeout=_TIMEOUT_S)

    return send


def to_protobuf(body: bytes) -> bytes:
    """Convert OTLP JSON to protobuf; only its ids differ from protobuf's own JSON mapping.

    Raises:
        ValueError: it cannot be expressed in protobuf.
    """
    request = json.loads(body, object_hook=_with_ids_in_base64)
    message = ParseDict(request, ExportTraceServiceRequest(), ignore_unknown_fields=True)
    return message.SerializeToString()


def _with_ids_in_base64(holder: dict[str, Any]) -> dict[str, Any]:
    ids = {name: holder[name] for name in _IDS if isinstance(holder.get(name), str)}
    return holder | {name: b64encode(bytes.fromhex(one)).decode() for name, one in ids.items()}
