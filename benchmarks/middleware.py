"""What the middleware costs a request, in µs of one core, beside OpenTelemetry's own.

    python -m benchmarks.middleware

The same handler with three parts answers through Flask and through bare WSGI and ASGI, called
directly: no socket, so that nothing but Python is measured. Spans go through a BatchSpanProcessor
to an exporter that drops them. All variants take turns in one run; the least of many turns counts.
Exit status 1 where a promise is broken:

- a request that does not ask costs at most 5 µs more than it does in the bare app;
- one that asks costs at most half of what the official instrumentor and three
  `start_as_current_span` add to the bare app.
"""

import io
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from time import thread_time_ns
from typing import Any, TypeVar

import flask
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as OfficialAsgi
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as OfficialWsgi
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from server_middleware import component, instrument

NOT_ASKED_US, ASKED_SHARE = 5.0, 0.5
ROUNDS, CALLS = 60, 100
PARTS = ("preprocessing", "inference", "postprocessing")
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

Part = Callable[[str], AbstractContextManager[Any]]
Call = Callable[[], object]
App = TypeVar("App")


class Dropping(SpanExporter):
    def export(self, spans: object) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def work(part: Part) -> bytes:
    for name in PARTS:
        with part(name):
            pass
    return b'{"label": "espresso"}'


def flask_app(part: Part) -> flask.Flask:
    app = flask.Flask("benchmark")
    app.add_url_rule("/predict", view_func=lambda: work(part), methods=["POST"], endpoint="predict")
    return app


def wsgi_app(part: Part) -> Callable[..., Iterable[bytes]]:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        body = work(part)
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    return app


def asgi_app(part: Part) -> Callable[..., Awaitable[None]]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        body = work(part)
        length = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": body})

    return app


def wsgi_call(app: Callable[..., Iterable[bytes]], asked: bool) -> Call:
    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/predict",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost:8000",
        "HTTP_USER_AGENT": "benchmark",
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        **({"HTTP_TRACEPARENT": TRACEPARENT, "HTTP_X_BENCHMARK": "1"} if asked else {}),
    }

    def call() -> None:
        chunks = app({**environ, "wsgi.input": io.BytesIO(b"")}, lambda *_: None)
        for _ in chunks:
            pass
        if (close := getattr(chunks, "close", None)) is not None:
            close()

    return call


def asgi_call(app: Callable[..., Awaitable[None]], asked: bool) -> Call:
    headers = [(b"host", b"localhost:8000"), (b"user-agent", b"benchmark"), (b"accept", b"*/*")]
    if asked:
        headers += [(b"traceparent", TRACEPARENT.encode()), (b"x-benchmark", b"1")]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "query_string": b"",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("localhost", 8000),
        "client": ("127.0.0.1", 4000),
        "headers": headers,
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    def call() -> None:
        # a coroutine that never waits can be run without an event loop
        try:
            app(dict(scope), receive, send).__await__().send(None)
        except StopIteration:
            return

    return call


def official_flask(app: flask.Flask) -> flask.Flask:
    FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call] # it has no types
    return app


def variants(part: Part) -> dict[str, dict[str, Call]]:
    """Framework → variant → one call."""
    untimed, spans = nullcontext, trace.get_tracer("benchmark").start_as_current_span
    return {
        "flask": _four(flask_app, official_flask, wsgi_call, part, untimed, spans),
        "wsgi": _four(wsgi_app, OfficialWsgi, wsgi_call, part, untimed, spans),
        "asgi": _four(asgi_app, OfficialAsgi, asgi_call, part, untimed, spans),
    }


def _four(
    make: Callable[[Part], App],
    official: Callable[[App], Any],
    call: Callable[[Any, bool], Call],
    part: Part,
    untimed: Part,
    spans: Part,
) -> dict[str, Call]:
    ours = instrument(make(part))
    return {
        "bare": call(make(untimed), True),
        "not asked": call(ours, False),
        "asked": call(ours, True),
        "official": call(official(make(spans)), True),
    }


def least_us(calls: dict[str, Call]) -> dict[str, float]:
    """The least time of each, over rounds in which all take turns."""
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            began_ns = thread_time_ns()
            for _ in range(CALLS):
                call()
            least[name] = min(least[name], (thread_time_ns() - began_ns) / CALLS / 1e3)
    return least


def main() -> int:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Dropping()))
    trace.set_tracer_provider(provider)
    kept = True
    print("          bare µs   not asked      asked   official   asked/official")
    for name, calls in variants(component).items():
        least = least_us(calls)
        bare = least.pop("bare")
        over = {variant: us - bare for variant, us in least.items()}
        share = over["asked"] / over["official"]
        print(f"{name:8s} {bare:8.1f} {over['not asked']:+11.1f} {over['asked']:+10.1f}", end="")
        print(f" {over['official']:+10.1f} {share:12.2f}")
        kept &= over["not asked"] <= NOT_ASKED_US and share <= ASKED_SHARE
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
