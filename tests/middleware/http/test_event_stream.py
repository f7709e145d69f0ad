"""What a stream of server-sent events tells of itself, behind its last event."""

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import flask
import pytest
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

from server_middleware import instrument
from server_middleware.http.event_stream import comments, takes_comments
from server_middleware.recording.recorder import RequestRecorder
from server_middleware.request import Request
from tests.middleware.clock import Clock
from tests.middleware.http import token_streams as apps
from tests.middleware.http.token_streams import BENCHMARK, EVENTS, TOKEN
from tests.middleware.serving import post, uvicorn_serving, waitress_serving
from tests.middleware.span_samples import ASKING, Spans, mirrored
from tests.middleware.wsgi_client import Answer

BOTH = pytest.mark.parametrize(
    ("make", "call"),
    [(apps.wsgi, apps.slow_wsgi), (apps.asgi, apps.slow_asgi)],
    ids=["wsgi", "asgi"],
)
Make = Callable[..., Any]
CallApp = Callable[..., Answer]
IS_EVENTS = [("Content-Type", f"{EVENTS}; charset=utf-8")]


@BOTH
def test_the_comments_tell_what_the_head_could_not(clock: Clock, make: Make, call: CallApp) -> None:
    answer = call(clock, instrument(make(clock, [TOKEN] * 3, IS_EVENTS)), BENCHMARK)
    *events, told = answer.chunks
    assert events == [TOKEN] * 3
    assert told.decode().split("\n") == [
        ': X-Stream-Timing: {"chunks": [[13, 0.050000000], [26, 0.062000000], [39, 0.074000000]], '
        '"last": 0.074000000, "waited": 0.006000000}',
        ': X-Timing-Info: {"prefill": 0.050000000, "decode": 0.036000000, '
        '"server_processing": 0.086000000}',
        ": Server-Timing: prefill;dur=50.000000, decode;dur=36.000000, "
        "server_processing;dur=86.000000",
        "",
        "",
    ]
    assert mirrored(answer.headers)["server_processing"] <= 0.05  # the head's is early, as ever
    assert "x-stream-timing" not in answer.headers


@BOTH
@pytest.mark.parametrize(
    ("end", "between"), [(b"\n\n", b""), (b"\r\n\r\n", b""), (b"\r", b""), (b"", b"\n")]
)
def test_the_comments_begin_on_a_line_of_their_own(
    clock: Clock, make: Make, call: CallApp, end: bytes, between: bytes
) -> None:
    chunks = [TOKEN, b"data: end" + end]
    answer = call(clock, instrument(make(clock, chunks, IS_EVENTS)), BENCHMARK)
    told = b"".join(answer.chunks).removeprefix(b"".join(chunks))
    assert told.startswith(between + b": X-Stream-Timing: ")
    assert told.endswith(b"\n\n")


@BOTH
@pytest.mark.parametrize(
    ("headers", "fields", "status", "method"),
    [
        ({}, IS_EVENTS, "200 OK", "POST"),
        (ASKING, IS_EVENTS, "200 OK", "POST"),
        (BENCHMARK, [("Content-Type", "application/x-ndjson")], "200 OK", "POST"),
        (BENCHMARK, [], "200 OK", "POST"),
        (BENCHMARK, [*IS_EVENTS, ("Content-Length", "26")], "200 OK", "POST"),
        (BENCHMARK, [*IS_EVENTS, ("Content-Encoding", "gzip")], "200 OK", "POST"),
        (BENCHMARK, [*IS_EVENTS, ("X-Timing-Info", "{}")], "200 OK", "POST"),
        (BENCHMARK, IS_EVENTS, "503 Service Unavailable", "POST"),
        (BENCHMARK, IS_EVENTS, "200 OK", "HEAD"),
    ],
)
def test_all_other_bodies_stay_as_they_are(
    clock: Clock,
    make: Make,
    call: CallApp,
    headers: dict[str, str],
    fields: list[tuple[str, str]],
    status: str,
    method: str,
) -> None:
    app = make(clock, [TOKEN] * 2, fields, status)
    assert call(clock, instrument(app), headers, method).chunks == [TOKEN] * 2


@BOTH
def test_a_stream_without_events_tells_what_it_has(clock: Clock, make: Make, call: CallApp) -> None:
    answer = call(clock, instrument(make(clock, [], IS_EVENTS)), BENCHMARK)
    assert answer.chunks == []  # it ended before it turned out to stream


