"""Replies that stream over HTTP: what the server span tells of them, and what they leave behind."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from opentelemetry import context as otel
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from server_middleware import Handle, component, instrument, this_request
from server_middleware.context.scope import current
from tests.middleware.clock import Clock
from tests.middleware.http import token_streams as apps
from tests.middleware.http.token_streams import TOKEN, receive, scope
from tests.middleware.serving import post, uvicorn_serving, waitress_serving
from tests.middleware.span_samples import ASKING, Spans, chunks, parent_id, span_id
from tests.middleware.wsgi_client import call, environ

BOTH = pytest.mark.parametrize(
    ("make", "call"),
    [(apps.wsgi, apps.slow_wsgi), (apps.asgi, apps.slow_asgi)],
    ids=["wsgi", "asgi"],
)


@BOTH
@pytest.mark.parametrize("fields", [[], [("Content-Type", apps.EVENTS)]])
def test_the_server_span_tells_when_the_chunks_were_handed_over(
    spans: Spans, clock: Clock, make: Any, call: Any, fields: list[tuple[str, str]]
) -> None:
    call(clock, instrument(make(clock, [TOKEN] * 10, fields)), ASKING)
    *first, last = chunks(spans.server(3))
    assert first == [
        ("chunk", 50_000 + 12_000 * at, {"chunk.bytes": 13 * (at + 1)}) for at in range(8)
    ]
    assert last == ("last_chunk", 158_000, {"chunk.bytes": 130, "stream.waited_ms": 20.0})


@BOTH
def test_the_span_and_the_comments_tell_the_same(
    spans: Spans, clock: Clock, make: Any, call: Any
) -> None:
    app = instrument(make(clock, [TOKEN] * 2, [("Content-Type", apps.EVENTS)]))
    told = call(clock, app, {**ASKING, "X-Benchmark": "1"}).chunks[-1].decode()
    stream = json.loads(told.splitlines()[0].partition(": X-Stream-Timing: ")[2])
    *first, (_, last_us, last) = chunks(spans.server(3))
    assert [[known["chunk.bytes"], us / 1e6] for _, us, known in first] == stream["chunks"]
    assert stream["last"] == last_us / 1e6
    sent_with_them_ms = 2 if make is apps.asgi else 0  # the comments of ASGI's are its last message
    assert last["stream.waited_ms"] == stream["waited"] * 1e3 + sent_with_them_ms


@BOTH
def test_prefill_and_decode_are_timed_across_yields(
    spans: Spans, clock: Clock, make: Any, call: Any
) -> None:
    """The wait for the reader is charged to what is open meanwhile; `waited` tells it apart."""
    call(clock, instrument(make(clock, [TOKEN] * 3, [])), ASKING)
    prefill, decode, server = spans.wait(3)
    stamps = [
        clock.since_ms(it) for span in (prefill, decode) for it in (span.start_time, span.end_time)
    ]
    assert stamps == [0, 50, 50, 86]
    assert (decode.name, parent_id(decode)) == ("decode", span_id(server))
    assert clock.since_ms(server.end_time) == 86


@BOTH
def test_a_reply_of_known_length_does_not_stream(
    spans: Spans, clock: Clock, make: Any, call: Any
) -> None:
    length = [("Content-Length", str(2 * len(TOKEN)))]
    call(clock, instrument(make(clock, [TOKEN] * 2, length)), ASKING)
    assert not spans.server(3).events


def test_a_body_in_one_part_does_not_stream(spans: Spans, clock: Clock) -> None:
    apps.slow_wsgi(clock, instrument(apps.wsgi(clock, [TOKEN], [])), ASKING)
    assert not spans.server(3).events


def test_one_that_a_middleware_passes_on_in_parts_does_not_stream(spans: Spans) -> None:
    async def answer(request: Any) -> JSONResponse:
        return JSONResponse({"label": "espresso"})

    async def passing_on(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    app = Starlette(routes=[Route("/", answer, methods=["POST"])])
    app.add_middleware(BaseHTTPMiddleware, dispatch=passing_on)
    with uvicorn_serving(instrument(app)) as url:
        assert post(url, ASKING).json() == {"label": "espresso"}
        assert not spans.server().events


# A client that hangs up


class Given:
    """An app's request, as the app knows it."""

    handle: Handle | None = None

    def is_over(self) -> bool:
        assert self.handle is not None
        return self.handle.scope.recorder.over

    def tokens(self) -> Iterator[bytes]:
        self.handle = this_request()
        with component("decode"):
            for _ in range(1_000):
                with component("postprocessing"):
                    pass
                yield TOKEN

    async def tokens_async(self) -> AsyncIterator[bytes]:
        for token in self.tokens():
            yield token
            await asyncio.sleep(0.001)


