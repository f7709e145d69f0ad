"""Memory over 200,000 requests that ask, on each adapter: `python -m benchmarks.leaks [COUNT]`.

The first tenth may fill caches and pools; what the process grows by after that is printed, in
bytes a request. Exit status 1 where an adapter grows by more than 16.
"""

import gc
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import server_middleware
from benchmarks.middleware import (
    TRACEPARENT,
    Dropping,
    asgi_app,
    asgi_call,
    flask_app,
    work,
    wsgi_app,
    wsgi_call,
)
from server_middleware import component, instrument

COUNT, MOST_BYTES = 200_000, 16.0
METHOD = "/benchmark.Model/Predict"


def resident_bytes() -> int:
    gc.collect()
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * 4096


def growth(call: Callable[[], object], count: int) -> float:
    for _ in range(count // 10):
        call()
    before = resident_bytes()
    for _ in range(count):
        call()
    return (resident_bytes() - before) / count


def rpc_call() -> Callable[[], object]:
    """A call of a gRPC server in this process, that lives as long as it."""
    handler = grpc.unary_unary_rpc_method_handler(lambda _request, _context: work(component))
    generic = grpc.method_handlers_generic_handler("benchmark.Model", {"Predict": handler})
    pool = ThreadPoolExecutor(4)
    server = grpc.server(pool, interceptors=server_middleware.grpc.interceptors())
    server.add_generic_rpc_handlers((generic,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    method = grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary(METHOD, None, None)
    asking = (("traceparent", TRACEPARENT), ("x-benchmark", "1"))
    return lambda: (method(b"x", metadata=asking), server)


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Dropping()))
    trace.set_tracer_provider(provider)
    calls = {
        "flask": wsgi_call(instrument(flask_app(component)), True),
        "wsgi": wsgi_call(instrument(wsgi_app(component)), True),
        "asgi": asgi_call(instrument(asgi_app(component)), True),
        "grpc": rpc_call(),
    }
    kept = True
    for name, call in calls.items():
        grown = growth(call, count)
        print(f"{name:6s} {grown:+8.2f} bytes a request over {count:,}", flush=True)
        kept &= grown <= MOST_BYTES
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
