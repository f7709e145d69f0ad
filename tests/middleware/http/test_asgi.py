"""ASGI: four frameworks and a bare app, on a real server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from logging import WARNING
from typing import Any

import httpx
import pytest
import quart
from fastapi import FastAPI, Request
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import post as litestar_post
from opentelemetry.trace import SpanKind, StatusCode
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from server_middleware import component, instrument
from tests.middleware.serving import post, uvicorn_serving
from tests.middleware.span_samples import (
    ASKING,
    PARENT_ID,
    TRACE_ID,
    UNSAMPLED,
    Spans,
    duration_ns,
    mirrored,
    parent_id,
    span_id,
)


def infer(body: bytes) -> str:
    with component("inference"):
        return f"{len(body)} bytes"


async def bare(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    body = infer(message["body"]).encode()
    length = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": body})


def fastapi_app() -> Any:
    app = FastAPI()

    @app.post("/predict/{model}", response_class=PlainTextResponse)
    async def predict(model: str, request: Request) -> str:
        return infer(await request.body())

    return app


def fastapi_app_in_threads() -> Any:
    app = FastAPI()

    @app.post("/predict/{model}", response_class=PlainTextResponse)
    def predict(model: str) -> str:
        return infer(b"picture")

    return app


def starlette_app() -> Any:
    async def predict(request: Any) -> PlainTextResponse:
        return PlainTextResponse(infer(await request.body()))

    return Starlette(routes=[Route("/predict/{model}", predict, methods=["POST"])])


def quart_app() -> Any:
    app = quart.Quart("model")

    @app.post("/predict/<model>")
    async def predict(model: str) -> str:
        return infer(await quart.request.body)

    return app


def litestar_app() -> Any:
    @litestar_post("/predict/{model:str}", media_type="text/plain", status_code=200)
    async def predict(request: LitestarRequest[Any, Any, Any]) -> str:
        return infer(await request.body())

    return Litestar([predict], logging_config=None)


APPS: dict[str, tuple[Callable[[], Any], str | None]] = {
    "bare": (lambda: bare, None),
    "starlette": (starlette_app, "/predict/{model}"),
    "quart": (quart_app, None),
    "litestar": (litestar_app, "/predict/{model}"),
}


@pytest.mark.parametrize("name", APPS)
def test_each_framework_is_mirrored_and_traced(spans: Spans, name: str) -> None:
    make, route = APPS[name]
    with uvicorn_serving(instrument(make())) as url:
        quiet = post(f"{url}/predict/lite0", {"traceparent": UNSAMPLED})
        assert spans.none()
        answer = post(f"{url}/predict/lite0?sig=secret", ASKING)
    assert mirrored(quiet.headers) == {}
    assert answer.text == quiet.text == "7 bytes"
    assert set(mirrored(answer.headers)) == {"inference", "server_processing"}
    inference, server = spans.wait(2)
    assert f"{span_id(server):016x}" in answer.headers["server-timing"]
    assert (inference.name, parent_id(inference)) == ("inference", span_id(server))
    assert (server.name, server.kind) == (f"POST {route}" if route else "POST", SpanKind.SERVER)
    assert (server.get_span_context().trace_id, parent_id(server)) == (TRACE_ID, PARENT_ID)  # type: ignore[union-attr]
    port = int(url.rpartition(":")[2])
    attributes = dict(server.attributes or {})
    assert attributes.pop("network.peer.port") != port
    if body_size := attributes.pop("http.request.body.size", None):
        assert (body_size, attributes.pop("tracebench.request.read_ms")) > (6, 0)
    assert attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/predict/lite0",
        "url.query": "sig=REDACTED",
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": port,
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "user_agent.original": f"python-httpx/{httpx.__version__}",
        **({"http.route": route} if route else {}),
    }


@pytest.mark.parametrize("make", [fastapi_app, fastapi_app_in_threads])
def test_fastapis_own_server_span_is_used(spans: Spans, make: Callable[[], Any]) -> None:
    with uvicorn_serving(instrument(make())) as url:
        answer = post(f"{url}/predict/lite0", ASKING)
        (server,) = [span for span in spans.wait(5) if span.kind is SpanKind.SERVER]
    assert set(mirrored(answer.headers)) == {"inference", "server_processing"}
    assert f"{span_id(server):016x}" in answer.headers["server-timing"]
    (inference,) = [span for span in spans.ended() if span.name == "inference"]
    (endpoint,) = [span for span in spans.ended() if span.name == "fastapi.endpoint"]
    assert parent_id(inference) == span_id(endpoint)


@pytest.mark.parametrize("make", [fastapi_app, fastapi_app_in_threads])
def test_fastapi_is_mirrored_without_a_provider(make: Callable[[], Any]) -> None:
    with uvicorn_serving(instrument(make())) as url:
        times = mirrored(post(f"{url}/predict/lite0", ASKING).headers)
    assert set(times) == {"inference", "server_processing"}


async def stream(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(5):
        with component("inference"):
            await asyncio.sleep(0.02)
        await send({"type": "http.response.body", "body": b"token ", "more_body": True})
    await send({"type": "http.response.body"})


def test_a_stream_of_100_ms_is_a_span_of_100_ms(spans: Spans) -> None:
    with uvicorn_serving(instrument(stream)) as url:
        assert post(url, ASKING).text == "token " * 5
        *steps, server = spans.wait(6)
    assert duration_ns(server) >= 100e6
    assert {parent_id(span) for span in steps} == {span_id(server)}


def test_background_tasks_are_no_part_of_the_response(spans: Spans) -> None:
    async def answer(request: Any) -> PlainTextResponse:
        return PlainTextResponse("ok", background=BackgroundTask(asyncio.sleep, 0.2))

    with uvicorn_serving(
        instrument(Starlette(routes=[Route("/", answer, methods=["POST"])]))
    ) as url:
        post(url, ASKING)
        assert duration_ns(spans.server()) < 0.2e9


def test_a_client_that_goes_away_ends_the_span(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    async def endless(request: Any) -> StreamingResponse:
        async def tokens() -> AsyncIterator[bytes]:
            while True:
                with component("inference"):
                    await asyncio.sleep(0.01)
                yield b"token"

        return StreamingResponse(tokens())

    app = instrument(Starlette(routes=[Route("/", endless)]))
    with (
        uvicorn_serving(app) as url,
        httpx.stream("GET", url, headers=ASKING, trust_env=False) as one,
    ):
        assert next(one.iter_raw())
    assert any(span.kind is SpanKind.SERVER for span in spans.ended())
    assert not [record for record in caplog.records if record.levelno >= WARNING]


def test_an_exception_of_the_app_passes_and_marks_the_span(spans: Spans) -> None:
    error = RuntimeError("out of memory")

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise error

    async def unused(*_: object) -> Any:
        raise AssertionError

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"x-benchmark", b"1")]}
    with pytest.raises(RuntimeError) as caught:
        asyncio.run(instrument(broken)(scope, unused, unused))
    assert caught.value is error
    span = spans.server()
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "RuntimeError"


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_what_is_no_request_passes_by(kind: str) -> None:
    seen: list[Any] = []

    async def app(*given: Any) -> None:
        seen.extend(given)

    given = ({"type": kind}, object(), object())
    asyncio.run(instrument(app)(*given))
    assert all(one is other for one, other in zip(seen, given, strict=True))


def test_instrumenting_twice_is_instrumenting_once() -> None:
    for make, _ in APPS.values():
        once = instrument(make())
        before = [getattr(once, "user_middleware", [])[:], getattr(once, "asgi_app", None)]
        assert instrument(once) is once
        assert [getattr(once, "user_middleware", []), getattr(once, "asgi_app", None)] == before
