"""Apps that stream tokens by a clock that stands still, called without a server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from server_middleware import component
from tests.middleware.clock import Clock
from tests.middleware.wsgi_client import Answer, environ

EVENTS = "text/event-stream"
BENCHMARK = {"X-Benchmark": "1"}
TOKEN = b"data: token\n\n"


def parts(clock: Clock, chunks: list[bytes]) -> Iterator[bytes]:
    """50 ms until the first chunk, then 10 ms a chunk."""
    with component("prefill"):
        clock.go(50)
    with component("decode"):
        for chunk in chunks:
            yield chunk
            clock.go(10)


def wsgi(
    clock: Clock, chunks: list[bytes], fields: list[tuple[str, str]], status: str = "200 OK"
) -> Callable[..., Iterator[bytes]]:
    def app(given: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response(status, fields)
        yield from parts(clock, chunks)

    return app


def asgi(
    clock: Clock, chunks: list[bytes], fields: list[tuple[str, str]], status: str = "200 OK"
) -> Callable[..., Any]:
    """The last chunk comes with the message that ends the body, as far as there is one."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        head = [(name.lower().encode(), value.encode()) for name, value in fields]
        code = int(status.partition(" ")[0])
        await send({"type": "http.response.start", "status": code, "headers": head})
        async for chunk in _async(parts(clock, chunks)):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


async def _async(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def slow_wsgi(clock: Clock, app: Any, headers: dict[str, str], method: str = "POST") -> Answer:
    """Call an app; the reader takes 2 ms for each chunk."""
    started: list[tuple[str, dict[str, str]]] = []

    def start_response(status: str, fields: list[tuple[str, str]], *_: Any) -> None:
        started.append((status, {name.lower(): value for name, value in fields}))

    chunks = []
    body = app(environ(headers, method), start_response)
    for chunk in body:
        chunks.append(chunk)
        clock.go(2)
    if hasattr(body, "close"):
        body.close()
    (status, fields), *_ = started
    return Answer(status, fields, chunks)


def slow_asgi(clock: Clock, app: Any, headers: dict[str, str], method: str = "POST") -> Answer:
    """The same for ASGI; the chunks are the bodies of all messages that have one."""
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)
        clock.go(2 if message.get("body") else 0)

    asyncio.run(app(scope(headers, method), receive, send))
    head, *rest = messages
    fields = {name.decode(): value.decode() for name, value in head["headers"]}
    bodies = [bytes(message["body"]) for message in rest if message["body"]]
    assert [message.get("more_body", False) for message in rest][-1] is False
    return Answer(str(head["status"]), fields, bodies)


def broken_off(app: Any) -> None:
    """Call an ASGI app; its client is gone when the first chunk is to be sent.

    Raises:
        OSError: as servers have it.
    """

    async def send(message: Any) -> None:
        if "body" in message:
            raise OSError("the client is gone")

    asyncio.run(app(scope(BENCHMARK), receive, send))


def scope(headers: dict[str, str], method: str = "POST") -> dict[str, Any]:
    fields = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": "/", "headers": fields}


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b""}
