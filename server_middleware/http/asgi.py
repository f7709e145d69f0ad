"""Any ASGI app: the server span, the mirror, and what streams out of it."""

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from functools import partial
from time import perf_counter_ns
from typing import Any, Final

from opentelemetry.propagators.textmap import Getter

from server_middleware.context.outside_requests import Passing, set_passing
from server_middleware.harmless import harmless
from server_middleware.http import conventions
from server_middleware.http.event_stream import comments, takes_comments
from server_middleware.http.wrapper import Outside
from server_middleware.recording.recorder import RequestRecorder
from server_middleware.recording.stream import Stream
from server_middleware.request import Attributes, Request, sampled
from server_middleware.vocabulary import BENCHMARK_HEADER, TIMING_HEADER, TRACEPARENT

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]

_TRACEPARENT: Final = TRACEPARENT.encode()
_BENCHMARK: Final = BENCHMARK_HEADER.lower().encode()
_TIMING: Final = TIMING_HEADER.lower().encode()
_BODY: Final = "http.response.body"
_LENGTH: Final = b"content-length"
_LAST: Final = frozenset({_BODY, "http.response.zerocopysend"})
_WHOLE: Final = "http.response.pathsend"
"""Message types that end a body, unless more is announced; and the one that sends a file."""


class Asgi(Outside):
    """The middleware. A request that does not ask passes through after a check of its headers.

    Args:
        app: the app; a plain function that returns an awaitable also works.
        proxy_shares_clock: believe `X-Request-Start`.
    """

    _app: AsgiApp

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection or request, as specified by ASGI."""
        self.unserved = None
        kind = scope["type"]
        if kind == "lifespan":
            await self._app(scope, receive, send)  # tasks started there serve all requests
            return
        if kind != "http" or not _asks(scope):
            set_passing(passing := Passing())
            try:  # `with passing` costs twice as much
                await self._app(scope, receive, send)
            finally:
                passing.over = True
            return
        stamp = _first(scope, "x-request-start") if self._proxy_shares_clock else None
        await _Exchange(scope, receive, send, stamp).run(self._app)


class Asgi2(Outside):
    """Like `Asgi`, for ASGI 2 apps, which are called with only the scope."""

    def __call__(self, scope: Message) -> Callable[[Receive, Send], Awaitable[None]]:
        """Return a callable that serves one connection or request."""
        self.unserved = None
        return partial(Asgi(self._at_once, proxy_shares_clock=self._proxy_shares_clock), scope)

    async def _at_once(self, scope: Message, receive: Receive, send: Send) -> None:
        await self._app(scope)(receive, send)


def _asks(scope: Message) -> bool:
    headers = scope["headers"]
    if type(headers) is not list and not isinstance(headers, Collection):
        scope["headers"] = headers = list(headers)  # an iterator, which the app needs as well
    for name, value in headers:
        if name == _BENCHMARK or (name == _TRACEPARENT and sampled(value.decode("latin-1"))):
            return True
    return False


class _Exchange:
    """One request and its response; its clock and span begin here."""

    # for streaming replies only; most do not stream, so these are class defaults

    _fields: list[tuple[bytes, bytes]] | None = None
    """The response headers, if the length of the body is unknown."""
    _tells = False
    """Comments will follow the body."""
    _tail = b""
    """The last non-empty chunk of the body."""

    def __init__(self, scope: Message, receive: Receive, send: Send, stamp: str | None) -> None:
        self.request = Request(RequestRecorder(conventions.waited_ns(stamp)))
        self._scope, self._outer_receive, self._outer_send = scope, receive, send
        self._status: int | None = None
        self._read_ns = self._size = 0
        self._trace()

    @harmless
    def _trace(self) -> None:
        name = conventions.span_name(self._scope["method"])
        self.request.trace(name, _attributes(self._scope), self._scope, _GETTER)

    async def run(self, app: AsgiApp) -> None:
        """Run the app."""
        entered = self.request.enter()
        try:
            await app(self._scope, self._receive_of(), self._send)
        except BaseException as error:
            self._finish(error)
            raise
        finally:
            entered.leave()
            self._finish(None)
            self.request.over()

    def _receive_of(self) -> Receive:
        """The server's own `receive`, if there is no span to report the read time."""
        return self._outer_receive if self.request.span is None else self._receive

    async def _receive(self) -> Message:
        if self._status is not None:
            return await self._outer_receive()  # waits for the client to disconnect
        began_ns = perf_counter_ns()
        message = await self._outer_receive()
        self._read_ns += perf_counter_ns() - began_ns
        self._size += len(message.get("body", b""))
        return message

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            message = self._answered(message) or message
        elif self._fields is not None and kind == _BODY:
            stream = self.request.stream
            if stream is None and message.get("more_body", False):
                stream = self._begin_stream(self._fields)
            if stream is not None:
                await self._send_part(message, stream)
                return
        last = (kind in _LAST and not message.get("more_body", False)) or kind == _WHOLE
        if last:
            self.request.handed_over()
        await self._outer_send(message)
        if last:
            self._finish(None)  # later work is not part of the response

    @harmless
    def _answered(self, message: Message) -> Message:
        self._status = int(message["status"])
        fields = list(message.get("headers", ()))
        names = {name.lower() for name, _ in fields}
        if _LENGTH not in names:  # a reply of known length does not stream
            self._fields = fields
        if _TIMING in names:
            return message  # written by hand, in the older style
        mirrored = [
            (name.lower().encode(), value.encode()) for name, value in self.request.mirrored()
        ]
        return {**message, "headers": fields + mirrored}

    def _begin_stream(self, fields: list[tuple[bytes, bytes]]) -> Stream:
        """The body does not end with its first message, so it streams."""
        scope = self._scope
        if scope["method"] != "HEAD" and any(name == _BENCHMARK for name, _ in scope["headers"]):
            texts = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)
            self._tells = bool(takes_comments(self._status, texts))
        return self.request.begin_stream("bytes")

    async def _send_part(self, message: Message, stream: Stream) -> None:
        body = message.get("body") or b""
        self._tail = body or self._tail
        stream.hand_over(len(body))
        if last := not message.get("more_body", False):
            message = self._told(message)
        try:
            await self._outer_send(message)
        finally:
            stream.come_back()
        if last:
            self._finish(None)

    def _told(self, message: Message) -> Message:
        """The last message, with the comments that carry the timings, if any."""
        self.request.handed_over()
        if self._tells:
            told = comments(self.request, self._tail)
            message = {**message, "body": b"".join((message.get("body") or b"", told))}
        self.request.end_stream()
        return message

    def _finish(self, error: BaseException | None) -> None:
        request = self.request
        request.handed_over()
        if request.span is None:
            request.end_stream()
        elif not request.finished:
            route, method = _route(self._scope), self._scope["method"]
            body = conventions.body_attributes(self._size, self._read_ns) if self._size else {}
            conventions.finish(request, method, route, self._status, error, body)


def _route(scope: Message) -> str | None:
    """The template that the path matched, in Starlette, FastAPI and Litestar; others have none."""
    route = getattr(scope.get("route"), "path", None) or scope.get("path_template")
    return route if isinstance(route, str) else None


def _attributes(scope: Message) -> Attributes:
    address, port = scope.get("server") or ("", None)
    return conventions.request_attributes(
        scope["method"],
        scope.get("scheme", "http"),
        scope["path"],
        scope.get("query_string", b"").decode("latin-1"),
        scope.get("http_version", ""),
        server=(_first(scope, "host") or address, port),
        client=scope.get("client"),
        agent=_first(scope, "user-agent"),
    )


def _first(scope: Message, name: str) -> str | None:
    values = _GETTER.get(scope, name)
    return values[0] if values else None


class _ScopeGetter(Getter[Message]):
    """Reads headers for OpenTelemetry's propagators."""

    def get(self, carrier: Message, key: str) -> list[str] | None:
        wanted = key.lower().encode()
        found = [value.decode("latin-1") for name, value in carrier["headers"] if name == wanted]
        return found or None

    def keys(self, carrier: Message) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier["headers"]]


_GETTER: Final = _ScopeGetter()
