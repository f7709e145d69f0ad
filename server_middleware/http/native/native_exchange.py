"""One request and its response, for servers that speak neither WSGI nor ASGI."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from opentelemetry.propagators.textmap import Getter

from server_middleware.context.scope import Entered
from server_middleware.harmless import harmless
from server_middleware.http import conventions
from server_middleware.recording.recorder import RequestRecorder
from server_middleware.request import Attributes, Request, sampled
from server_middleware.vocabulary import BENCHMARK_HEADER, TIMING_HEADER, TRACEPARENT

Headers = Mapping[str, str]
"""The headers of a request; names are case-insensitive."""


def asks(headers: Headers) -> bool:
    """Whether a request asks for its timings; False for a WebSocket upgrade, which has none."""
    asked = BENCHMARK_HEADER in headers or sampled(headers.get(TRACEPARENT, ""))
    return asked and headers.get("Upgrade", "").lower() != "websocket"


class Line(NamedTuple):
    """What is known of a request when it begins."""

    method: str
    scheme: str
    path: str
    query: str
    protocol: str
    """E.g. `1.1`."""
    peer: str | None


class NativeExchange:
    """The clock of a request that asked, and its span.

    Args:
        headers: the headers of the request.
        line: returns what else is known of it.
        proxy_shares_clock: believe `X-Request-Start`.
    """

    status: int | None = None
    route: str | None = None
    error: BaseException | None = None

    def __init__(
        self, headers: Headers, line: Callable[[], Line], proxy_shares_clock: bool
    ) -> None:
        stamp = headers.get("X-Request-Start") if proxy_shares_clock else None
        self.request = Request(RequestRecorder(conventions.waited_ns(stamp)))
        self._method = ""
        self._trace(headers, line)

    @harmless
    def _trace(self, headers: Headers, line: Callable[[], Line]) -> None:
        given = line()
        self._method = given.method
        attributes = _attributes(given, headers)
        self.request.trace(conventions.span_name(given.method), attributes, headers, _GETTER)

    def enter(self) -> Entered:
        """Make this request current."""
        return self.request.enter()

    def answer(self, status: int, headers: Any, *, whole: bool) -> None:
        """Write the mirror to the headers of a response, about to be sent; only once.

        Args:
            status: the status of the response.
            headers: case-insensitive, with a method `add`; timings set by hand are kept.
            whole: the whole response is about to be sent, not only its headers.
        """
        if self.status is not None:
            return
        self.status = status
        self._mirror(headers)
        if whole:
            self.request.handed_over()

    @harmless
    def _mirror(self, headers: Any) -> None:
        if TIMING_HEADER not in headers:
            for name, value in self.request.mirrored():
                headers.add(name, value)

    def finish(self) -> None:
        """The response has ended: end the span, once."""
        request = self.request
        request.handed_over()
        if request.span is not None and not request.finished:
            conventions.finish(request, self._method, self.route, self.status, self.error, {})

    def over(self) -> None:
        """The handler has also returned: code still running counts for no request."""
        self.finish()
        self.request.over()

    def __del__(self) -> None:
        """End the span of a response that is never sent, because the client disconnected."""
        if not self.request.finished:
            self.finish()


def _attributes(line: Line, headers: Headers) -> Attributes:
    return conventions.request_attributes(
        line.method,
        line.scheme,
        line.path,
        line.query,
        line.protocol,
        server=(headers.get("Host", ""), None),
        client=(line.peer, None) if line.peer else None,
        agent=headers.get("User-Agent"),
    )


class _HeadersGetter(Getter[Headers]):
    """Reads headers for OpenTelemetry's propagators."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        value = carrier.get(key)
        return None if value is None else [value]

    def keys(self, carrier: Headers) -> list[str]:
        return list(carrier)


_GETTER: Final = _HeadersGetter()
