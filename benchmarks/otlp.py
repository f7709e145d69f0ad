"""What the way of a server's spans costs, from receipt to components, in µs of CPU a request.

Run `python -m benchmarks.otlp [REQUESTS]`. A process sends what a server's BatchSpanProcessor
would: batches of 512 spans, protobuf, by turns over gRPC and HTTP, 4 spans a request. The requests
are written as columns, without an engine or a recorder; their ids are drawn as those on the wire
are. Everything must be joined and decomposed, and `inference` to the right values.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.receiver import BATCH, ROUTE, cpu_s, over_grpc, over_http
from tracebench.model.record.columns import ABSENT, PAGE_ROWS, Columns
from tracebench.model.record.requests import DRAW, LOST, Requests, stamp_columns
from tracebench.model.record.server_times import PartNames, ServerTimes, TimesPage
from tracebench.tracing.join.exporter import JoiningExporter
from tracebench.tracing.receiver.client import Receiver
from tracebench.tracing.receiver.collect import collect
from tracebench.tracing.roots.trace_ids import IdSource

SPANS, GOAL_US = 4, 60.0
EPOCH_NS = 1_795_000_000 * 10**9
PARTS = {
    "preprocessing": (500_000, 1_100_000),
    "inference": (1_200_000, 3_200_000),
    "postprocessing": (3_300_000, 3_700_000),
}


def record(source: IdSource, count: int) -> tuple[Requests, ServerTimes]:
    """Requests of 5 ms each, one every 10 µs, whose replies told no timing."""
    columns, times = Columns(), Columns()
    zeros, names = np.zeros(count, np.int64), PartNames()
    scheduled = 10**12 + 10_000 * np.arange(count)
    after = {
        "ready": 100,
        "sent": 20_000,
        "first_byte": 4_900_000,
        "arrived": 5_000_000,
        "done": 5_050_000,
    }
    whole = stamp_columns(scheduled, {name: scheduled + ns for name, ns in after.items()})
    for name in ("connect", "write_lag", "slot", "variant", "outcome", "stamp", "reason", "status"):
        whole[name] = zeros
    whole |= {DRAW: np.arange(count), LOST: np.full(count, ABSENT)}
    for at in range(0, count, PAGE_ROWS):
        rows = min(PAGE_ROWS, count - at)
        columns.append({name: one[at : at + rows] for name, one in whole.items()}, rows)
        times.append(TimesPage(rows, names).columns, rows)
    return Requests(columns, source.since(0)), ServerTimes(times)


def batches(key: bytes, count: int) -> Iterator[bytes]:
    """What a server exports of the requests, 512 spans at a time."""
    source = IdSource(key)
    for at in range(0, count, BATCH // SPANS):
        request = ExportTraceServiceRequest()
        of_resource = request.resource_spans.add()
        for name, value in {"service.name": "model", "telemetry.sdk.language": "python"}.items():
            of_resource.resource.attributes.add(key=name).value.string_value = value
        entries, parts = of_resource.scope_spans.add(), of_resource.scope_spans.add()
        entries.scope.name, parts.scope.name = (
            "opentelemetry.instrumentation.flask",
            "server_middleware",
        )
        for draw in range(at, min(at + BATCH // SPANS, count)):
            trace_id, root = map(bytes.fromhex, source.ids(draw))
            start_ns, entry = EPOCH_NS + 10_000 * draw, os.urandom(8)
            for name, (first_ns, last_ns) in PARTS.items():
                span = parts.spans.add(
                    trace_id=trace_id,
                    span_id=os.urandom(8),
                    parent_span_id=entry,
                    name=name,
                    kind=1,
                    start_time_unix_nano=start_ns + first_ns,
                    end_time_unix_nano=start_ns + last_ns + draw % 1000,
                    flags=0x100,
                )
                span.attributes.add(key="tracebench.component").value.string_value = name
                span.status.SetInParent()
            span = entries.spans.add(
                trace_id=trace_id,
                span_id=entry,
                parent_span_id=root,
                name="POST /predict",
                kind=2,
                start_time_unix_nano=start_ns,
                end_time_unix_nano=start_ns + 4_000_000,
                flags=0x300,
            )
            for name, value in ROUTE.items():
                span.attributes.add(key=name).value.string_value = value
            span.attributes.add(key="http.response.status_code").value.int_value = 200
            span.status.SetInParent()
        yield request.SerializeToString()


def send(key: bytes, count: int, grpc_address: str, http_address: str) -> int:
    """Send all, by turns over both doors; returns how many bytes."""
    doors: list[Callable[[bytes], object]] = [over_grpc(grpc_address), over_http(http_address)]
    size = 0
    for number, body in enumerate(batches(key, count)):
        doors[number % 2](body)
        size += len(body)
    return size


def main(count: int) -> None:
    """Measure, and print."""
    key = os.urandom(16)
    requests, times = record(IdSource(key), count)
    with Receiver("127.0.0.1:0") as receiver:
        idle_s = cpu_s(receiver.pid)
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            addresses = receiver.grpc_address, receiver.http_address
            size = pool.submit(send, key, count, *addresses).result()
        receipt_s = cpu_s(receiver.pid) - idle_s
        began_s, wall_s = time.process_time(), time.monotonic()
        (received,) = collect(receiver, [requests], lambda _what: None)
        collected_s = time.process_time() - began_s
        read_s = cpu_s(receiver.pid) - idle_s - receipt_s
    joining = JoiningExporter()
    joining.add(requests, times)
    joining.take(received.spans)
    found = joining.decomposition()
    head_s = time.process_time() - began_s
    wall_s = time.monotonic() - wall_s
    inference = found.columns["inference"]
    right = np.array_equal(np.sort(inference), np.sort(2_000_000 + np.arange(count) % 1000))
    assert right, "the components are wrong"

    def us(seconds: float) -> str:
        return f"{seconds / count * 1e6:.1f}"

    both_s = receipt_s + read_s + head_s
    print(
        f"{count:,} requests, {SPANS} spans each, {size / count:.0f} B a request\n"
        f"received {received.received:,}, joined {received.joined:,}, decomposed {found.count:,}\n"
        f"receiver's process: {us(receipt_s)} us a request to take, {us(read_s)} to read\n"
        f"engine's process: {us(collected_s)} to collect, "
        f"{us(head_s - collected_s)} to join and decompose\n"
        f"together {us(both_s)} us of CPU a request (goal: {GOAL_US:.0f}), "
        f"{wall_s:.1f} s after the load"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
