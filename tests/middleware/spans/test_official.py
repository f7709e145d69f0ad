"""Beside OpenTelemetry's own instrumentation: its server span is used, whichever came first."""

from collections.abc import Callable
from typing import Any

import flask
import pytest
from fastapi import FastAPI
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as OfficialAsgi
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.grpc import server_interceptor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as OfficialWsgi
from opentelemetry.trace import SpanKind

import server_middleware
from server_middleware import component, instrument
from tests.middleware import grpc_service
from tests.middleware.serving import grpc_serving, post, uvicorn_serving, waitress_serving
from tests.middleware.span_samples import ASKING, PARENT_ID, Spans, mirrored, parent_id, span_id
from tracebench.protos.inference_pb2 import PredictRequest


def flask_app() -> flask.Flask:
    app = flask.Flask("model")

    @app.post("/")
    def predict() -> str:
        with component("inference"):
            return "espresso"

    return app


def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    with component("inference"):
        start_response("200 OK", [("Content-Length", "8")])
        return [b"espresso"]


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    with component("inference"):
        length = [(b"content-length", b"8")]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": b"espresso"})


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.post("/")
    async def predict() -> str:
        with component("inference"):
            return "espresso"

    return app


def officially(app: Any) -> Any:
    instrumentor = FlaskInstrumentor if isinstance(app, flask.Flask) else FastAPIInstrumentor
    instrumentor().instrument_app(app)
    return app


CASES: dict[str, Callable[[], tuple[Any, bool]]] = {
    "flask, before": lambda: (instrument(officially(flask_app())), False),
    "flask, after": lambda: (officially(instrument(flask_app())), False),
    "wsgi, around": lambda: (OfficialWsgi(instrument(wsgi_app)), False),
    "asgi, around": lambda: (OfficialAsgi(instrument(asgi_app)), True),
    "fastapi, before": lambda: (instrument(officially(fastapi_app())), True),
    "fastapi, after": lambda: (officially(instrument(fastapi_app())), True),
}


@pytest.mark.parametrize("name", CASES)
def test_there_is_one_server_span_and_the_mirror_names_it(spans: Spans, name: str) -> None:
    app, is_async = CASES[name]()
    with (uvicorn_serving if is_async else waitress_serving)(app) as url:
        answer = post(url, ASKING)
    (server,) = [span for span in spans.ended() if span.kind is SpanKind.SERVER]
    (inference,) = [span for span in spans.ended() if span.name == "inference"]
    assert (server.instrumentation_scope or inference).name != "server_middleware"
    assert parent_id(server) == PARENT_ID
    assert inference.get_span_context().trace_id == server.get_span_context().trace_id  # type: ignore[union-attr]
    assert set(mirrored(answer.headers)) == {"inference", "server_processing"}
    assert 'trace;desc="00-' in answer.headers["server-timing"]


def test_behind_the_official_interceptor_there_is_one_server_span(spans: Spans) -> None:
    add = grpc_service.adding(
        grpc_service.unary, grpc_service.replies, grpc_service.gathered, grpc_service.replies
    )
    official = server_interceptor()  # type: ignore[no-untyped-call] # it has no types
    with grpc_serving(add, [official, *server_middleware.grpc.interceptors()]) as channel:
        _, call = grpc_service.predict(channel, PredictRequest(), grpc_service.ASKING)
        inference, server = spans.wait(2)
    assert (server.kind, parent_id(inference)) == (SpanKind.SERVER, span_id(server))
    assert set(mirrored(grpc_service.trailers(call))) == grpc_service.QUEUED
