"""aiohttp.web, on its own server."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.trace import SpanKind, StatusCode

from server_middleware import component, instrument
from server_middleware.http.native.aiohttp import _is_official
from tests.middleware.serving import HOST, post
from tests.middleware.span_samples import (
    ASKING,
    PARENT_ID,
    UNSAMPLED,
    Spans,
    duration_ns,
    mirrored,
    parent_id,
    span_id,
)


@contextmanager
def aiohttp_serving(app: web.Application) -> Iterator[str]:
    """Serve an app; gives its URL."""
    ports: list[int] = []
    started, ending = threading.Event(), threading.Event()

    async def serve() -> None:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        ports.append(runner.addresses[0][1])
        started.set()
        await asyncio.to_thread(ending.wait)
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(20)
    try:
        yield f"http://{HOST}:{ports[0]}"
    finally:
        ending.set()
        thread.join(20)


def test_an_app_that_has_started_is_refused() -> None:
    app = web.Application()
    app.freeze()
    with pytest.raises(RuntimeError, match="has started; instrument it before"):
        instrument(app)


async def predict(request: web.Request) -> web.Response:
    body = await request.read()
    with component("inference"):
        return web.Response(text=f"{len(body)} bytes")


async def tokens() -> AsyncIterator[bytes]:
    for _ in range(3):
        with component("inference"):
            await asyncio.sleep(0.01)
        yield b"token "


async def returned(request: web.Request) -> web.Response:
    return web.Response(body=tokens())


async def written(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    async for token in tokens():
        await response.write(token)
    return response


async def broken(request: web.Request) -> web.Response:
    raise RuntimeError("out of memory")


async def refused(request: web.Request) -> web.Response:
    raise web.HTTPConflict(text="no coffee")


def model_server() -> web.Application:
    app = web.Application()
    handlers = {"returned": returned, "written": written, "broken": broken, "refused": refused}
    app.router.add_post("/predict/{model}", predict)
    for name, handler in handlers.items():
        app.router.add_post(f"/{name}", handler)
    return instrument(app)


def test_it_is_mirrored_and_traced(spans: Spans) -> None:
    with aiohttp_serving(model_server()) as url:
        quiet = post(f"{url}/predict/lite0", {"traceparent": UNSAMPLED})
        assert spans.none()
        answer = post(f"{url}/predict/lite0?sig=secret", ASKING)
        inference, server = spans.wait(2)
    assert not mirrored(quiet.headers)
    assert answer.text == quiet.text == "7 bytes"
    assert set(mirrored(answer.headers)) == {"inference", "server_processing"}
    assert f"{span_id(server):016x}" in answer.headers["server-timing"]
    assert parent_id(inference) == span_id(server)
    assert (server.name, server.kind) == ("POST /predict/{model}", SpanKind.SERVER)
    assert parent_id(server) == PARENT_ID
    attributes = dict(server.attributes or {})
    assert attributes["http.response.status_code"] == 200
    assert attributes["url.query"] == "sig=REDACTED"
    assert attributes["client.address"] == "127.0.0.1"


@pytest.mark.parametrize("name", ["returned", "written"])
def test_a_stream_is_a_span_as_long_as_it_lasts(spans: Spans, name: str) -> None:
    with aiohttp_serving(model_server()) as url:
        assert post(f"{url}/{name}", ASKING).text == "token " * 3
        server = spans.server(4)
    assert duration_ns(server) >= 30e6
    inner = [span for span in spans.ended() if span.name == "inference"]
    assert {parent_id(span) for span in inner} == {span_id(server)}


@pytest.mark.parametrize(
    ("name", "status", "error"),
    [("broken", 500, "RuntimeError"), ("refused", 409, None), ("nowhere", 404, None)],
)
def test_failures_are_answered_and_told(
    spans: Spans, name: str, status: int, error: str | None
) -> None:
    with aiohttp_serving(model_server()) as url:
        quiet, answer = post(f"{url}/{name}", {}), post(f"{url}/{name}", ASKING)
        server = spans.server()
    assert (answer.status_code, answer.text) == (quiet.status_code, quiet.text)
    assert "server_processing" in mirrored(answer.headers)
    attributes = server.attributes or {}
    assert (attributes["http.response.status_code"], attributes.get("error.type")) == (
        status,
        error,
    )
    assert server.status.status_code is (StatusCode.ERROR if error else StatusCode.UNSET)


async def official(request: Any, handler: Any) -> Any:
    return await handler(request)


official.__module__ = "opentelemetry.instrumentation.aiohttp_server"


def test_it_stands_behind_opentelemetrys_own() -> None:
    app = web.Application(middlewares=[web.middleware(official)])
    instrument(app)
    assert _is_official(app.middlewares[0])
    assert len(app.middlewares) == 2
    assert instrument(app) is app
    assert len(app.middlewares) == 2
