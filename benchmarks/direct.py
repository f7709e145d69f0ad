"""One handler with three parts behind every kind of server, called directly: no socket, no loop.

So nothing but Python is measured, and always the same Python.
"""

import io
import sys
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import flask
import grpc

PARTS = ("preprocessing", "inference", "postprocessing")
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
METHOD = "/benchmark.Model/Predict"

Part = Callable[[str], AbstractContextManager[Any]]
Call = Callable[[], object]


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


def asgi_app(part: Part) -> Callable[..., Coroutine[Any, Any, None]]:
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


def asgi_call(app: Callable[..., Coroutine[Any, Any, None]], asked: bool) -> Call:
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

    return lambda: finished(app(dict(scope), receive, send))


def finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns that never waits: it needs no event loop."""
    try:
        coroutine.send(None)
    except StopIteration as over:
        return over.value
    raise AssertionError("it waited")


class Service(NamedTuple):
    """A method of a gRPC server, and what intercepts its calls."""

    handler: Any
    interceptor: Any = None


def rpc_service(part: Part) -> Service:
    def predict(_request: bytes, _context: Any) -> bytes:
        return work(part)

    return Service(grpc.unary_unary_rpc_method_handler(predict, bytes, bytes))


def aio_rpc_service(part: Part) -> Service:
    async def predict(_request: bytes, _context: Any) -> bytes:
        return work(part)

    return Service(grpc.unary_unary_rpc_method_handler(predict, bytes, bytes))


class Metadatum(NamedTuple):
    key: str
    value: str


class Details(NamedTuple):
    """What an interceptor is told of a call."""

    method: str
    invocation_metadata: tuple[Metadatum, ...]


class Context:
    """What a gRPC server gives to handlers, as far as middleware uses it."""

    def __init__(self, metadata: tuple[Metadatum, ...]) -> None:
        self._metadata = metadata
        self._trailing: Any = None

    def invocation_metadata(self) -> tuple[Metadatum, ...]:
        return self._metadata

    def peer(self) -> str:
        return "ipv4:127.0.0.1:4000"

    def code(self) -> None:
        return None

    def trailing_metadata(self) -> Any:
        return self._trailing

    def set_trailing_metadata(self, metadata: Any) -> None:
        self._trailing = metadata


def _metadata(asked: bool) -> tuple[Metadatum, ...]:
    asking = (Metadatum("traceparent", TRACEPARENT), Metadatum("x-benchmark", "1"))
    return (Metadatum("user-agent", "benchmark"), *(asking if asked else ()))


def rpc_call(service: Service, asked: bool) -> Call:
    """A call, as a server with threads makes it."""
    handler, interceptor = service
    metadata = _metadata(asked)

    def call() -> None:
        details, context = Details(METHOD, metadata), Context(metadata)
        given = handler
        if interceptor is not None:
            given = interceptor.intercept_service(lambda _: handler, details)
        reply = given.unary_unary(given.request_deserializer(b"image"), context)
        given.response_serializer(reply)

    return call


def aio_rpc_call(service: Service, asked: bool) -> Call:
    """A call, as a server of `grpc.aio` makes it."""
    handler, interceptor = service
    metadata = _metadata(asked)

    async def found(_details: Details) -> Any:
        return handler

    async def call() -> None:
        details, context = Details(METHOD, metadata), Context(metadata)
        given = handler
        if interceptor is not None:
            given = await interceptor.intercept_service(found, details)
        reply = await given.unary_unary(given.request_deserializer(b"image"), context)
        given.response_serializer(reply)

    return lambda: finished(call())
