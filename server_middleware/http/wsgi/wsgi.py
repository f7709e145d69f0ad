"""Any WSGI app: the server span, the mirror, and what streams out of it."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from opentelemetry.propagators.textmap import Getter

from server_middleware.context.outside_requests import Passing, get_passing, set_passing
from server_middleware.context.scope import swapped
from server_middleware.harmless import complain
from server_middleware.http import conventions
from server_middleware.http.wrapper import Outside
from server_middleware.http.wsgi.wsgi_input import TimedInput, timed_input
from server_middleware.http.wsgi.wsgi_response import (
    Framework,
    Head,
    PlainWsgi,
    StartResponse,
    body_of,
)
from server_middleware.recording.recorder import RequestRecorder
from server_middleware.request import Attributes, Request, sampled

Environ = dict[str, Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]


class Wsgi(Outside):
    """The middleware. A request that does not ask passes through after two look-ups.

    Args:
        app: the app.
        framework: what else is known about it.
        proxy_shares_clock: believe `X-Request-Start`.
    """

    _app: WsgiApp

    def __init__(
        self, app: WsgiApp, framework: Framework | None = None, *, proxy_shares_clock: bool = False
    ) -> None:
        super().__init__(app, proxy_shares_clock=proxy_shares_clock)
        self._framework = framework or PlainWsgi()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request, as specified by WSGI."""
        self.unserved = None
        traceparent = environ.get("HTTP_TRACEPARENT")
        asked = traceparent is not None and sampled(traceparent)
        if (last := get_passing()) is not None:
            last.over = True  # a thread serves one request at a time
        if not asked and "HTTP_X_BENCHMARK" not in environ:
            set_passing(Passing())  # until the next one: the app runs while its body is read
            return self._app(environ, start_response)
        stamp = environ.get("HTTP_X_REQUEST_START") if self._proxy_shares_clock else None
        return _Exchange(environ, start_response, self._framework, stamp).run(self._app)


class _Exchange:
    """One request and its response; its clock and span begin here."""

    def __init__(
        self,
        environ: Environ,
        start_response: StartResponse,
        framework: Framework,
        stamp: str | None,
    ) -> None:
        self.request = Request(RequestRecorder(conventions.waited_ns(stamp)))
        self._environ = environ
        self._method = str(environ.get("REQUEST_METHOD", ""))
        self._input: TimedInput | None = None
        self._files: list[Any] | None = None
        self._head = Head(start_response, self.request, framework)
        if not framework.traced():
            self._trace()

    def _trace(self) -> None:
        environ, request = self._environ, self.request
        try:
            attributes = _attributes(environ)
            request.trace(conventions.span_name(self._method), attributes, environ, _GETTER)
            if request.span is not None and environ.get("CONTENT_LENGTH", "") not in ("", "0"):
                environ["wsgi.input"] = self._input = timed_input(environ["wsgi.input"])
        except Exception:  # inlined `harmless`, whose call costs each request 1 µs
            complain("beginning a request's span")

    def run(self, app: WsgiApp) -> Iterable[bytes]:
        """Run the app."""
        self._notice_files()
        before = swapped((self.request, self.request.context))
        try:
            chunks = app(self._environ, self._head)
            in_memory = isinstance(chunks, (list, tuple))  # `list | tuple` would be built each time
            if has_worked := in_memory or self._is_file(chunks):
                self._head.release()
        except BaseException as error:
            self.finish(error)
            raise
        finally:
            inside = swapped(before)
        if has_worked:
            self.finish(None)  # servers check its length, or send it directly
            self.request.over()
            return chunks
        tells = "HTTP_X_BENCHMARK" in self._environ and self._method != "HEAD"
        return body_of(chunks, self.request, inside, self._head, self.finish, tells)

    def _notice_files(self) -> None:
        """If files are wrapped by a function, remember its results to recognise them later."""
        wrap = self._environ.get("wsgi.file_wrapper")
        if wrap is None or isinstance(wrap, type):
            return
        self._files = files = []

        def noticed(*given: Any, **named: Any) -> Any:
            file = wrap(*given, **named)
            files.append(file)
            return file

        self._environ["wsgi.file_wrapper"] = noticed

    def _is_file(self, chunks: Iterable[bytes]) -> bool:
        wrapper = self._environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type):
            return isinstance(chunks, wrapper)
        return self._files is not None and any(file is chunks for file in self._files)

    def finish(self, error: BaseException | None) -> None:
        """The response has ended."""
        request = self.request
        request.handed_over()
        if request.span is None:
            request.end_stream()
        elif not request.finished:
            body = self._input.seen() if self._input is not None else {}
            head = self._head
            conventions.finish(request, self._method, head.route, head.status, error, body)


def _attributes(environ: Environ) -> Attributes:
    address = environ.get("REMOTE_ADDR")
    return conventions.request_attributes(
        environ["REQUEST_METHOD"],
        environ["wsgi.url_scheme"],
        environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
        environ.get("QUERY_STRING", ""),
        environ.get("SERVER_PROTOCOL", "").removeprefix("HTTP/"),
        server=(
            environ.get("HTTP_HOST") or environ.get("SERVER_NAME", ""),
            _port(environ.get("SERVER_PORT")),
        ),
        client=(address, _port(environ.get("REMOTE_PORT"))) if address else None,
        agent=environ.get("HTTP_USER_AGENT"),
    )


def _port(text: object) -> int | None:
    return int(text) if isinstance(text, str) and text.isdecimal() else None


@lru_cache(maxsize=64)
def _variable(header: str) -> str:
    """The CGI variable, also used by WSGI, of a header."""
    return "HTTP_" + header.upper().replace("-", "_")


class _EnvironGetter(Getter[Environ]):
    """Reads headers for OpenTelemetry's propagators."""

    def get(self, carrier: Environ, key: str) -> list[str] | None:
        value = carrier.get(_variable(key))
        return None if value is None else [value]

    def keys(self, carrier: Environ) -> list[str]:
        headers = [name for name in carrier if name.startswith("HTTP_")]
        return [name[5:].lower().replace("_", "-") for name in headers]


_GETTER: Final = _EnvironGetter()