def nothing_is_left(spans: Spans, given: Given) -> None:
    """Nothing is current, no component is open, and all spans come to their end."""
    assert current.get() is None
    assert otel.get_current() == otel.Context()
    spans.wait_for_servers(1)
    spans.wait_for("decode")
    (server,) = [span for span in spans.ended() if span.kind is SpanKind.SERVER]
    (decode,) = [span for span in spans.ended() if span.name == "decode"]
    assert parent_id(decode) == span_id(server)
    assert "last_chunk" in [name for name, *_ in chunks(server)]
    assert given.is_over()


@pytest.mark.parametrize("most", [1, 3])
def test_of_a_wsgi_body_that_is_given_up(spans: Spans, most: int) -> None:
    given = Given()

    def app(_: Any, start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", apps.EVENTS)])
        return given.tokens()

    answer = call(instrument(app), environ({**ASKING, "X-Benchmark": "1"}), most)
    assert answer.chunks == [TOKEN] * most
    nothing_is_left(spans, given)
    assert len(chunks(spans.server(most + 2))) == most + 1


def test_a_wsgi_body_that_is_given_up_waited_until_then(spans: Spans, clock: Clock) -> None:
    app: Any = instrument(apps.wsgi(clock, [TOKEN] * 3, []))
    body = app(environ(ASKING), lambda *_: None)
    next(body)
    clock.go(7)
    body.close()
    assert chunks(spans.server(3))[-1][2]["stream.waited_ms"] == 7.0


class GoneError(OSError):
    """The client is."""


@pytest.mark.parametrize("how", [GoneError, asyncio.CancelledError])
def test_of_an_asgi_app_that_cannot_send(spans: Spans, how: type[BaseException]) -> None:
    given = Given()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async for token in given.tokens_async():
            await send({"type": "http.response.body", "body": token, "more_body": True})

    async def send(message: Any) -> None:
        if "body" in message:
            raise how

    async def serve() -> None:
        with contextlib.suppress(how):
            await instrument(app)(scope(ASKING), receive, send)
        assert current.get() is None
        assert otel.get_current() == otel.Context()

    asyncio.run(serve())
    nothing_is_left(spans, given)


def starlette_app(given: Given) -> Any:
    async def answer(request: Any) -> StreamingResponse:
        return StreamingResponse(given.tokens_async(), media_type=apps.EVENTS)

    return Starlette(routes=[Route("/", answer, methods=["POST"])])


def plain_app(given: Given) -> Any:
    def app(_: Any, start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [])
        for token in given.tokens():
            yield token * 10_000  # the server's buffer is soon full

    return app


@pytest.mark.parametrize(
    ("make", "serving"),
    [(starlette_app, uvicorn_serving), (plain_app, waitress_serving)],
    ids=["starlette", "wsgi"],
)
def test_on_real_servers(spans: Spans, make: Any, serving: Any) -> None:
    given = Given()
    with serving(instrument(make(given))) as url:
        with httpx.stream("POST", url, headers=ASKING, trust_env=False) as one:
            assert next(one.iter_raw())
        nothing_is_left(spans, given)
