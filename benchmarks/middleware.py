"""What the middleware costs a request, in µs of one core, beside OpenTelemetry's own.

    python -m benchmarks.middleware

The same handler with three parts answers through Flask, bare WSGI and ASGI, and gRPC servers of
both kinds, called directly. Spans go through a BatchSpanProcessor to an exporter that drops them.
All variants take turns in one run; the least of many turns counts.
Exit status 1 where a promise is broken:

- a request that does not ask costs at most 5 µs more than it does in the bare app;
- one that asks costs at most half of what the official instrumentor and three
  `start_as_current_span` add to the bare app.
"""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from time import thread_time_ns
from typing import Any, TypeVar

import flask
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as OfficialAsgi
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.grpc import aio_server_interceptor, server_interceptor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as OfficialWsgi
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import server_middleware
from benchmarks import direct
from benchmarks.direct import Call, Part
from server_middleware import component, instrument

NOT_ASKED_US = 5.0
ASKED_SHARE = 0.5
ROUNDS, CALLS = 60, 100

App = TypeVar("App")
Four = dict[str, Call]


class Dropping(SpanExporter):
    def export(self, spans: object) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def trace_and_drop() -> None:
    """Configure tracing whose spans go no further."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Dropping()))
    trace.set_tracer_provider(provider)


def official_flask(app: flask.Flask) -> flask.Flask:
    FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call] # it has no types
    return app


def variants() -> dict[str, Four]:
    """Kind of server → variant → one call."""
    grpc = server_middleware.grpc
    return {
        "flask": _four(direct.flask_app, instrument, official_flask, direct.wsgi_call),
        "wsgi": _four(direct.wsgi_app, instrument, OfficialWsgi, direct.wsgi_call),
        "asgi": _four(direct.asgi_app, instrument, OfficialAsgi, direct.asgi_call),
        "grpc": _four(
            direct.rpc_service,
            _behind(grpc.interceptors),
            _behind(lambda: [server_interceptor()]),  # type: ignore[no-untyped-call]
            direct.rpc_call,
        ),
        "grpc.aio": _four(
            direct.aio_rpc_service,
            _behind(grpc.aio_interceptors),
            _behind(lambda: [aio_server_interceptor()]),  # type: ignore[no-untyped-call]
            direct.aio_rpc_call,
        ),
    }


def _behind(interceptors: Callable[[], list[Any]]) -> Callable[[direct.Service], direct.Service]:
    (interceptor,) = interceptors()
    return lambda service: service._replace(interceptor=interceptor)


def _four(
    make: Callable[[Part], App],
    ours: Callable[[App], Any],
    official: Callable[[App], Any],
    call: Callable[[Any, bool], Call],
) -> Four:
    app = ours(make(component))
    spans = trace.get_tracer("benchmark").start_as_current_span
    return {
        "bare": call(make(nullcontext), True),
        "not asked": call(app, False),
        "asked": call(app, True),
        "official": call(official(make(spans)), True),
    }


def least_us(calls: Four, count: int = CALLS) -> dict[str, float]:
    """The least time of each, over rounds in which all take turns."""
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            began_ns = thread_time_ns()
            for _ in range(count):
                call()
            least[name] = min(least[name], (thread_time_ns() - began_ns) / count / 1e3)
    return least


def main() -> int:
    trace_and_drop()
    kept = True
    print("          bare µs   not asked      asked   official   asked/official")
    for name, calls in variants().items():
        least = least_us(calls)
        bare = least.pop("bare")
        over = {variant: us - bare for variant, us in least.items()}
        share = over["asked"] / over["official"]
        print(f"{name:8s} {bare:8.1f} {over['not asked']:+11.1f} {over['asked']:+10.1f}", end="")
        print(f" {over['official']:+10.1f} {share:12.2f}", flush=True)
        kept &= over["not asked"] <= NOT_ASKED_US and share <= ASKED_SHARE
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