def test_an_end_that_holds_an_event_is_sent_with_the_comments(clock: Clock) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        head = [(b"content-type", EVENTS.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": TOKEN, "more_body": True})
        await send({"type": "http.response.body", "body": bytearray(b"data: [DONE]\n\n")})

    first, last = apps.slow_asgi(clock, instrument(app), BENCHMARK).chunks
    assert first == TOKEN
    assert re.fullmatch(
        rb"data: \[DONE\]\n\n: X-Stream-Timing: .*\[13, 0.0+\], \[27, 0.002000000\].*\n"
        rb": X-Timing-Info: .*\n: Server-Timing: .*\n\n",
        last,
    )


def test_a_body_whose_chunks_are_counted_stays_as_it_is(clock: Clock) -> None:
    class Counted:
        """A server may announce the length of the only chunk."""

        def __len__(self) -> int:
            return 1

        def __iter__(self) -> Iterator[bytes]:
            return iter([TOKEN])

    def app(given: Any, start_response: Any) -> Counted:
        start_response("200 OK", IS_EVENTS)
        return Counted()

    assert apps.slow_wsgi(clock, instrument(app), BENCHMARK).chunks == [TOKEN]


def test_a_body_that_is_written_in_the_way_of_old_stays_as_it_is(clock: Clock) -> None:
    def app(given: Any, start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", IS_EVENTS)
        write(b"data: unfinished")
        yield TOKEN

    assert apps.slow_wsgi(clock, instrument(app), BENCHMARK).chunks == [TOKEN]


def test_comments_that_fail_harm_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    request = Request(RequestRecorder())

    def failing(_: object) -> list[tuple[str, str]]:
        raise RuntimeError("no span")

    monkeypatch.setattr(Request, "mirrored", failing)
    assert comments(request, TOKEN) == b""
    assert "no span" in caplog.text


def test_headers_of_an_odd_kind_harm_nobody(caplog: pytest.LogCaptureFixture) -> None:
    odd: Any = [(None, EVENTS)]
    assert not takes_comments(200, odd)
    assert "takes_comments failed" in caplog.text


@pytest.mark.parametrize(
    ("media_type", "taken"),
    [(EVENTS, True), ("Text/Event-Stream ;charset=utf-8", True), ("text/event-streams", False)],
)
def test_the_media_type_is_read_as_it_is_defined(media_type: str, taken: bool) -> None:
    assert takes_comments(200, [("content-TYPE", media_type)]) is taken


def starlette_app() -> Any:
    async def tokens() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield TOKEN

    async def answer(request: Any) -> StreamingResponse:
        return StreamingResponse(tokens(), media_type=EVENTS)

    return Starlette(routes=[Route("/", answer, methods=["POST"])])


def flask_app() -> Any:
    app = flask.Flask("streams")

    @app.post("/")
    def answer() -> flask.Response:
        return flask.Response((TOKEN for _ in range(3)), mimetype=EVENTS)

    return app


@pytest.mark.parametrize(
    ("make", "serving"),
    [(starlette_app, uvicorn_serving), (flask_app, waitress_serving)],
    ids=["starlette", "flask"],
)
def test_on_real_servers_the_body_ends_well(spans: Spans, make: Any, serving: Any) -> None:
    with serving(make()) as url:
        plain = post(url, BENCHMARK)
    with serving(instrument(make())) as url:
        asked, traced, quiet = (post(url, one) for one in (BENCHMARK, ASKING, {}))
    assert plain.content == traced.content == quiet.content == TOKEN * 3
    told = asked.content.removeprefix(plain.content).decode()
    stream, info, server = (line.partition(": ")[2] for line in told.splitlines()[:3])
    assert [size for size, _ in json.loads(stream.removeprefix("X-Stream-Timing: "))["chunks"]] == [
        len(TOKEN),
        len(TOKEN) * 2,
        len(TOKEN) * 3,
    ]
    late = json.loads(info.removeprefix("X-Timing-Info: "))
    assert late["server_processing"] > mirrored(asked.headers)["server_processing"]
    assert server.startswith("Server-Timing: server_processing;dur=")
    assert 'trace;desc="00-' in server
